//! The filesystem of `/`, or the system drive on Windows: how full it is, as df says it.

use super::{Reading, Source, SourceError};

/// What was read of the filesystem, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Filesystem {
    /// What files take.
    pub used: u64,
    /// What an ordinary user can still write. Less than what is free where some is kept for root.
    pub available: u64,
}

impl Filesystem {
    /// From statvfs(3): `fragment` bytes in a block, and how many `blocks` there are, `free`, and
    /// `available` to ordinary users.
    #[must_use]
    pub const fn from_blocks(fragment: u64, blocks: u64, free: u64, available: u64) -> Self {
        Self {
            used: blocks.saturating_sub(free).saturating_mul(fragment),
            available: available.saturating_mul(fragment),
        }
    }

    /// Used / (used + available), 0 to 1, as df's Use%: full means that nobody but root can write.
    /// `None` of a filesystem without blocks.
    #[must_use]
    pub fn usage_ratio(&self) -> Option<f64> {
        super::ratio(self.used, self.used.saturating_add(self.available))
    }
}

/// Asks the system, which may take for ever.
pub(super) struct FilesystemSource {
    #[cfg(unix)]
    path: std::path::PathBuf,
    #[cfg(windows)]
    disks: sysinfo::Disks,
}

#[cfg(unix)]
impl FilesystemSource {
    #[expect(clippy::unnecessary_wraps, reason = "the one for Windows can fail")]
    pub(super) fn new() -> Result<Self, SourceError> {
        Ok(Self { path: "/".into() })
    }
}

#[cfg(unix)]
impl Source for FilesystemSource {
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
impl FilesystemSource {
    pub(super) fn new() -> Result<Self, SourceError> {
        let storage = sysinfo::DiskRefreshKind::nothing().with_storage();
        let disks = sysinfo::Disks::new_with_refreshed_list_specifics(storage);
        Ok(Self { disks: disks.map_err(SourceError::new)? })
    }
}

#[cfg(windows)]
impl Source for FilesystemSource {
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

    /// `statvfs` and `df -B1` of one moment on filesystems of several kinds.
    #[test]
    fn agrees_with_df() {
        for fs in fixture::rows(include_str!("fixtures/filesystem.txt")) {
            let seen = Filesystem::from_blocks(
                fs["f_frsize"],
                fs["f_blocks"],
                fs["f_bfree"],
                fs["f_bavail"],
            );
            assert_eq!((seen.used, seen.available), (fs["df_used"], fs["df_avail"]));
            let percent = seen.usage_ratio().unwrap() * 100.0;
            // df rounds up.
            assert_eq!(percent.ceil(), f64::from(u32::try_from(fs["df_percent"]).unwrap()));
        }
    }

    #[test]
    fn a_filesystem_without_blocks_has_no_ratio() {
        assert_eq!(Filesystem::from_blocks(4096, 0, 0, 0).usage_ratio(), None);
    }

    #[test]
    fn nonsense_from_the_system_does_not_wrap() {
        let fs = Filesystem::from_blocks(u64::MAX, 1, 2, u64::MAX);
        assert_eq!(fs.usage_ratio(), Some(0.0));
    }

    #[test]
    fn this_host_can_be_read() {
        let Reading::Filesystem(fs) = FilesystemSource::new().unwrap().read().unwrap() else {
            panic!("not a filesystem reading")
        };
        assert!((0.0..=1.0).contains(&fs.usage_ratio().unwrap()), "{fs:?}");
    }
    #[cfg(target_os = "linux")]
    #[test]
    fn a_filesystem_that_vanishes_or_has_no_blocks_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let mut source = FilesystemSource { path: directory.path().join("mount") };
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
