//! Creates, locks and replaces the file.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufReader, ErrorKind, Write};
use std::path::{Path, PathBuf};

use fleetgauge_proto::AgentId;

use super::{Restored, Unreadable, restore};
use crate::report_log::LogLimits;

/// A place for the bytes of a log.
pub(crate) trait Storage: Send {
    /// Begins a new file, which does not replace the present one yet.
    fn create(&mut self) -> io::Result<()>;

    /// Appends to the file that was begun last.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Replaces the present file by the new one.
    fn publish(&mut self) -> io::Result<()>;

    /// Waits until what was written is on the disk.
    fn sync(&mut self) -> io::Result<()>;

    /// Deletes a new file that did not become complete.
    fn discard(&mut self);
}

/// Why the file cannot be used at present.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// Another process has locked it.
    #[error("in use by another agent; choose another log_file")]
    InUse,
    /// Its content cannot be used, or be set aside.
    #[error("{0}")]
    Unreadable(#[from] Unreadable),
    /// It is a device, a pipe or a directory.
    #[error("not a regular file; choose another log_file")]
    NotAFile,
    /// The system does not allow it.
    #[error("{0}; choose a log_file in a directory that the agent can write to")]
    Io(#[from] io::Error),
}

/// What was in a file.
#[derive(Debug)]
pub(crate) enum Content {
    /// The log of the agent.
    Log(Restored),
    /// Something else, so the file was renamed.
    SetAside {
        /// New path.
        to: PathBuf,
        /// Why it was renamed.
        cause: String,
    },
}

/// The file of a log. A lock file beside it is locked while it is used.
#[derive(Debug)]
pub(crate) struct LogFile {
    path: PathBuf,
    _lock: File,
    file: Option<File>,
    /// Size of the open file, in bytes.
    bytes: u64,
}

impl LogFile {
    /// Locks the file. The lock is one of a file of its own, since the file itself is replaced.
    pub(crate) fn lock(path: &Path) -> Result<Self, OpenError> {
        if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            return Err(OpenError::NotAFile);
        }
        let lock = private().create(true).truncate(false).open(beside(path, ".lock"))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock, file: None, bytes: 0 }),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }

    /// Reads the log. A file of another version or agent is renamed.
    pub(crate) fn read(
        &self,
        id: &AgentId,
        limits: LogLimits,
        now_ms: u64,
    ) -> Result<Option<Content>, OpenError> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let bytes = file.metadata()?.len();
        if bytes == 0 {
            return Ok(None);
        }
        match restore(BufReader::new(file), bytes, id, limits, now_ms) {
            Ok(restored) => Ok(Some(Content::Log(restored))),
            Err(cause @ (Unreadable::NotALog | Unreadable::Io(_))) => Err(cause.into()),
            Err(cause) => {
                let to = self.set_aside()?;
                Ok(Some(Content::SetAside { to, cause: cause.to_string() }))
            }
        }
    }

    /// Renames the file, if it is the log of an agent, so that another one can be begun.
    pub(crate) fn make_way(&self, id: &AgentId) -> Result<(), OpenError> {
        // No report is kept, only the start matters.
        let limits = LogLimits { bytes: 0, ..LogLimits::default() };
        if let Some(Content::Log(_)) = self.read(id, limits, 0)? {
            self.set_aside()?;
        }
        Ok(())
    }

    fn set_aside(&self) -> io::Result<PathBuf> {
        let to = beside(&self.path, ".old");
        std::fs::rename(&self.path, &to)?;
        Ok(to)
    }

    fn new_path(&self) -> PathBuf {
        beside(&self.path, ".new")
    }
}

impl Storage for LogFile {
    fn create(&mut self) -> io::Result<()> {
        let path = self.new_path();
        // One of another process may have another mode.
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.file = Some(private().create_new(true).open(path)?);
        self.bytes = 0;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let file = self.file.as_mut().ok_or(ErrorKind::NotFound)?;
        let end = self.bytes.saturating_add(bytes.len() as u64);
        // The signal of the system would end the process.
        if file_size_limit().is_some_and(|limit| end > limit) {
            return Err(io::Error::new(
                ErrorKind::FileTooLarge,
                "the process may not write files of this size; raise its limit \
                 (LimitFSIZE= of systemd)",
            ));
        }
        file.write_all(bytes)?;
        self.bytes = end;
        Ok(())
    }

    fn publish(&mut self) -> io::Result<()> {
        self.sync()?;
        std::fs::rename(self.new_path(), &self.path)?;
        sync_directory(&self.path)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), File::sync_all)
    }

    fn discard(&mut self) {
        self.file = None;
        // The disk may be full.
        let _ = std::fs::remove_file(self.new_path());
    }
}

/// Returns options for a file that only this user can read.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Returns a path with another suffix behind the whole name.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// Makes a rename durable.
fn sync_directory(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// Returns the maximum size of a file of this process, in bytes.
fn file_size_limit() -> Option<u64> {
    #[cfg(unix)]
    return rustix::process::getrlimit(rustix::process::Resource::Fsize).current;
    #[cfg(not(unix))]
    None
}

#[cfg(test)]
#[cfg(unix)]
#[path = "storage_tests.rs"]
mod tests;
