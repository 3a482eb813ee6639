//! A file that stays open between readings.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FsWord, fstatfs};

use super::shared_texts::{keep, take_recent};
use crate::sampler::SourceError;

/// Maximum size of a file, in bytes. Mounts and sockets of the largest hosts take a few megabytes.
const MAX_BYTES: usize = 32 * 1024 * 1024;
/// Size of the first read of a file, and of each further read, in bytes: most files fit.
const READ_BYTES: usize = 16 * 1024;
/// Bytes by which a read is longer than the file was before. A read is not made longer than needed:
/// for some files the kernel allocates and clears a buffer of the same size.
const SPARE_BYTES: usize = 512;
/// Size of an attribute of sysfs, in bytes: the smallest page. A shorter read has all of it.
const ATTRIBUTE_BYTES: usize = 4096;
/// Number that statfs(2) has for sysfs.
const SYSFS_MAGIC: FsWord = 0x6265_6572;
/// Capacity of the read buffer that a thread keeps, in bytes.
const KEPT_BUFFER_BYTES: usize = 256 * 1024;
/// Maximum number of files that stay open. All others are opened for each reading.
const MAX_OPEN_FILES: usize = 512;
/// Number of readings that do not look for an attribute that did not exist: most attributes that a
/// device lacks never appear.
const READINGS_WITHOUT_LOOKUP: u8 = 9;

/// Number of files that are open.
static OPEN_FILES: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Files are read into this buffer, so that each keeps only as much memory as it needs.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A file of procfs or sysfs that is read again and again. It stays open, because opening costs
/// more than reading.
#[derive(Debug)]
pub(in crate::sampler) struct KeptFile {
    path: PathBuf,
    file: Option<OpenFile>,
    text: String,
    /// Number of readings of its value before it is looked for again.
    waits: u8,
    /// Whether other sources read the file, too.
    is_shared: bool,
}

impl KeptFile {
    /// Creates a file. It is opened when it is read.
    pub(in crate::sampler) fn new(path: impl Into<PathBuf>) -> Self {
        let (path, text) = (path.into(), String::new());
        Self { path, file: None, text, waits: 0, is_shared: false }
    }

    /// Creates a file that other sources read, too: those that are read in the same round have the
    /// same text.
    pub(in crate::sampler) fn shared(path: impl Into<PathBuf>) -> Self {
        Self { is_shared: true, ..Self::new(path) }
    }

    /// Returns the path.
    pub(in crate::sampler) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the whole file. Bytes that are not UTF-8 are replaced.
    ///
    /// # Errors
    /// The file could not be read. The text of the error has the path.
    pub(in crate::sampler) fn read(&mut self) -> Result<&str, SourceError> {
        let read = self.read_again();
        match read {
            Ok(()) => Ok(&self.text),
            Err(error) => Err(SourceError::new(format_args!("{}: {error}", self.path.display()))),
        }
    }

    /// Reads the whole file; `None` if it does not exist.
    ///
    /// # Errors
    /// The file exists but could not be read.
    pub(in crate::sampler::node) fn read_if_exists(&mut self) -> Result<Option<&str>, SourceError> {
        match self.read_again() {
            Ok(()) => Ok(Some(&self.text)),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(SourceError::new(format_args!("{}: {error}", self.path.display()))),
        }
    }

    /// Reads the value of a sysfs attribute, without white space around it; `None` if it cannot be
    /// read. Drivers answer some attributes with errors. An attribute that did not exist is not
    /// looked for in the next [`READINGS_WITHOUT_LOOKUP`] readings.
    pub(in crate::sampler::node) fn value(&mut self) -> Option<&str> {
        if self.waits > 0 {
            self.waits -= 1;
            return None;
        }
        match self.read_again() {
            Ok(()) => Some(self.text.trim()),
            Err(error) => {
                let is_missing = error.kind() == io::ErrorKind::NotFound;
                self.waits = if is_missing { READINGS_WITHOUT_LOOKUP } else { 0 };
                None
            }
        }
    }

    /// Reads the number of a sysfs attribute; `None` if it cannot be read or is no number.
    pub(in crate::sampler::node) fn number(&mut self) -> Option<f64> {
        self.value()?.parse().ok().filter(|number: &f64| number.is_finite())
    }

