//! Btrfs filesystems, from `/sys/fs/btrfs`.
//!
//! Only what sysfs has: the errors and the free space of each device need ioctls on the mount
//! point, and so do the UUIDs of devices.

use std::path::Path;

use super::column::{counter, gauge, table};
use super::files::{Entries, Entry, KeptFile, parse};
use super::read_errors::ReadErrors;
use super::{Collector, SourceError};
use crate::sampler::Source;
use crate::tables::{ColumnSpec, Output};

pub(super) const COLLECTOR: Collector = Collector {
    name: "btrfs",
    by_default: true,
    options: &[],
    tables: |_| {
        vec![
            table(&["uuid", "label"], &INFO),
            table(&["uuid"], &FILESYSTEM),
            table(&["uuid", "block_group_type", "mode"], &PROFILE),
            table(&["uuid", "device"], &DEVICE),
        ]
    },
    create: |options| {
        let filesystems = Entries::new(options.sysfs("fs/btrfs"), Filesystem::new);
        Ok(Box::new(Btrfs { filesystems, read_errors: ReadErrors::new("btrfs") }))
    },
};

/// Index of the table with the columns [`INFO`].
const INFO_TABLE: usize = 0;
/// Index of the table with the columns [`FILESYSTEM`].
const FILESYSTEM_TABLE: usize = 1;
/// Index of the table with the columns [`PROFILE`].
const PROFILE_TABLE: usize = 2;
/// Index of the table with the columns [`DEVICE`].
const DEVICE_TABLE: usize = 3;

const INFO: [ColumnSpec; 1] =
    [gauge("node_btrfs_info", "Label of the filesystem as a label; always 1.")];

const FILESYSTEM: [ColumnSpec; 8] = [
    gauge("node_btrfs_global_rsv_size_bytes", "Size of the global reserve."),
    counter("node_btrfs_commits_total", "Transactions committed."),
    gauge("node_btrfs_last_commit_seconds", "Duration of the last commit.").decimals(3),
    gauge("node_btrfs_max_commit_seconds", "Duration of the longest commit.").decimals(3),
    counter("node_btrfs_commit_seconds_total", "Duration of all commits.").decimals(3),
    reserved(&[("block_group_type", "data")]),
    reserved(&[("block_group_type", "metadata")]),
    reserved(&[("block_group_type", "system")]),
];

const fn reserved(label: &'static [(&'static str, &'static str)]) -> ColumnSpec {
    gauge("node_btrfs_reserved_bytes", "Space reserved for allocations.").labelled(label)
}

const PROFILE: [ColumnSpec; 3] = [
    gauge("node_btrfs_used_bytes", "Space in use in block groups."),
    gauge("node_btrfs_size_bytes", "Space in block groups."),
    gauge("node_btrfs_allocation_ratio", "Bytes on devices for each byte of data.").decimals(3),
];

const DEVICE: [ColumnSpec; 1] = [gauge("node_btrfs_device_size_bytes", "Size of the device.")];

/// The types of block groups, in the order of the last columns of [`FILESYSTEM`].
const BLOCK_GROUP_TYPES: [&str; 3] = ["data", "metadata", "system"];
/// The lines of the file `commit_stats`, in the order of the columns of [`FILESYSTEM`].
const COMMIT_LINES: [&str; 4] = ["commits", "last_commit_ms", "max_commit_ms", "total_commit_ms"];

const MILLISECONDS_PER_SECOND: f64 = 1000.0;
/// Unit of sizes in sysfs, whatever the block size of the device is.
const SECTOR_BYTES: f64 = 512.0;

#[derive(Debug)]
struct Btrfs {
    filesystems: Entries<Filesystem>,
    read_errors: ReadErrors,
}

#[derive(Debug)]
struct Filesystem {
    label: KeptFile,
    metadata_uuid: KeptFile,
    commits: KeptFile,
    global_reserve: KeptFile,
    allocations: [Allocation; BLOCK_GROUP_TYPES.len()],
    /// Size of each device.
    devices: Entries<KeptFile>,
}

/// The block groups of a type.
#[derive(Debug)]
struct Allocation {
    reserved: KeptFile,
    profiles: Entries<Profile>,
}

/// The block groups of a type that have the same profile, such as `raid1`.
#[derive(Debug)]
struct Profile {
    used: KeptFile,
    size: KeptFile,
}

impl Source for Btrfs {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        // Other directories, such as `features`, have no hyphen.
        let Self { filesystems, read_errors } = self;
        for Entry { name, kept, .. } in filesystems.list_if_exists(|name| name.contains('-'))? {
            read_errors.check(kept.read(name, output));
        }
        read_errors.finish()
    }
}

