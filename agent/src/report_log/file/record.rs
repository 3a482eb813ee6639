//! Records of the file: their lengths and checksums.

use std::io::{self, Read};

use crc32fast::Hasher;
use fleetgauge_proto::AgentId;

use super::{MAGIC, MAX_RECORD_BYTES, VERSION};

/// Length and checksum of a record, in bytes.
const HEAD_BYTES: usize = 8;
/// Kinds of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Catalogs = 1,
    Segment = 2,
    Reports = 3,
    State = 4,
}

impl Kind {
    fn from_u8(number: u8) -> Option<Self> {
        [Self::Catalogs, Self::Segment, Self::Reports, Self::State]
            .into_iter()
            .find(|kind| *kind as u8 == number)
    }
}

/// Appends the start of the file. Returns its checksum, which that of the first record continues.
pub(super) fn push_start(id: &AgentId, out: &mut Vec<u8>) -> u32 {
    let start = out.len();
    out.extend_from_slice(&MAGIC);
    // An id has at most 128 bytes.
    out.extend_from_slice(&[VERSION, id.as_str().len() as u8]);
    out.extend_from_slice(id.as_str().as_bytes());
    let checksum = checksum(0, &[out.get(start..).unwrap_or_default()]);
    out.extend_from_slice(&checksum.to_le_bytes());
    checksum
}

/// Appends a record whose content `write` appends. Returns its checksum.
pub(super) fn push(
    before: u32,
    kind: Kind,
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>),
) -> u32 {
    let start = out.len();
    out.extend_from_slice(&[0; HEAD_BYTES]);
    out.push(kind as u8);
    write(out);
    let Some((head, body)) =
        out.get_mut(start..).and_then(|all| all.split_at_mut_checked(HEAD_BYTES))
    else {
        return before;
    };
    // A longer record is not read again: see MAX_RECORD_BYTES.
    let len = u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes();
    let checksum = checksum(before, &[&len, body]);
    head.copy_from_slice(&[len, checksum.to_le_bytes()].concat());
    checksum
}

fn checksum(before: u32, parts: &[&[u8]]) -> u32 {
    let mut hasher = Hasher::new_with_initial(before);
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize()
}

/// Why the rest of a file cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Damaged;

/// Reads the records of a file.
pub(super) struct Records<R> {
    input: R,
    checksum: u32,
    /// Number of bytes that are not read yet.
    rest: u64,
    content: Vec<u8>,
}

impl<R: Read> Records<R> {
    /// Creates the reader of the rest of a file, `rest` bytes, behind the checksum of its start.
    pub(super) fn new(input: R, checksum: u32, rest: u64) -> Self {
        Self { input, checksum, rest, content: Vec::new() }
    }

    /// Returns the next record; `None` at the end of the file.
    pub(super) fn next(&mut self) -> Result<Option<(Kind, &[u8])>, Damaged> {
        if self.rest == 0 {
            return Ok(None);
        }
        let mut head = [0; HEAD_BYTES];
        self.input.read_exact(&mut head).map_err(|_| Damaged)?;
        let (len, expected) = head.split_at(HEAD_BYTES / 2);
        let len_bytes = <[u8; 4]>::try_from(len).map_err(|_| Damaged)?;
        let len = u32::from_le_bytes(len_bytes);
        let size = HEAD_BYTES as u64 + u64::from(len);
        if len == 0 || len as usize > MAX_RECORD_BYTES || size > self.rest {
            return Err(Damaged);
        }
        self.content.resize(len as usize, 0);
        self.input.read_exact(&mut self.content).map_err(|_| Damaged)?;
        let found = checksum(self.checksum, &[&len_bytes, &self.content]);
        if found.to_le_bytes() != *expected {
            return Err(Damaged);
        }
        let (kind, content) = self.content.split_first().ok_or(Damaged)?;
        let kind = Kind::from_u8(*kind).ok_or(Damaged)?;
        (self.checksum, self.rest) = (found, self.rest - size);
        Ok(Some((kind, content)))
    }

    /// Returns the number of bytes after the last record that was read.
    pub(super) const fn rest(&self) -> u64 {
        self.rest
    }
}

/// The start of a file.
#[derive(Debug)]
pub(super) struct Start {
    /// Version of the format.
    pub(super) version: u8,
    /// The agent's id; `None` if it is damaged or the version is another one.
    pub(super) id: Option<String>,
    pub(super) checksum: u32,
    /// Size, in bytes.
    pub(super) bytes: u64,
}

/// Reads the start of a file; `None` if it is not one of a log.
pub(super) fn read_start(input: &mut impl Read) -> io::Result<Option<Start>> {
    let mut start = Vec::new();
    // Shorter files are no error.
    let mut read = |count: usize, start: &mut Vec<u8>| {
        input.by_ref().take(count as u64).read_to_end(start).map(|read| read == count)
    };
    if !read(MAGIC.len() + 2, &mut start)? || !start.starts_with(&MAGIC) {
        return Ok(None);
    }
    let [.., version, id_bytes] = *start else { return Ok(None) };
    let mut found = Start { version, id: None, checksum: 0, bytes: 0 };
    let id_at = start.len();
    if version == VERSION && read(usize::from(id_bytes), &mut start)? {
        found.checksum = checksum(0, &[&start]);
        let mut expected = Vec::new();
        if read(4, &mut expected)? && expected == found.checksum.to_le_bytes() {
            let id = start.get(id_at..).unwrap_or_default();
            found.id = std::str::from_utf8(id).ok().map(str::to_owned);
            found.bytes = (start.len() + expected.len()) as u64;
        }
    }
    Ok(Some(found))
}
