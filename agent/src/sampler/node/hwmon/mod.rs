//! Temperatures, voltages, fans and other sensors of hardware monitoring chips, from
//! `/sys/class/hwmon`.
//!
//! | file | what it is for |
//! |---|---|
//! | `tables.rs` | families that most chips have |
//! | `sensor.rs` | what the name of a file means |
//! | `chip.rs` | finds sensors, names chips |

mod chip;
mod sensor;
mod tables;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use self::chip::{Chip, Sensor, chip_label, distinct_label};
use super::every::EveryNth;
use super::files::Directory;
use super::filter::Filter;
use super::{Collector, NodeOption, NodeOptions, OptionKind, SourceError};
use crate::sampler::Source;
use crate::tables::{FoundFamily, Output};

/// Maximum number of entries in the directory of chips. Further ones are ignored.
const MAX_ENTRIES: usize = 1000;
/// Number of readings after which all sensors are searched again: drivers may add some later.
const READINGS_PER_SEARCH: u32 = 100;

pub(super) const COLLECTOR: Collector = Collector {
    name: "hwmon",
    by_default: true,
    options: &[
        pattern("hwmon.chip-include"),
        pattern("hwmon.chip-exclude"),
        pattern("hwmon.sensor-include"),
        pattern("hwmon.sensor-exclude"),
    ],
    tables: |_| tables::all(),
    create: |options| Ok(Box::new(HardwareMonitor::new(options))),
};

const fn pattern(name: &'static str) -> NodeOption {
    NodeOption { name, kind: OptionKind::Pattern, default: "" }
}

#[derive(Debug)]
struct HardwareMonitor {
    path: PathBuf,
    directory: Directory,
    chips: Filter,
    sensors: Filter,
    entries: Vec<Entry>,
    search: EveryNth,
}

/// An entry of the directory of chips.
#[derive(Debug)]
struct Entry {
    name: String,
    path: PathBuf,
    /// Inode of the chip's directory: a chip that takes a free number has another one.
    inode: Option<u64>,
    /// `None` if it is no chip, or not selected.
    chip: Option<Chip>,
}

impl HardwareMonitor {
    fn new(options: &NodeOptions) -> Self {
        let path = options.sysfs("class/hwmon");
        Self {
            directory: Directory::new(&path),
            path,
            chips: options.filter("hwmon.chip-include", "hwmon.chip-exclude"),
            sensors: options.filter("hwmon.sensor-include", "hwmon.sensor-exclude"),
            entries: Vec::new(),
            search: EveryNth::new(READINGS_PER_SEARCH),
        }
    }

    /// Searches chips and sensors if other chips exist than before, or after some time.
    fn update(&mut self) -> Result<(), SourceError> {
        let Self { directory, entries, .. } = self;
        let (mut count, mut changed) = (0, false);
        let listed = directory.list(|name| {
            if count < MAX_ENTRIES {
                count += 1;
                changed |= !entries.iter().any(|entry| entry.name == name && entry.is_current());
            }
        });
        match listed {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.entries.clear();
                return Err(SourceError::NothingFound);
            }
            Err(error) => {
                return Err(SourceError::new(format_args!("{}: {error}", self.path.display())));
            }
        }
        let is_due = self.search.is_due();
        if changed || count != self.entries.len() || is_due {
            self.search();
        }
        Ok(())
    }

    fn search(&mut self) {
        let Self { path, directory, entries, .. } = self;
        entries.clear();
        let listed = directory.list(|name| {
            if entries.len() < MAX_ENTRIES {
                entries.push(Entry::new(name, path.join(name)));
            }
        });
        // The directory was listed before: an error means that it has just disappeared.
        listed.unwrap_or_default();
        entries.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        let labels: Vec<_> = entries.iter().map(Entry::label).collect();
        let mut counts = BTreeMap::new();
        for label in labels.iter().flatten() {
            *counts.entry(label.clone()).or_insert(0_usize) += 1;
        }
        for (entry, label) in self.entries.iter_mut().zip(labels) {
            let Some(label) = label else { continue };
            let is_shared = counts.get(&label).is_some_and(|count| *count > 1);
            let label = if is_shared { distinct_label(&label, &entry.path) } else { label };
            if self.chips.selects(&label) {
                entry.chip = Some(Chip::new(&entry.path, label, &self.sensors));
            }
        }
    }
}

impl Entry {
    fn new(name: &str, path: PathBuf) -> Self {
        let inode = inode(&path);
        Self { name: name.to_owned(), path, inode, chip: None }
    }

    /// Returns whether it is still the same chip.
    fn is_current(&self) -> bool {
        inode(&self.path) == self.inode
    }

    /// Returns the label of the chip; `None` if it is no chip.
    fn label(&self) -> Option<String> {
        self.path.is_dir().then(|| chip_label(&self.path)).flatten()
    }
}

fn inode(path: &PathBuf) -> Option<u64> {
    fs::metadata(path).ok().map(|file| file.ino())
}

impl Source for HardwareMonitor {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        self.update()?;
        for Chip { label, name, sensors } in
            self.entries.iter_mut().filter_map(|entry| entry.chip.as_mut())
        {
            if !name.is_empty() {
                output.row(tables::CHIPS, &[label, name]).fill(1.0);
            }
            for sensor in sensors {
                sensor.read(label, output);
            }
        }
        Ok(())
    }
}

impl Sensor {
    /// Reads all values of a chip's sensor.
    fn read(&mut self, chip: &str, output: &mut Output) {
        if let Some(text) = &self.text {
            output.row(tables::LABELS, &[chip, &self.label, text]).fill(1.0);
        }
        if !self.columns.is_empty() {
            let row = output.row(self.table, &[chip, &self.label]);
            for (column, value) in &mut self.columns {
                if let (Some(cell), Some(value)) = (row.get_mut(*column), value.read()) {
                    *cell = value;
                }
            }
        }
        for (name, kind, value) in &mut self.found {
            let help = "Attribute of a hardware monitoring sensor.";
            let family = FoundFamily { name, kind: *kind, help };
            if let Some(value) = value.read() {
                output.sample(family, &[("chip", chip), ("sensor", &self.label)], value);
            }
        }
    }
}
