//! Reading a file that holds secrets: bounded, and not if everybody may.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Why a file of secrets will not do. Nothing of what is in it is said.
#[derive(Debug, thiserror::Error)]
#[error("{file}{line}: {problem}", line = .line.map(|line| format!(", line {line}")).unwrap_or_default())]
pub struct BadFile {
    file: String,
    /// Counted from 1.
    line: Option<usize>,
    problem: String,
}

impl BadFile {
    /// What is wrong with a file, and what to do.
    pub(crate) fn new(path: &Path, problem: impl Into<String>) -> Self {
        Self { file: path.display().to_string(), line: None, problem: problem.into() }
    }

    /// What is wrong with one of its lines.
    pub(super) fn at(path: &Path, line: usize, problem: impl Into<String>) -> Self {
        Self { line: Some(line), ..Self::new(path, problem) }
    }
}

/// The text of a file of at most so many bytes that not everybody may read or write.
///
/// # Errors
/// It cannot be read, is open to everybody, too long, or not text.
pub(crate) fn read(path: &Path, most: u64) -> Result<String, BadFile> {
    let bad = |problem: String| BadFile::new(path, problem);
    let cannot = |error| bad(format!("cannot be read: {error}"));
    let file = File::open(path).map_err(cannot)?;
    let metadata = file.metadata().map_err(cannot)?;
    if !metadata.is_file() {
        return Err(bad("is not a file".to_owned()));
    }
    if let Some(mode) = open_to_everybody(&metadata) {
        return Err(bad(format!(
            "everybody on this host may read or change it (mode {mode:03o}); chmod 600 it, or 640 and give it the \
             collector's group"
        )));
    }
    let mut text = Vec::new();
    file.take(most + 1).read_to_end(&mut text).map_err(cannot)?;
    if text.len() as u64 > most {
        return Err(bad(format!("has more than {most} bytes")));
    }
    String::from_utf8(text).map_err(|_| bad("is not text in UTF-8".to_owned()))
}

/// The file's mode, if it lets others than its owner and group in.
#[cfg(unix)]
fn open_to_everybody(metadata: &std::fs::Metadata) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    let mode = metadata.permissions().mode() & 0o777;
    (mode & 0o007 != 0).then_some(mode)
}

#[cfg(not(unix))]
fn open_to_everybody(_: &std::fs::Metadata) -> Option<u32> {
    None
}
