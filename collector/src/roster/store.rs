//! The state directory, where the roster is saved.
//!
//! A new file is written next to the old one, synced, and renamed over it, so that a complete file
//! exists at any time. A damaged file is renamed, not deleted.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::SavedRoster;
use super::file_format::{self, Damage};

/// Name of the state file.
pub const FILE: &str = "roster.jsonl";
/// Name of the lock file. A collector holds its lock while it uses the directory.
const LOCK: &str = "roster.lock";

/// A state directory that cannot be used, and why.
#[derive(Debug, thiserror::Error)]
#[error("cannot use state_dir {}: {problem}", .directory.display())]
pub struct BadDirectory {
    directory: PathBuf,
    problem: String,
}

/// A damaged file that was set aside.
#[derive(Debug)]
pub struct SetAside {
    /// Path of the damaged file.
    pub file: PathBuf,
    /// New path of the file, or why it could not be renamed.
    pub to: io::Result<PathBuf>,
    /// What is wrong with the file.
    pub damage: Damage,
}

/// A state directory, locked by this collector.
#[derive(Debug)]
pub struct Store {
    directory: PathBuf,
    _lock: File,
}

impl Store {
    /// Opens and locks the state directory. Creates it if it does not exist.
    ///
    /// # Errors
    /// The directory cannot be created or written to, or another collector uses it.
    pub fn open(directory: &Path) -> Result<Self, BadDirectory> {
        let bad = |problem: String| BadDirectory { directory: directory.to_owned(), problem };
        let unusable = |cause: io::Error| {
            bad(format!("{cause}; choose a directory that the collector can write to"))
        };
        std::fs::create_dir_all(directory).map_err(unusable)?;
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        let lock = options.open(directory.join(LOCK)).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { directory: directory.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                Err(bad("in use by another collector; choose another directory".into()))
            }
            Err(TryLockError::Error(cause)) => Err(unusable(cause)),
        }
    }

    /// Returns the path of the state file.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.directory.join(FILE)
    }

    /// Loads the saved roster from the state file. Returns an empty roster if the file does not
    /// exist.
    ///
    /// # Errors
    /// The file is damaged. It is renamed; `unix`, the current time in unix seconds, is in the new
    /// name.
    pub fn load(&self, unix: u64) -> Result<SavedRoster, SetAside> {
        let file = self.file();
        let damage = match File::open(&file) {
            Ok(opened) => match file_format::read(BufReader::new(opened)) {
                Ok(saved) => return Ok(saved),
                Err(damage) => damage,
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(SavedRoster::default());
            }
            Err(error) => error.into(),
        };
        let to = self.directory.join(format!("{FILE}.damaged-{unix}"));
        let to = std::fs::rename(&file, &to).map(|()| to);
        Err(SetAside { file, to, damage })
    }

    /// Replaces the state file; `unix` is the current time in unix seconds.
    ///
    /// # Errors
    /// The operating system's; the old file remains.
    pub fn save(&self, roster: &SavedRoster, unix: u64) -> io::Result<()> {
        let new = self.directory.join(format!("{FILE}.new"));
        let saved = write(roster, unix, &new).and_then(|()| {
            std::fs::rename(&new, self.directory.join(FILE))?;
            self.sync()
        });
        if saved.is_err() {
            // The disk may be full: free the incomplete file.
            let _ = std::fs::remove_file(&new);
        }
        saved
    }

    /// Syncs the directory, which makes the rename durable.
    fn sync(&self) -> io::Result<()> {
        #[cfg(unix)]
        File::open(&self.directory)?.sync_all()?;
        Ok(())
    }
}

fn write(roster: &SavedRoster, unix: u64, to: &Path) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(to)?);
    file_format::write(roster, unix, &mut file)?;
    file.flush()?;
    file.get_ref().sync_all()
}

#[cfg(test)]
mod tests {
    use fleetgauge_proto::AgentId;

    use super::*;

    fn roster(count: usize) -> SavedRoster {
        let one = |n| (AgentId::try_new(&format!("agent-{n}")).unwrap(), 15_000);
        SavedRoster { connected: (0..count).map(one).collect(), departed: Vec::new() }
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(directory).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name != LOCK).collect();
        names.sort();
        names
    }

    #[test]
    fn saved_roster_is_loaded_and_replaced_completely() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("of/its/own")).unwrap();
        assert_eq!(store.load(1).unwrap(), SavedRoster::default());
        for count in [1_000, 10] {
            store.save(&roster(count), 1).unwrap();
            assert_eq!(store.load(1).unwrap(), roster(count));
        }
        assert_eq!(names(&directory.path().join("of/its/own")), [FILE]);
    }

    #[test]
    fn damaged_file_is_set_aside_and_a_new_one_started() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        store.save(&roster(3), 1).unwrap();
        let file = directory.path().join(FILE);
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[100] ^= 1;
        std::fs::write(&file, &bytes).unwrap();
        let aside = store.load(1_763_832_000).unwrap_err();
        let set_aside = directory.path().join("roster.jsonl.damaged-1763832000");
        assert_eq!(aside.to.unwrap(), set_aside);
        assert_eq!(std::fs::read(&set_aside).unwrap(), bytes);
        assert_eq!(store.load(2).unwrap(), SavedRoster::default());
        store.save(&roster(2), 3).unwrap();
        assert_eq!(store.load(4).unwrap(), roster(2));
    }

    #[test]
    fn failed_write_keeps_the_old_file() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        store.save(&roster(3), 1).unwrap();
        // A directory of that name stands for a disk that rejects writes: as root, the test could
        // write to a read-only directory.
        std::fs::create_dir(directory.path().join("roster.jsonl.new")).unwrap();
        store.save(&roster(4), 2).unwrap_err();
        assert_eq!(store.load(3).unwrap(), roster(3));
        std::fs::remove_dir(directory.path().join("roster.jsonl.new")).unwrap();
        store.save(&roster(4), 4).unwrap();
        assert_eq!(store.load(5).unwrap(), roster(4));
    }

    /// Writes to /dev/full fail as on a full disk.
    #[cfg(target_os = "linux")]
    #[test]
    fn full_disk_is_an_error_and_leaves_no_partial_file() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        store.save(&roster(3), 1).unwrap();
        std::os::unix::fs::symlink("/dev/full", directory.path().join("roster.jsonl.new")).unwrap();
        let error = store.save(&roster(10_000), 2).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{error}");
        assert_eq!(names(directory.path()), [FILE]);
        assert_eq!(store.load(3).unwrap(), roster(3));
    }

    #[test]
    fn directory_in_use_is_rejected() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let error = Store::open(directory.path()).unwrap_err().to_string();
        assert!(error.contains("in use by another collector"), "{error}");
        drop(store);
        Store::open(directory.path()).unwrap();
    }

    #[test]
    fn unusable_directory_is_named_in_the_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = Store::open(&file.path().join("below")).unwrap_err().to_string();
        assert!(error.contains("state_dir") && error.contains("below"), "{error}");
    }
}