    /// Returns whether the file is open, because it was read.
    pub(in crate::sampler::node) const fn is_open(&self) -> bool {
        self.file.is_some()
    }

    /// Returns whether the file may have changed since this was last called: `false` only if the
    /// kernel signals changes of this file, as for lists of mounts, and has signalled none.
    pub(in crate::sampler::node) fn may_have_changed(&self) -> bool {
        let Some(OpenFile { file, .. }) = &self.file else { return true };
        // Files without such signals are always writable, even if they are open for reading.
        let mut polled = [PollFd::new(file, PollFlags::PRI | PollFlags::OUT)];
        poll(&mut polled, Some(&Timespec::default())) != Ok(0)
    }

    /// Reads the whole file into `bytes`, as it is. Returns whether it differs from what they were.
    ///
    /// # Errors
    /// The file could not be read. The bytes are unchanged.
    pub(in crate::sampler::node) fn read_bytes(&mut self, bytes: &mut Vec<u8>) -> io::Result<bool> {
        read_with(&self.path, &mut self.file, |read| {
            let differs = bytes != read;
            if differs {
                bytes.clear();
                bytes.extend_from_slice(read);
            }
            differs
        })
    }

    fn read_again(&mut self) -> io::Result<()> {
        if !self.is_shared {
            return self.read_anew();
        }
        let now = Instant::now();
        if take_recent(&self.path, &mut self.text, now) {
            return Ok(());
        }
        self.read_anew()?;
        keep(&self.path, &self.text, now);
        Ok(())
    }

    fn read_anew(&mut self) -> io::Result<()> {
        read_with(&self.path, &mut self.file, |bytes| {
            self.text.clear();
            match str::from_utf8(bytes) {
                Ok(text) => self.text.push_str(text),
                Err(_) => self.text.push_str(&String::from_utf8_lossy(bytes)),
            }
        })
    }
}

/// Opens the file unless it is open, and calls `take` with its bytes. Keeps it open unless reading
/// fails; also then if it is an attribute that still exists, since some drivers answer with errors.
fn read_with<T>(
    path: &Path,
    kept: &mut Option<OpenFile>,
    take: impl FnOnce(&[u8]) -> T,
) -> io::Result<T> {
    let mut file = match kept.take() {
        Some(file) => file,
        None => OpenFile::open(path)?,
    };
    let taken = BUFFER.with_borrow_mut(|buffer| {
        let taken = file.read_whole(buffer).map(|len| take(&buffer[..len]));
        buffer.truncate(KEPT_BUFFER_BYTES);
        buffer.shrink_to(KEPT_BUFFER_BYTES);
        taken
    });
    let exists = match &taken {
        Ok(_) => true,
        Err(error) => file.is_attribute && !is_gone(error),
    };
    *kept = (file.keeps && exists).then_some(file);
    taken
}

