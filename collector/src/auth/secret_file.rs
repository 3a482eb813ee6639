//! Reads files of credentials and keys, with a size limit and a check of the file mode.

use std::fs::{self, File, Metadata};
use std::io::Read;
use std::path::Path;

/// An invalid file of secrets. The error has nothing of its content.
#[derive(Debug, thiserror::Error)]
#[error(
    "{file}{line}: {problem}",
    line = .line.map(|line| format!(", line {line}")).unwrap_or_default()
)]
pub struct BadFile {
    file: String,
    /// Counted from 1.
    line: Option<usize>,
    problem: String,
}

impl BadFile {
    /// Creates an error of a file.
    pub(crate) fn new(path: &Path, problem: impl Into<String>) -> Self {
        Self { file: path.display().to_string(), line: None, problem: problem.into() }
    }

    /// Creates an error of a line.
    pub(super) fn at(path: &Path, line: usize, problem: impl Into<String>) -> Self {
        Self { line: Some(line), ..Self::new(path, problem) }
    }
}

/// Reads a secret text file of at most `most` bytes.
///
/// # Errors
/// The file cannot be read, is accessible to everybody, too long, or not UTF-8.
pub(crate) fn read(path: &Path, most: u64) -> Result<String, BadFile> {
    let bytes = read_if(path, most, |metadata| match open_to_everybody(metadata) {
        Some(mode) => Err(format!(
            "everybody on this host may read or change it (mode {mode:03o}); chmod 600 it, or 640 \
             and give it the collector's group"
        )),
        None => Ok(()),
    })?;
    text(path, bytes)
}

/// Reads a file of at most `most` bytes, whatever its mode.
///
/// # Errors
/// The file cannot be read or is too long.
pub(crate) fn read_public(path: &Path, most: u64) -> Result<Vec<u8>, BadFile> {
    read_if(path, most, |_| Ok(()))
}

/// Reads a text file of at most `most` bytes, whatever its mode.
///
/// # Errors
/// The file cannot be read, is too long, or not UTF-8.
pub(crate) fn read_public_text(path: &Path, most: u64) -> Result<String, BadFile> {
    text(path, read_public(path, most)?)
}

fn text(path: &Path, bytes: Vec<u8>) -> Result<String, BadFile> {
    String::from_utf8(bytes).map_err(|_| BadFile::new(path, "is not text in UTF-8"))
}

fn read_if(
    path: &Path,
    most: u64,
    check: impl Fn(&Metadata) -> Result<(), String>,
) -> Result<Vec<u8>, BadFile> {
    let bad = |problem: String| BadFile::new(path, problem);
    let cannot = |error| bad(format!("cannot be read: {error}"));
    // Before opening: opening a FIFO waits for a writer.
    if !fs::metadata(path).map_err(cannot)?.is_file() {
        return Err(bad("is not a file".to_owned()));
    }
    let file = File::open(path).map_err(cannot)?;
    check(&file.metadata().map_err(cannot)?).map_err(bad)?;
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > most {
        return Err(bad(format!("has more than {most} bytes")));
    }
    Ok(bytes)
}

/// Returns the file's mode if it lets in others than owner and group.
#[cfg(unix)]
fn open_to_everybody(metadata: &Metadata) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    let mode = metadata.permissions().mode() & 0o777;
    (mode & 0o007 != 0).then_some(mode)
}

#[cfg(not(unix))]
fn open_to_everybody(_: &Metadata) -> Option<u32> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    /// Nothing writes to it: reading would wait forever.
    #[test]
    fn a_fifo_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || tell.send(read(&fifo, 16).unwrap_err().to_string()));
        let said = told.recv_timeout(Duration::from_secs(20)).unwrap();
        assert!(said.ends_with("fifo: is not a file"), "{said}");
    }
}
