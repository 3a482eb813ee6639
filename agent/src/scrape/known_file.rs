//! A text file: whether it changed, and its samples.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::ScrapeError;
use super::page_sink::{LeftOut, PageMemory};
use super::relabel::Relabel;
use super::text::{Format, PageLimits, PageReader, Sample, Sink};
use crate::tables::Output;

/// A text file, and what it contained when it was last read.
#[derive(Debug, Default)]
pub(super) struct KnownFile {
    /// `None` if it could not be opened.
    version: Option<Version>,
    /// Why it has no samples: for example it is malformed.
    problem: Option<String>,
    /// Maximum number of samples up to which the problem remains.
    rejected_up_to: usize,
    memory: PageMemory,
    values: Vec<f64>,
}

/// Identifies the content of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Version {
    modified: SystemTime,
    size: u64,
    inode: u64,
}

/// What limits a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct FileLimits {
    /// Maximum age; `None`: any age.
    pub(super) max_age: Option<Duration>,
    /// Maximum size, in bytes.
    pub(super) max_size: u64,
    /// Maximum number of samples: those that the files before it leave.
    pub(super) max_samples: usize,
}

/// What a file is to a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileState {
    /// Its samples were written, or it is too old for that. It was modified at this time.
    Good(SystemTime),
    /// It has no samples: [`KnownFile::problem`].
    Bad,
    /// It was removed after it was listed.
    Removed,
}

impl KnownFile {
    /// Writes the samples of the file. Reads it only if it changed, or if the samples before it
    /// did.
    pub(super) fn write(
        &mut self,
        path: &Path,
        limits: FileLimits,
        relabel: &Relabel,
        output: &mut Output,
    ) -> FileState {
        let version = match version(path) {
            Ok(version) => version,
            Err(error) if is_removed(path, &error) => {
                self.forget(None);
                return FileState::Removed;
            }
            Err(error) => return self.fail(None, error.to_string()),
        };
        let is_same = self.version == Some(version);
        if is_same && self.problem.is_some() && limits.max_samples <= self.rejected_up_to {
            return FileState::Bad;
        }
        let age = version.modified.elapsed().unwrap_or_default();
        if limits.max_age.is_some_and(|max| age > max) {
            self.forget(None);
            return FileState::Good(version.modified);
        }
        if is_same && self.problem.is_none() && self.memory.continues(output) {
            self.values.iter().for_each(|value| _ = output.repeat(*value));
            return FileState::Good(version.modified);
        }
        match self.read(path, limits, relabel, output) {
            Ok(modified) => FileState::Good(modified),
            Err((version, problem)) => self.fail(version, problem),
        }
    }

    /// Returns why the file has no samples.
    pub(super) fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// Returns what the protocol cannot carry of the file.
    pub(super) const fn left_out(&self) -> &LeftOut {
        self.memory.left_out()
    }

    /// Parses the file twice, because its samples count only if all of it is valid. The error has
    /// the version of an invalid content, which need not be read again.
    fn read(
        &mut self,
        path: &Path,
        limits: FileLimits,
        relabel: &Relabel,
        output: &mut Output,
    ) -> Result<SystemTime, (Option<Version>, String)> {
        let (version, page) = content(path, limits.max_size).map_err(|problem| (None, problem))?;
        self.rejected_up_to = usize::MAX;
        let invalid = |problem: String| (Some(version), problem);
        if page.last().is_some_and(|last| *last != b'\n') {
            return Err(invalid("it has no line feed at its end: it is not complete".to_owned()));
        }
        let page_limits = PageLimits {
            max_bytes: limits.max_size,
            max_samples: limits.max_samples,
            ..PageLimits::default()
        };
        let mut reader = PageReader::new(Format::Prometheus, page_limits);
        let result = parse(&mut reader, &page, &mut Validation);
        result.map_err(|error| match error {
            ScrapeError::TooManySamples { max } => {
                // Another limit needs another reading: the files before it may shrink.
                self.rejected_up_to = max;
                invalid(format!(
                    "it has more than the {max} samples that the files before it leave"
                ))
            }
            error => invalid(error.to_string()),
        })?;
        let first = output.samples();
        let result = parse(&mut reader, &page, &mut self.memory.begin(relabel, output));
        result.map_err(|error| invalid(error.to_string()))?;
        self.memory.finish();
        self.values.clear();
        self.values.extend(output.found_values().iter().skip(first));
        (self.version, self.problem) = (Some(version), None);
        Ok(version.modified)
    }

