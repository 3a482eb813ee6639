//! Tables of sockets, such as `/proc/net/udp`: read in pieces, since a host may have a million.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::SourceError;

/// Size of the buffer, in bytes. A line has some 150.
const BUFFER_BYTES: usize = 16 * 1024;
/// Maximum size of a table, in bytes: some 10 million sockets.
const MAX_BYTES: u64 = 1_500_000_000;

/// Number of bytes that a read has at least, unless it is the last one: the kernel fills a page
/// with
/// lines. Looking for more lines costs as much as reading all, because it searches all hash
/// buckets.
const MIN_READ_BYTES: usize = 4096 - 512;

/// A table of sockets that stays open.
#[derive(Debug)]
pub(super) struct SocketTable {
    path: PathBuf,
    file: Option<File>,
    buffer: Box<[u8]>,
}

/// A socket in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TableSocket {
    pub(super) state: u8,
    /// Bytes in the send queue.
    pub(super) send_queue: u64,
    /// Bytes in the receive queue.
    pub(super) receive_queue: u64,
}

impl SocketTable {
    /// Creates a table. It is opened when it is read.
    pub(super) fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), file: None, buffer: vec![0; BUFFER_BYTES].into() }
    }

    /// Returns the path of the table.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Calls `each` with every socket. Returns whether the table exists.
    ///
    /// # Errors
    /// The table cannot be read, or a line is not complete.
    pub(super) fn read(&mut self, mut each: impl FnMut(TableSocket)) -> Result<bool, SourceError> {
        let Self { path, file, buffer } = self;
        let file = match file {
            Some(file) => file,
            None => match File::open(&*path) {
                Ok(opened) => file.insert(opened),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                Err(error) => return Err(failure(path, error)),
            },
        };
        let mut is_header = true;
        let read = read_lines(file, buffer, |line| {
            let is_empty = line.trim_ascii().is_empty();
            if !std::mem::take(&mut is_header) && !is_empty {
                each(parse(line).ok_or_else(|| io::Error::other("a line is not complete"))?);
            }
            Ok(())
        });
        if read.is_err() {
            self.file = None;
        }
        read.map(|()| true).map_err(|error| failure(&self.path, error))
    }
}

/// Returns an error about the file at a path.
pub(super) fn failure(path: &Path, error: impl std::fmt::Display) -> SourceError {
    SourceError::new(format_args!("{}: {error}", path.display()))
}

/// Calls `each` with every line of a file, from its start.
fn read_lines(
    file: &File,
    buffer: &mut [u8],
    mut each: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let (mut offset, mut len) = (0, 0);
    while offset < MAX_BYTES {
        // The start of the buffer has a line whose end was not read yet.
        let read = match file.read_at(&mut buffer[len..], offset) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if read == 0 && len == buffer.len() {
            return Err(io::Error::other("a line is too long"));
        }
        let is_last = read < MIN_READ_BYTES.min(buffer.len() - len);
        offset += read as u64;
        len += read;
        let mut rest = &buffer[..len];
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            each(&rest[..end])?;
            rest = &rest[end + 1..];
        }
        let rest = rest.len();
        buffer.copy_within(len - rest..len, 0);
        len = rest;
        if is_last {
            return if len == 0 { Ok(()) } else { each(&buffer[..len]) };
        }
    }
    Err(io::Error::other(format!("larger than {MAX_BYTES} bytes")))
}

/// Parses a line: number, two addresses, state, and `SEND:RECEIVE`, in hexadecimal.
fn parse(line: &[u8]) -> Option<TableSocket> {
    let line = std::str::from_utf8(line).ok()?;
    let mut fields = line.split_ascii_whitespace().skip(3);
    let state = u8::from_str_radix(fields.next()?, 16).ok()?;
    let (send, receive) = fields.next()?.split_once(':')?;
    let number = |text| u64::from_str_radix(text, 16).ok();
    Some(TableSocket { state, send_queue: number(send)?, receive_queue: number(receive)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::node::testing::Fixture;

    const HEADER: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n";

    #[test]
    fn table_longer_than_the_buffer_is_read_whole() {
        let fixture = Fixture::new();
        let line = " 12: 0100007F:0035 00000000:0000 07 00000002:00000003 00:00000000 0     101\n";
        let lines = 3 * BUFFER_BYTES / line.len();
        fixture.file("proc/net/udp", &format!("{HEADER}{}", line.repeat(lines)));
        let mut table = SocketTable::new(fixture.path("proc/net/udp"));
        for _ in 0..2 {
            let mut sockets = Vec::new();
            assert_eq!(table.read(|socket| sockets.push(socket)), Ok(true));
            let socket = TableSocket { state: 7, send_queue: 2, receive_queue: 3 };
            assert_eq!(sockets, vec![socket; lines]);
        }
    }

    #[test]
    fn missing_table_is_no_error_and_may_appear() {
        let fixture = Fixture::new();
        let mut table = SocketTable::new(fixture.path("proc/net/udp6"));
        assert_eq!(table.read(|_| ()), Ok(false));
        fixture.file("proc/net/udp6", HEADER.trim());
        assert_eq!(table.read(|_| ()), Ok(true));
    }

    #[test]
    fn broken_lines_are_errors() {
        let fixture = Fixture::new();
        let long = "x".repeat(BUFFER_BYTES + 1);
        for line in ["1: a b 07", "1: a b 07 1", "1: a b 107 1:2", "1: a b 7 1:x", &long] {
            fixture.file("proc/net/udp", &format!("{HEADER}{line}"));
            let mut table = SocketTable::new(fixture.path("proc/net/udp"));
            assert!(table.read(|_| ()).is_err(), "{line}");
        }
        fixture.bytes("proc/net/udp", b"\n\xff\xff\n");
        assert!(SocketTable::new(fixture.path("proc/net/udp")).read(|_| ()).is_err());
    }
}
