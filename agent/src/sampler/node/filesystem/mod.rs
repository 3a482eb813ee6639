//! Usage of the mounted filesystems.
//!
//! | file | what it is for |
//! |---|---|
//! | `mounts.rs` | parses the list of mounts |
//! | `stat_workers.rs` | asks mounts on threads, because some hang |

mod mounts;
mod stat_workers;

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use rustix::io::{Errno, retry_on_intr};

use super::column::{gauge, table};
use super::{Collector, NodeOption, NodeOptions, OptionKind, SourceError};
use crate::sampler::Source;
use crate::tables::{ColumnSpec, Output};
use mounts::{Mount, MountTable};
use stat_workers::{Calls, Outcome, StatWorkers, TIMEOUT, Usage};

pub(super) const COLLECTOR: Collector = Collector {
    name: "filesystem",
    by_default: true,
    options: &[
        NodeOption { name: POINTS_INCLUDE, kind: OptionKind::Pattern, default: "" },
        NodeOption { name: POINTS_EXCLUDE, kind: OptionKind::Pattern, default: EXCLUDED_POINTS },
        NodeOption { name: TYPES_INCLUDE, kind: OptionKind::Pattern, default: "" },
        NodeOption { name: TYPES_EXCLUDE, kind: OptionKind::Pattern, default: EXCLUDED_TYPES },
    ],
    tables: |_| {
        vec![
            table(&["device", "mountpoint", "fstype", "device_error"], &COLUMNS),
            table(
                &["device", "major", "minor", "mountpoint"],
                &[gauge("node_filesystem_mount_info", "Device numbers of a mount, always 1.")],
            ),
        ]
    },
    create: |options| {
        let calls =
            Calls { stat: Arc::new(statfs), clock: Arc::new(Instant::now), timeout: TIMEOUT };
        Ok(Box::new(Filesystems::new(options, calls)))
    },
};

const POINTS_INCLUDE: &str = "filesystem.mount-points-include";
const POINTS_EXCLUDE: &str = "filesystem.mount-points-exclude";
const TYPES_INCLUDE: &str = "filesystem.fs-types-include";
const TYPES_EXCLUDE: &str = "filesystem.fs-types-exclude";

const EXCLUDED_POINTS: &str = "^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|\
    var/lib/containers/storage/.+)($|/)";
const EXCLUDED_TYPES: &str = "^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|\
    fusectl|hugetlbfs|iso9660|mqueue|nsfs|overlay|proc|procfs|pstore|rpc_pipefs|securityfs|\
    selinuxfs|squashfs|erofs|sysfs|tracefs)$";

/// Indexes of the tables.
const USAGE: usize = 0;
const MOUNT_INFO: usize = 1;

const COLUMNS: [ColumnSpec; 7] = [
    gauge("node_filesystem_device_error", "Whether the filesystem could not be asked."),
    gauge("node_filesystem_readonly", "Whether the filesystem is read-only."),
    gauge("node_filesystem_size_bytes", "Size of the filesystem."),
    gauge("node_filesystem_free_bytes", "Free space."),
    gauge("node_filesystem_avail_bytes", "Free space for users without privileges."),
    gauge("node_filesystem_files", "Number of inodes."),
    gauge("node_filesystem_files_free", "Number of free inodes."),
];

/// Flag of statfs(2) for a read-only mount or filesystem.
const READ_ONLY: u64 = 1;

/// Label of a mount that does not answer.
const STUCK: &str = "mountpoint timeout";
/// Label of a mount that was not asked.
const NOT_ASKED: &str = "not asked: too many other mounts do not answer";

struct Filesystems {
    mounts: MountTable,
    workers: StatWorkers,
    /// Outcomes of the last reading, to be reused.
    outcomes: Vec<Outcome>,
}

impl Filesystems {
    fn new(options: &NodeOptions, calls: Calls) -> Self {
        Self {
            mounts: MountTable::new(options),
            workers: StatWorkers::new(calls),
            outcomes: Vec::new(),
        }
    }
}

impl Source for Filesystems {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        let mounts = self.mounts.read()?;
        self.workers.ask(&mounts, &mut self.outcomes)?;
        for (mount, outcome) in mounts.iter().zip(&self.outcomes) {
            write(mount, *outcome, output);
        }
        Ok(())
    }
}

fn write(mount: &Mount, outcome: Outcome, output: &mut Output) {
    let Mount { device, mount_point, fs_type, major, minor, .. } = mount;
    let read_only = f64::from(u8::from(mount.read_only));
    let (error, read_only) = match outcome {
        Outcome::Usage(Usage { size, free, available, files, files_free, read_only: is_now }) => {
            // A filesystem may become read-only after an error, before the mounts are read again.
            let read_only = if is_now { 1.0 } else { read_only };
            let values = [0.0, read_only, size, free, available, files, files_free];
            let row = output.row(USAGE, &[device, mount_point, fs_type, ""]);
            row.copy_from_slice(&values);
            output.row(MOUNT_INFO, &[device, major, minor, mount_point])[0] = 1.0;
            return;
        }
        Outcome::Failed(error) => (error_text(error), read_only),
        // node_exporter shows a mount that hangs as writable.
        Outcome::Stuck => (STUCK.into(), 0.0),
        Outcome::NotAsked => (NOT_ASKED.into(), read_only),
    };
    let row = output.row(USAGE, &[device, mount_point, fs_type, &error]);
    row[..2].copy_from_slice(&[1.0, read_only]);
}

/// Asks the filesystem at a path.
fn statfs(path: &Path) -> Result<Usage, Errno> {
    let stat = retry_on_intr(|| rustix::fs::statfs(path))?;
    let bytes = |blocks| blocks as f64 * stat.f_bsize as f64;
    Ok(Usage {
        size: bytes(stat.f_blocks),
        free: bytes(stat.f_bfree),
        available: bytes(stat.f_bavail),
        files: stat.f_files as f64,
        files_free: stat.f_ffree as f64,
        read_only: stat.f_flags as u64 & READ_ONLY != 0,
    })
}

/// Returns the text of an error, worded as node_exporter's. Those of the C library differ.
fn error_text(error: Errno) -> Cow<'static, str> {
    let text = match error {
        Errno::ACCESS => "permission denied",
        Errno::NOENT => "no such file or directory",
        Errno::IO => "input/output error",
        Errno::STALE => "stale NFS file handle",
        Errno::NOTCONN => "transport endpoint is not connected",
        Errno::HOSTDOWN => "host is down",
        Errno::HOSTUNREACH => "no route to host",
        Errno::TIMEDOUT => "connection timed out",
        _ => "",
    };
    if !text.is_empty() {
        return text.into();
    }
    let text = std::io::Error::from(error).to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase().into()
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
