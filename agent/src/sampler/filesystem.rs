//! Usage of the root filesystem, or of the system drive on Windows, as `df` shows it.

use super::SourceError;
use super::host::{HostReader, Reading};

/// Usage of a filesystem, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Filesystem {
    /// Used space.
    pub used: u64,
    /// Space available to unprivileged users, without the space reserved for root.
    pub available: u64,
}

impl Filesystem {
    /// Creates filesystem usage from fields of statvfs(3): fragment size in bytes, then total, free
    /// and available blocks.
    #[must_use]
    pub const fn from_blocks(fragment: u64, blocks: u64, free: u64, available: u64) -> Self {
        Self {
            used: blocks.saturating_sub(free).saturating_mul(fragment),
            available: available.saturating_mul(fragment),
        }
    }

    /// Returns used / (used + available), 0 to 1, like Use% of `df`; `None` if the filesystem has
    /// no blocks.
    #[must_use]
    pub fn usage_ratio(&self) -> Option<f64> {
        super::ratio(self.used, self.used.saturating_add(self.available))
    }
}

/// Reads the filesystem. May block for ever on a hung mount.
pub(super) struct FilesystemReader {
    #[cfg(unix)]
    path: std::path::PathBuf,
    #[cfg(windows)]
    disks: sysinfo::Disks,
}

#[cfg(unix)]
impl FilesystemReader {
    #[expect(clippy::unnecessary_wraps, reason = "the Windows version can fail")]
    pub(super) fn new() -> Result<Self, SourceError> {
        Ok(Self { path: "/".into() })
    }
}

#[cfg(unix)]
impl HostReader for FilesystemReader {
    fn read(&mut self) -> Result<Reading, SourceError> {
        let failed = |why: &dyn std::fmt::Display| {
            SourceError::new(format!("{}: {why}", self.path.display()))
        };
        let stat = rustix::fs::statvfs(&self.path).map_err(|error| failed(&error))?;
        let (blocks, free, available) = (stat.f_blocks, stat.f_bfree, stat.f_bavail);
        if blocks == 0 {
            return Err(failed(&"the filesystem has no blocks"));
        }
        let filesystem = Filesystem::from_blocks(stat.f_frsize, blocks, free, available);
        Ok(Reading::Filesystem(filesystem))
    }
}

#[cfg(windows)]
impl FilesystemReader {
    pub(super) fn new() -> Result<Self, SourceError> {
        let storage = sysinfo::DiskRefreshKind::nothing().with_storage();
        let disks = sysinfo::Disks::new_with_refreshed_list_specifics(storage);
        Ok(Self { disks: disks.map_err(SourceError::new)? })
    }
}

#[cfg(windows)]
impl HostReader for FilesystemReader {
    fn read(&mut self) -> Result<Reading, SourceError> {
        let storage = sysinfo::DiskRefreshKind::nothing().with_storage();
        self.disks.refresh_specifics(false, storage);
        let drive = std::env::var("SystemDrive").unwrap_or_else(|_| "C:".to_owned()) + "\\";
        let mut disks = self.disks.iter();
        let disk = disks.find(|disk| disk.mount_point() == std::path::Path::new(&drive));
        let disk = disk.ok_or_else(|| SourceError::new("the system drive is not listed"))?;
        let (total, available) = (disk.total_space(), disk.available_space());
        Ok(Reading::Filesystem(Filesystem { used: total.saturating_sub(available), available }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::fixture;

    /// The fixture has the output of `statvfs` and `df -B1` for several kinds of filesystems.
    #[test]
    fn usage_matches_df() {
        for fs in fixture::rows(include_str!("fixtures/filesystem.txt")) {
            let seen = Filesystem::from_blocks(
                fs["f_frsize"],
                fs["f_blocks"],
                fs["f_bfree"],
                fs["f_bavail"],
            );
            assert_eq!((seen.used, seen.available), (fs["df_used"], fs["df_avail"]));
            let percent = seen.usage_ratio().unwrap() * 100.0;
            // `df` rounds up.
            assert_eq!(percent.ceil(), f64::from(u32::try_from(fs["df_percent"]).unwrap()));
        }
    }

    #[test]
    fn filesystem_without_blocks_has_no_ratio() {
        assert_eq!(Filesystem::from_blocks(4096, 0, 0, 0).usage_ratio(), None);
    }

    #[test]
    fn inconsistent_block_counts_do_not_overflow() {
        let fs = Filesystem::from_blocks(u64::MAX, 1, 2, u64::MAX);
        assert_eq!(fs.usage_ratio(), Some(0.0));
    }

    #[test]
    fn root_filesystem_is_read() {
        let Reading::Filesystem(fs) = FilesystemReader::new().unwrap().read().unwrap() else {
            panic!("not a filesystem reading")
        };
        assert!((0.0..=1.0).contains(&fs.usage_ratio().unwrap()), "{fs:?}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn missing_filesystem_and_filesystem_without_blocks_are_errors() {
        let directory = tempfile::tempdir().unwrap();
        let mut source = FilesystemReader { path: directory.path().join("mount") };
        std::fs::create_dir(&source.path).unwrap();
        source.read().unwrap();
        std::fs::remove_dir(&source.path).unwrap();
        let error = source.read().unwrap_err().to_string();
        assert!(error.contains("/mount: No such file"), "{error}");
        source.path = "/proc".into();
        let error = source.read().unwrap_err().to_string();
        assert_eq!(error, "/proc: the filesystem has no blocks");
    }
}
