//! The files that settings were read from, as they were: to be told when one of them changes.

use std::path::{Path, PathBuf};

/// Files, and how each looked before it was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files(Vec<(PathBuf, Option<Stamp>)>);

impl Files {
    /// Looks at a file that is about to be read.
    pub(super) fn look_at(&mut self, path: Option<&Path>) {
        self.0.extend(path.map(|path| (path.to_owned(), Stamp::of(path))));
    }

    /// The same files as they are now.
    #[must_use]
    pub fn as_they_are(&self) -> Self {
        Self(self.0.iter().map(|(path, _)| (path.clone(), Stamp::of(path))).collect())
    }

    /// Whether there are any.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What changes when a file is written, replaced, given another mode, or when a link on the way to it is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    len: u64,
    modified: Option<std::time::SystemTime>,
    #[cfg(unix)]
    inode: [i64; 4],
}

impl Stamp {
    /// `None` if there is no such file.
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

/// Which file it is, and when something but its content was changed.
#[cfg(unix)]
fn inode(metadata: &std::fs::Metadata) -> [i64; 4] {
    use std::os::unix::fs::MetadataExt;
    let [device, inode] = [metadata.dev(), metadata.ino()].map(u64::cast_signed);
    [device, inode, metadata.ctime(), metadata.ctime_nsec()]
}
