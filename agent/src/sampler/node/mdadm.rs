//! Software RAID arrays, from `/proc/mdstat` and `/sys/block/md*/md`.

use super::column::{gauge, table};
use super::files::{DeviceFiles, KeptFile, bad_line, malformed};
use super::read_errors::ReadErrors;
use super::{Collector, SourceError};
use crate::sampler::Source;
use crate::tables::{ColumnSpec, Output};

pub(super) const COLLECTOR: Collector = Collector {
    name: "mdadm",
    by_default: true,
    options: &[],
    tables: |_| vec![table(&["device"], &COLUMNS), table(&["device"], &SYSFS_COLUMNS)],
    create: |options| {
        let file = KeptFile::new(options.procfs("mdstat"));
        let devices = DeviceFiles::of_files(options.sysfs("block"), &SYSFS_FILES);
        Ok(Box::new(Arrays { file, devices, read_errors: ReadErrors::new("mdadm") }))
    },
};

/// Indexes of the tables.
const MDSTAT: usize = 0;
const SYSFS: usize = 1;

const DISKS: ColumnSpec = gauge("node_md_disks", "Number of disks of an array, by their state.");
const STATE: ColumnSpec = gauge("node_md_state", "Whether an array is in this state.");

/// The order is that of [`Array::values`].
const COLUMNS: [ColumnSpec; 6 + STATES.len()] = [
    DISKS.labelled(&[("state", "active")]),
    DISKS.labelled(&[("state", "failed")]),
    DISKS.labelled(&[("state", "spare")]),
    gauge("node_md_disks_required", "Number of disks of the complete array."),
    gauge("node_md_blocks", "Size of the array, in blocks of 1 KiB."),
    gauge("node_md_blocks_synced", "Number of blocks of 1 KiB that are synchronized."),
    STATE.labelled(&[("state", "active")]),
    STATE.labelled(&[("state", "inactive")]),
    STATE.labelled(&[("state", "recovering")]),
    STATE.labelled(&[("state", "resync")]),
    STATE.labelled(&[("state", "check")]),
];

/// States of [`Array`], in the order of the columns.
const STATES: [&str; 5] = ["active", "inactive", "recovery", "resync", "check"];

const SYSFS_COLUMNS: [ColumnSpec; 2] = [
    gauge("node_md_degraded", "Number of missing disks of the array."),
    gauge("node_md_raid_disks", "Number of disks of the complete array, from sysfs."),
];

const SYSFS_FILES: [&str; 3] = ["md/level", "md/degraded", "md/raid_disks"];
const LEVEL: usize = 0;
const DEGRADED: usize = 1;
const RAID_DISKS: usize = 2;

#[derive(Debug)]
struct Arrays {
    file: KeptFile,
    devices: DeviceFiles,
    read_errors: ReadErrors,
}

/// An array in the file.
#[derive(Debug, PartialEq)]
struct Array<'a> {
    name: &'a str,
    /// One of [`STATES`], or another one.
    state: &'a str,
    active: u64,
    failed: usize,
    spare: usize,
    required: u64,
    blocks: u64,
    synced: u64,
}

impl Source for Arrays {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        self.read_mdstat(output)?;
        self.read_sysfs(output);
        self.read_errors.finish()
    }
}

impl Arrays {
    fn read_mdstat(&mut self, output: &mut Output) -> Result<(), SourceError> {
        let text = self.file.read_if_exists()?.ok_or(SourceError::NothingFound)?;
        let mut lines = text.lines().peekable();
        let mut broken = None;
        while let Some(line) = lines.next() {
            let Some(header) = Header::parse(line) else { continue };
            let rest = std::iter::from_fn(|| lines.next_if(|line| line.starts_with([' ', '\t'])));
            if let Some(array) = header.array(rest) {
                output.row(MDSTAT, &[array.name]).copy_from_slice(&array.values());
                self.read_errors.check(Ok(()));
            } else {
                broken.get_or_insert_with(|| bad_line(line));
            }
        }
        if let Some(problem) = broken {
            let error = malformed(&self.file, problem);
            self.read_errors.add(error);
        }
        Ok(())
    }

