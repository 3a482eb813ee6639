//! The file of the journal. It only grows, until a new one replaces it.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Name of the journal in the state directory.
pub(super) const FILE: &str = "remote_write_agents";

/// An open journal.
#[derive(Debug)]
pub(super) struct JournalFile {
    file: File,
    bytes: u64,
}

impl JournalFile {
    /// Replaces the journal by one that `write` writes. `write` returns its size.
    /// The old file remains if that fails.
    pub(super) fn replace(
        directory: &Path,
        write: impl FnOnce(&mut dyn Write) -> io::Result<u64>,
    ) -> io::Result<Self> {
        let new = directory.join(format!("{FILE}.new"));
        let replaced = write_to(&new, write).and_then(|own| {
            std::fs::rename(&new, path_in(directory))?;
            #[cfg(unix)]
            File::open(directory)?.sync_all()?;
            Ok(own)
        });
        if replaced.is_err() {
            // The disk may be full: free the incomplete file.
            let _ = std::fs::remove_file(&new);
        }
        replaced
    }

    pub(super) fn append(&mut self, records: &[u8]) -> io::Result<()> {
        self.file.write_all(records)?;
        self.bytes += records.len() as u64;
        Ok(())
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Returns a file whose writes fail as on a full disk.
    #[cfg(all(test, target_os = "linux"))]
    pub(super) fn full() -> io::Result<Self> {
        let file = File::options().write(true).open("/dev/full")?;
        Ok(Self { file, bytes: 0 })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Returns the path of the journal in a state directory.
pub(super) fn path_in(directory: &Path) -> PathBuf {
    directory.join(FILE)
}

/// Renames a file that cannot be read. `unix`, the time in unix seconds, is in the new name.
pub(super) fn set_aside(directory: &Path, unix: u64) -> io::Result<PathBuf> {
    let to = directory.join(format!("{FILE}.damaged-{unix}"));
    std::fs::rename(path_in(directory), &to).map(|()| to)
}

fn write_to(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<u64>,
) -> io::Result<JournalFile> {
    let mut file = File::create(path)?;
    let bytes = write(&mut file)?;
    file.sync_all()?;
    Ok(JournalFile { file, bytes })
}