    fn fail(&mut self, version: Option<Version>, problem: String) -> FileState {
        self.forget(version);
        self.problem = Some(problem);
        FileState::Bad
    }

    fn forget(&mut self, version: Option<Version>) {
        self.version = version;
        self.problem = None;
        self.memory.clear();
        self.values.clear();
    }
}

fn parse(reader: &mut PageReader, page: &[u8], sink: &mut impl Sink) -> Result<(), ScrapeError> {
    reader.restart(Format::Prometheus);
    reader.push(page, sink)?;
    reader.finish(sink)
}

/// Sink that only checks a file.
struct Validation;

impl Sink for Validation {
    fn family(&mut self, _: super::text::Metadata<'_>) -> Result<(), ScrapeError> {
        Ok(())
    }

    fn sample(&mut self, sample: &Sample<'_>) -> Result<(), ScrapeError> {
        match sample.timestamp {
            Some(_) => Err(ScrapeError::Unusable("it has timestamps")),
            None => Ok(()),
        }
    }
}

/// Returns whether a file is gone. A link to a file that does not exist is not.
fn is_removed(path: &Path, error: &std::io::Error) -> bool {
    error.kind() == ErrorKind::NotFound && fs::symlink_metadata(path).is_err()
}

/// Returns the version of a regular file.
fn version(path: &Path) -> std::io::Result<Version> {
    // Devices are not opened at all: that may have effects.
    version_of(&fs::metadata(path)?)
}

fn version_of(metadata: &Metadata) -> std::io::Result<Version> {
    if !metadata.is_file() {
        return Err(std::io::Error::other("it is not a regular file"));
    }
    #[cfg(unix)]
    let inode = std::os::unix::fs::MetadataExt::ino(metadata);
    #[cfg(not(unix))]
    let inode = 0;
    Ok(Version { modified: metadata.modified()?, size: metadata.len(), inode })
}

/// Reads a file of at most `max_size` bytes. The version is that before it was read: if it changes
/// meanwhile, the next reading reads it again.
fn content(path: &Path, max_size: u64) -> Result<(Version, Vec<u8>), String> {
    let read = || -> std::io::Result<_> {
        let file = open(path)?;
        let version = version_of(&file.metadata()?)?;
        let mut content = Vec::new();
        if version.size <= max_size {
            file.take(max_size.saturating_add(1)).read_to_end(&mut content)?;
        }
        Ok((version, content))
    };
    let (version, content) = read().map_err(|error| error.to_string())?;
    let is_longer = u64::try_from(content.len()).is_ok_and(|length| length > max_size);
    if version.size > max_size || is_longer {
        return Err(format!("it is longer than {max_size} bytes"));
    }
    Ok((version, content))
}

/// Opens a file. Does not wait for a writer if it has become a FIFO since it was looked at.
fn open(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
        options.custom_flags(i32::try_from(flags.bits()).unwrap_or_default());
    }
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_with_too_many_samples_is_read_again_once_the_others_leave_more() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "a 1\nb 2\n").unwrap();
        let (mut known, mut output) = (KnownFile::default(), Output::default());
        let mut is_good = |max_samples| {
            let limits = FileLimits { max_age: None, max_size: 100, max_samples };
            output.begin();
            let state = known.write(file.path(), limits, &Relabel::default(), &mut output);
            output.finish();
            (matches!(state, FileState::Good(_)), output.samples(), known.problem().is_some())
        };
        assert_eq!(is_good(1), (false, 0, true));
        assert_eq!(is_good(1), (false, 0, true));
        assert_eq!(is_good(2), (true, 2, false));
    }
}
