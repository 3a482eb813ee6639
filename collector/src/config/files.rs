//! The files that the configuration is read from, and stamps to detect changes.

use std::path::{Path, PathBuf};

/// Files, each with a stamp that was taken before the file was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files(Vec<(PathBuf, Option<Stamp>)>);

impl Files {
    /// Adds a file that is about to be read.
    pub(super) fn add(&mut self, path: Option<&Path>) {
        self.0.extend(path.map(|path| (path.to_owned(), Stamp::of(path))));
    }

    /// Returns the same files with their current stamps.
    #[must_use]
    pub fn restamped(&self) -> Self {
        Self(self.0.iter().map(|(path, _)| (path.clone(), Stamp::of(path))).collect())
    }

    /// Whether there are no files.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Metadata that changes when a file is written, replaced or gets another mode, or when a symbolic
/// link to it changes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    len: u64,
    modified: Option<std::time::SystemTime>,
    #[cfg(unix)]
    inode: [i64; 4],
}

impl Stamp {
    /// Reads the stamp of a file; `None` if its metadata cannot be read.
    fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self {
            len: metadata.len(),
            modified: metadata.modified().ok(),
            #[cfg(unix)]
            inode: inode(&metadata),
        })
    }
}

/// Returns a file's device, inode, and time of the last metadata change (seconds, nanoseconds).
#[cfg(unix)]
fn inode(metadata: &std::fs::Metadata) -> [i64; 4] {
    use std::os::unix::fs::MetadataExt;
    let [device, inode] = [metadata.dev(), metadata.ino()].map(u64::cast_signed);
    [device, inode, metadata.ctime(), metadata.ctime_nsec()]
}