    fn read_sysfs(&mut self, output: &mut Output) {
        let Self { devices, read_errors, .. } = self;
        let listed = devices.list(|name| name.starts_with("md"));
        let Some(devices) = read_errors.check(listed) else { return };
        for device in devices {
            let Some(level) = device.value(LEVEL) else { continue };
            let is_redundant = matches!(level, "raid1" | "raid4" | "raid5" | "raid6" | "raid10");
            let degraded = if is_redundant { device.number(DEGRADED) } else { Some(0.0) };
            // A container has no number of disks.
            let disks = device.number(RAID_DISKS);
            let row = output.row(SYSFS, &[device.name()]);
            for (value, found) in row.iter_mut().zip([degraded, disks]) {
                *value = found.unwrap_or(*value);
            }
            read_errors.check(Ok(()));
        }
    }
}

/// The first line of an array: `NAME : STATE (FLAG)... LEVEL DISK[NUMBER](FLAG)...`.
struct Header<'a> {
    name: &'a str,
    state: &'a str,
    rest: &'a str,
}

impl<'a> Header<'a> {
    /// Parses a line; `None` if it is about all arrays.
    fn parse(line: &'a str) -> Option<Self> {
        let (name, rest) = line.split_once(" : ")?;
        let is_name = !name.is_empty() && !name.starts_with(char::is_whitespace);
        if !is_name || name == "Personalities" {
            return None;
        }
        let rest = rest.trim_start();
        let (state, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        Some(Self { name, state, rest })
    }

    /// Reads the indented lines of the array: its size and disks, then perhaps a bitmap and the
    /// progress of a synchronization.
    fn array(&self, mut lines: impl Iterator<Item = &'a str>) -> Option<Array<'a>> {
        let status = lines.next()?;
        let progress = lines.filter(|line| !line.contains("bitmap:")).find_map(Progress::parse);
        let blocks = status.split_ascii_whitespace().next()?.parse().ok()?;
        let is_level = |field: &&str| !field.starts_with('(') && !field.contains('[');
        let level = self.rest.split_ascii_whitespace().find(is_level);
        let members = self.rest.matches('[').count() as u64;
        let (required, active) = match level {
            Some("raid0" | "linear") => (members, members),
            _ if self.state == "inactive" => (0, 0),
            _ => disks(status)?,
        };
        Some(Array {
            name: self.name,
            state: progress.as_ref().map_or(self.state, |progress| progress.action),
            active,
            failed: self.rest.matches("(F)").count(),
            spare: self.rest.matches("(S)").count(),
            required,
            blocks,
            synced: progress.map_or(blocks, |progress| progress.blocks),
        })
    }
}

/// Returns the numbers in `[REQUIRED/ACTIVE] [UU_]`.
fn disks(status: &str) -> Option<(u64, u64)> {
    let numbers = |field: &str| {
        let (required, active) = field.strip_prefix('[')?.strip_suffix(']')?.split_once('/')?;
        Some((required.parse().ok()?, active.parse().ok()?))
    };
    status.split_ascii_whitespace().rev().find_map(numbers)
}

/// A synchronization: `[==>...]  ACTION = 8.5% (BLOCKS/TOTAL) finish=...`, or `ACTION=DELAYED`.
struct Progress {
    action: &'static str,
    /// Number of blocks that are done; 0 while it waits.
    blocks: u64,
}

impl Progress {
    fn parse(line: &str) -> Option<Self> {
        let actions = ["recovery", "reshape", "check", "resync"];
        let action = actions.into_iter().find(|action| line.contains(action))?;
        let blocks = line.split_once('(').and_then(|(_, rest)| rest.split_once('/'));
        Some(Self {
            action,
            blocks: blocks.and_then(|(blocks, _)| blocks.parse().ok()).unwrap_or(0),
        })
    }
}

impl Array<'_> {
    fn values(&self) -> [f64; COLUMNS.len()] {
        let mut values = [0.0; COLUMNS.len()];
        let (numbers, states) = values.split_at_mut(COLUMNS.len() - STATES.len());
        numbers.copy_from_slice(&[
            self.active as f64,
            self.failed as f64,
            self.spare as f64,
            self.required as f64,
            self.blocks as f64,
            self.synced as f64,
        ]);
        for (value, state) in states.iter_mut().zip(STATES) {
            *value = f64::from(u8::from(self.state == state));
        }
        values
    }
}

#[cfg(test)]
#[path = "mdadm_tests.rs"]
mod tests;