impl Filesystem {
    fn new(path: &Path) -> Self {
        let allocation = path.join("allocation");
        Self {
            label: KeptFile::new(path.join("label")),
            metadata_uuid: KeptFile::new(path.join("metadata_uuid")),
            commits: KeptFile::new(path.join("commit_stats")),
            global_reserve: KeptFile::new(allocation.join("global_rsv_size")),
            allocations: BLOCK_GROUP_TYPES.map(|kind| Allocation::new(&allocation.join(kind))),
            devices: Entries::new(path.join("devices"), |path| KeptFile::new(path.join("size"))),
        }
    }

    fn read(&mut self, name: &str, output: &mut Output) -> Result<(), SourceError> {
        let uuid = self.metadata_uuid.read_if_exists()?.unwrap_or_default().trim();
        let uuid = if uuid.is_empty() { name } else { uuid };
        let label = self.label.read_if_exists()?.unwrap_or_default().trim();
        let mut values = [0.0; FILESYSTEM.len()];
        let [global_reserve, commits, last, max, total, reserved @ ..] = &mut values;
        *global_reserve = number_or_zero(&mut self.global_reserve)?;
        // Kernels before 5.19 do not have the file.
        let text = self.commits.read_if_exists()?.unwrap_or_default();
        [*commits, *last, *max, *total] = parse_commits(text);

        let mut devices = 0.0;
        for Entry { name: device, kept: size, .. } in self.devices.list_if_exists(|_| true)? {
            devices += 1.0;
            let size = number_or_zero(size)? * SECTOR_BYTES;
            output.row(DEVICE_TABLE, &[uuid, device])[0] = size;
        }
        for ((kind, allocation), reserved) in
            BLOCK_GROUP_TYPES.iter().zip(&mut self.allocations).zip(reserved)
        {
            *reserved = number_or_zero(&mut allocation.reserved)?;
            allocation.read_profiles(uuid, kind, devices, output)?;
        }
        output.row(INFO_TABLE, &[uuid, label])[0] = 1.0;
        output.row(FILESYSTEM_TABLE, &[uuid]).copy_from_slice(&values);
        Ok(())
    }
}

impl Allocation {
    fn new(path: &Path) -> Self {
        let profile = |path: &Path| Profile {
            used: KeptFile::new(path.join("used_bytes")),
            size: KeptFile::new(path.join("total_bytes")),
        };
        Self {
            reserved: KeptFile::new(path.join("bytes_reserved")),
            profiles: Entries::new(path, profile),
        }
    }

    fn read_profiles(
        &mut self,
        uuid: &str,
        kind: &str,
        devices: f64,
        output: &mut Output,
    ) -> Result<(), SourceError> {
        // The other entries are files.
        let is_profile = |name: &str| !name.contains('_') && name != "flags";
        for Entry { name, kept: profile, .. } in self.profiles.list_if_exists(is_profile)? {
            let (used, size) =
                (number_or_zero(&mut profile.used)?, number_or_zero(&mut profile.size)?);
            let values = [used, size, ratio(name, devices)];
            output.row(PROFILE_TABLE, &[uuid, kind, name]).copy_from_slice(&values);
        }
        Ok(())
    }
}

/// Returns how many bytes on devices a byte of data takes.
fn ratio(profile: &str, devices: f64) -> f64 {
    match profile {
        "dup" | "raid1" | "raid10" => 2.0,
        "raid1c3" => 3.0,
        "raid1c4" => 4.0,
        "raid5" if devices > 1.0 => devices / (devices - 1.0),
        "raid6" if devices > 2.0 => devices / (devices - 2.0),
        _ => 1.0,
    }
}

/// Returns the numbers of [`COMMIT_LINES`], durations in seconds; 0 for missing lines.
fn parse_commits(text: &str) -> [f64; COMMIT_LINES.len()] {
    let mut values = [0.0; COMMIT_LINES.len()];
    for line in text.lines() {
        let Some((name, number)) = line.split_once(' ') else { continue };
        let line = COMMIT_LINES.iter().zip(&mut values).find(|(line, _)| **line == name);
        if let (Some((_, value)), Some(number)) = (line, parse(number)) {
            let unit = if name.ends_with("_ms") { MILLISECONDS_PER_SECOND } else { 1.0 };
            *value = number / unit;
        }
    }
    values
}

/// Reads the number of a file; 0 if the file does not exist or has no number.
fn number_or_zero(file: &mut KeptFile) -> Result<f64, SourceError> {
    Ok(file.read_if_exists()?.and_then(parse).unwrap_or(0.0))
}

#[cfg(test)]
#[path = "btrfs_tests.rs"]
mod tests;