/// Reads a file from its start into the buffer. Returns its length. The first read has this size.
/// A read of an attribute that is shorter than a page is the last one.
fn read_whole(
    file: &File,
    buffer: &mut Vec<u8>,
    first: usize,
    is_attribute: bool,
) -> io::Result<usize> {
    let (mut len, mut wanted) = (0, first);
    loop {
        if buffer.len() < len + wanted {
            buffer.resize(len + wanted, 0);
        }
        match file.read_at(&mut buffer[len..len + wanted], len as u64) {
            Ok(0) => return Ok(len),
            Ok(read) => {
                len += read;
                if is_attribute && read < wanted.min(ATTRIBUTE_BYTES) {
                    return Ok(len);
                }
                wanted = READ_BYTES;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if len > MAX_BYTES {
            return Err(io::Error::other(format!("larger than {MAX_BYTES} bytes")));
        }
    }
}

/// Returns whether the file or its device does not exist.
fn is_gone(error: &io::Error) -> bool {
    let no_device = rustix::io::Errno::NODEV.raw_os_error();
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(no_device)
}

/// An open file, counted.
#[derive(Debug)]
struct OpenFile {
    file: File,
    /// Whether it stays open.
    keeps: bool,
    /// Whether it is a file of sysfs.
    is_attribute: bool,
    /// Size of the next first read.
    first_read: usize,
}

impl OpenFile {
    fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let keeps = OPEN_FILES.fetch_add(1, Ordering::Relaxed) < MAX_OPEN_FILES;
        let is_attribute = fstatfs(&file).is_ok_and(|stat| stat.f_type == SYSFS_MAGIC);
        Ok(Self { file, keeps, is_attribute, first_read: READ_BYTES })
    }

    fn read_whole(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let len = read_whole(&self.file, buffer, self.first_read, self.is_attribute)?;
        self.first_read = len + SPARE_BYTES;
        Ok(len)
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        OPEN_FILES.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::node::testing::Fixture;

    #[test]
    fn file_is_read_again_from_its_start() {
        let fixture = Fixture::new();
        fixture.file("proc/value", "first\n");
        let mut file = KeptFile::new(fixture.path("proc/value"));
        assert_eq!(file.read().unwrap(), "first\n");
        fixture.file("proc/value", "2\n");
        assert_eq!(file.number(), Some(2.0));
        fixture.file("proc/value", "inf\n");
        assert_eq!(file.number(), None);
        fixture.file("proc/value", "");
        assert_eq!(file.read().unwrap(), "");
    }

    #[test]
    fn file_longer_than_the_buffer_is_read_whole() {
        let fixture = Fixture::new();
        let text = "line\n".repeat(KEPT_BUFFER_BYTES / 3);
        fixture.file("proc/long", &text);
        let mut file = KeptFile::new(fixture.path("proc/long"));
        assert!(file.read().unwrap() == text);
        assert!(file.read().unwrap() == text);
    }

    #[test]
    fn missing_file_appears_and_bytes_that_are_no_utf_8_are_replaced() {
        let fixture = Fixture::new();
        let mut file = KeptFile::new(fixture.path("proc/late"));
        assert_eq!(file.read_if_exists(), Ok(None));
        let error = file.read().unwrap_err().to_string();
        assert!(error.contains("proc/late: No such file"), "{error}");
        fixture.bytes("proc/late", b"a\xffb");
        assert_eq!(file.read_if_exists(), Ok(Some("a\u{fffd}b")));
    }

    #[test]
    fn missing_attribute_is_looked_for_every_tenth_reading() {
        let fixture = Fixture::new();
        let mut file = KeptFile::new(fixture.path("sys/late"));
        assert_eq!(file.value(), None);
        fixture.file("sys/late", "1\n");
        let missing = (0..).take_while(|_| file.value().is_none()).count();
        assert_eq!(missing, usize::from(READINGS_WITHOUT_LOOKUP));
        assert_eq!(file.read_if_exists(), Ok(Some("1\n")));
        fixture.file("sys/late", &"2".repeat(3 * SPARE_BYTES));
        assert_eq!(file.value().map(str::len), Some(3 * SPARE_BYTES), "longer than before");
    }

    #[test]
    fn only_files_that_signal_changes_are_known_to_be_unchanged() {
        let fixture = Fixture::new();
        fixture.file("proc/value", "1\n");
        let mut file = KeptFile::new(fixture.path("proc/value"));
        assert!(!file.is_open() && file.may_have_changed());
        file.read().unwrap();
        assert!(file.is_open() && file.may_have_changed());
        let mut mounts = KeptFile::new("/proc/self/mountinfo");
        mounts.read().unwrap();
        // Another process may mount something meanwhile.
        assert!((0..1000).any(|_| !mounts.may_have_changed()));
    }

    #[test]
    fn bytes_are_read_as_they_are_and_compared() {
        let fixture = Fixture::new();
        let mut file = KeptFile::new(fixture.path("proc/bytes"));
        let mut bytes = b"before".to_vec();
        let error = file.read_bytes(&mut bytes).unwrap_err();
        assert_eq!((error.kind(), &*bytes), (io::ErrorKind::NotFound, &b"before"[..]));
        fixture.bytes("proc/bytes", b"a\xffb");
        assert!(file.read_bytes(&mut bytes).unwrap());
        assert_eq!(bytes, b"a\xffb");
        assert!(!file.read_bytes(&mut bytes).unwrap());
        fixture.bytes("proc/bytes", b"");
        assert!(file.read_bytes(&mut bytes).unwrap());
        assert_eq!(bytes, b"");
    }
}
