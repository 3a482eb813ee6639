//! Reads files of credentials and keys, with a size limit and a check of the file mode.

use std::fs::{self, File, Metadata};
use std::io::Read;
use std::path::Path;

/// A file that cannot be used. The error never includes the file's content.
#[derive(Debug, thiserror::Error)]
#[error(
    "{file}{line}: {problem}",
    line = .line.map(|line| format!(", line {line}")).unwrap_or_default()
)]
pub struct FileError {
    file: String,
    /// Line number of the problem, counted from 1; `None`: the whole file.
    line: Option<usize>,
    problem: String,
}

impl FileError {
    /// Creates an error about a whole file.
    #[must_use]
    pub fn new(path: &Path, problem: impl Into<String>) -> Self {
        Self { file: path.display().to_string(), line: None, problem: problem.into() }
    }

    /// Creates an error about one line, counted from 1.
    #[must_use]
    pub fn at(path: &Path, line: usize, problem: impl Into<String>) -> Self {
        Self { line: Some(line), ..Self::new(path, problem) }
    }

    /// Returns the problem without the path.
    #[must_use]
    pub fn problem(&self) -> &str {
        &self.problem
    }
}

/// Reads a secret file of at most `max_bytes`.
///
/// # Errors
/// The file cannot be read, is accessible to every user, or is too long.
pub fn read(path: &Path, max_bytes: u64) -> Result<Vec<u8>, FileError> {
    read_if(path, max_bytes, |metadata| match mode_for_others(metadata) {
        Some(mode) => Err(format!(
            "is accessible to every user (mode {mode:03o}); chmod 600, or chmod 640 with the group \
             of the service"
        )),
        None => Ok(()),
    })
}

/// Reads a secret text file of at most `max_bytes`.
///
/// # Errors
/// As [`read`], or the file is not UTF-8.
pub fn read_text(path: &Path, max_bytes: u64) -> Result<String, FileError> {
    text(path, read(path, max_bytes)?)
}

/// Reads a file of at most `max_bytes`, regardless of its mode.
///
/// # Errors
/// The file cannot be read or is too long.
pub fn read_public(path: &Path, max_bytes: u64) -> Result<Vec<u8>, FileError> {
    read_if(path, max_bytes, |_| Ok(()))
}

/// Reads a text file of at most `max_bytes`, regardless of its mode.
///
/// # Errors
/// As [`read_public`], or the file is not UTF-8.
pub fn read_public_text(path: &Path, max_bytes: u64) -> Result<String, FileError> {
    text(path, read_public(path, max_bytes)?)
}

fn text(path: &Path, bytes: Vec<u8>) -> Result<String, FileError> {
    String::from_utf8(bytes).map_err(|_| FileError::new(path, "is not text in UTF-8"))
}

fn read_if(
    path: &Path,
    max_bytes: u64,
    check: impl Fn(&Metadata) -> Result<(), String>,
) -> Result<Vec<u8>, FileError> {
    let bad = |problem: String| FileError::new(path, problem);
    let cannot = |error| bad(format!("cannot be read: {error}"));
    // Before opening: opening a FIFO waits for a writer.
    if !fs::metadata(path).map_err(cannot)?.is_file() {
        return Err(bad("is not a file".to_owned()));
    }
    let file = File::open(path).map_err(cannot)?;
    check(&file.metadata().map_err(cannot)?).map_err(bad)?;
    let mut bytes = Vec::new();
    file.take(max_bytes + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > max_bytes {
        return Err(bad(format!("has more than {max_bytes} bytes")));
    }
    Ok(bytes)
}

/// Returns the file's mode if it grants access to users other than owner and group.
#[cfg(unix)]
fn mode_for_others(metadata: &Metadata) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    let mode = metadata.permissions().mode() & 0o777;
    (mode & 0o007 != 0).then_some(mode)
}

#[cfg(not(unix))]
fn mode_for_others(_: &Metadata) -> Option<u32> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::mpsc;
    use std::time::Duration;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    /// No process writes to the FIFO, so reading it would block forever.
    #[test]
    fn fifo_is_rejected_without_waiting() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || sender.send(read(&fifo, 16).unwrap_err().to_string()));
        let error = receiver.recv_timeout(Duration::from_secs(20)).unwrap();
        assert!(error.ends_with("fifo: is not a file"), "{error}");
    }

    #[test]
    fn mode_for_every_user_is_rejected() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (mode, accepted) in
            [(0o600, true), (0o640, true), (0o400, true), (0o644, false), (0o602, false)]
        {
            std::fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
            let result = read(file.path(), 16);
            assert_eq!(result.is_ok(), accepted, "{mode:o}");
            if let Err(error) = result {
                assert!(error.to_string().contains(&format!("mode {mode:03o}")), "{error}");
            }
            read_public(file.path(), 16).unwrap();
        }
    }

    #[test]
    fn longer_file_than_allowed_is_rejected() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), [b'x'; 17]).unwrap();
        let error = read(file.path(), 16).unwrap_err();
        assert_eq!(error.problem(), "has more than 16 bytes");
        assert_eq!(read(file.path(), 17).unwrap().len(), 17);
    }
}
