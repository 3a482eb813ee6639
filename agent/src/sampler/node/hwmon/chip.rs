//! Finds the sensors of a chip and names chips.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use fleetgauge_proto::catalog::FamilyKind;

use super::super::files::{Directory, KeptFile};
use super::super::filter::Filter;
use super::sensor::{FileName, Scale, SensorFamily, clean};
use super::tables;

/// Maximum number of a chip's files. A chip with hundreds of sensors has a few thousand.
const MAX_FILES: usize = 10_000;

/// A chip and its sensors.
#[derive(Debug)]
pub(super) struct Chip {
    /// Value of the label `chip`.
    pub(super) label: String,
    /// Value of the label `chip_name`; empty if the chip has no name.
    pub(super) name: String,
    pub(super) sensors: Vec<Sensor>,
}

/// A sensor of a chip.
#[derive(Debug)]
pub(super) struct Sensor {
    /// Value of the label `sensor`.
    pub(super) label: String,
    /// Text of its label file.
    pub(super) text: Option<String>,
    /// Index of its table.
    pub(super) table: usize,
    /// Values in columns of the table.
    pub(super) columns: Vec<(usize, Value)>,
    /// Values of families that are in no table.
    pub(super) found: Vec<(String, FamilyKind, Value)>,
}

/// A file with a value.
#[derive(Debug)]
pub(super) struct Value {
    file: KeptFile,
    scale: Scale,
}

/// Files of a sensor, by property.
type Files = BTreeMap<String, (PathBuf, FileKind)>;
/// Type and number of a sensor.
type FileKind = (&'static str, u32);

impl Chip {
    /// Finds the sensors of a chip that are selected by `chip;sensor`.
    pub(super) fn new(directory: &Path, label: String, sensors: &Filter) -> Self {
        let mut files: BTreeMap<String, Files> = BTreeMap::new();
        // Attributes of old drivers are in the directory of the device. If both directories have
        // an attribute, that of the device counts.
        for directory in [directory.to_owned(), directory.join("device")] {
            add_files(&directory, &mut files);
        }
        let sensors = files
            .into_iter()
            .filter(|(sensor, _)| sensors.selects(&format!("{label};{sensor}")))
            .flat_map(|(sensor, files)| Sensor::all(sensor, &files))
            .collect();
        Self { label, name: chip_name(directory), sensors }
    }
}

impl Sensor {
    /// Creates a sensor of its files. A frequency has another label than the rest of its sensor.
    fn all(label: String, files: &Files) -> Vec<Self> {
        let text = files.get("label").and_then(|(path, _)| {
            let mut file = KeptFile::new(path);
            file.read().ok().map(|text| text.trim_matches('\n').to_owned())
        });
        let has_plain = files.contains_key("");
        let kind = files.values().next().map_or("", |(_, (kind, _))| kind);
        let mut sensor = Self::new(label, kind);
        let mut frequency = text.as_ref().map(|text| Self::new(clean(text), kind));
        for (property, (path, (kind, number))) in files {
            let file = FileName { kind, number: *number, property };
            let Some(family) = SensorFamily::of(file, has_plain) else { continue };
            match (*kind, property.as_str()) {
                // It has no series without a label.
                ("freq", "input") => {
                    frequency.iter_mut().for_each(|frequency| frequency.add(path, &family));
                }
                _ => sensor.add(path, &family),
            }
        }
        sensor.text = text;
        let is_frequency = |sensor: &Self| !sensor.columns.is_empty();
        [sensor].into_iter().chain(frequency.filter(is_frequency)).collect()
    }

    fn new(label: String, kind: &str) -> Self {
        let table = tables::of_type(kind);
        Self { label, text: None, table, columns: Vec::new(), found: Vec::new() }
    }

    fn add(&mut self, path: &Path, family: &SensorFamily) {
        let value = Value { file: KeptFile::new(path), scale: family.scale };
        match tables::column(self.table, &family.name) {
            Some(column) => self.columns.push((column, value)),
            None if family.is_counter() => {
                self.found.push((family.name.clone(), FamilyKind::CounterAsNamed, value));
            }
            None => self.found.push((family.name.clone(), FamilyKind::Gauge, value)),
        }
    }
}

impl Value {
    /// Reads the value; `None` if it cannot be read. Drivers answer some attributes with errors.
    pub(super) fn read(&mut self) -> Option<f64> {
        match self.scale {
            Scale::Divide(divisor) => self.file.number().map(|number| number / divisor),
            Scale::IsOne => Some(if self.file.value()? == "1" { 1.0 } else { 0.0 }),
        }
    }
}

/// Adds the files of a directory that are attributes of sensors, by sensor and property.
fn add_files(directory: &Path, files: &mut BTreeMap<String, Files>) {
    let mut count = 0;
    let listed = Directory::new(directory).list(|name| {
        let Some(file) = FileName::parse(name).filter(|_| count < MAX_FILES) else { return };
        let path = directory.join(name);
        if !is_readable_file(&path) {
            return;
        }
        count += 1;
        let sensor = files.entry(file.sensor()).or_default();
        sensor.insert(file.property.to_owned(), (path, (file.kind, file.number)));
    });
    // A chip without a device or a chip that is gone has no sensors there.
    listed.unwrap_or_default();
}

/// Returns whether it is a file that somebody can read: some attributes can only be written.
fn is_readable_file(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    const READ: u32 = 0o444;
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & READ != 0)
}

/// Returns the value of the label `chip_name`.
pub(super) fn chip_name(directory: &Path) -> String {
    KeptFile::new(directory.join("name")).read().map(clean).unwrap_or_default()
}

/// Returns the label of a chip, if no other chip has the same device. It is made of the path of the
/// device, because the numbers of chips depend on the order in which drivers are loaded.
pub(super) fn chip_label(directory: &Path) -> Option<String> {
    let device = fs::canonicalize(directory.join("device")).ok();
    let from_device = device.and_then(|device| {
        let name = last_name(&device)?;
        let bus = device.parent().and_then(last_name);
        Some(bus.map_or(name.clone(), |bus| format!("{bus}_{name}")))
    });
    from_device
        .or_else(|| Some(chip_name(directory)).filter(|name| !name.is_empty()))
        .or_else(|| last_name(&fs::canonicalize(directory).ok()?))
}

/// Returns the label of a chip that has the same device as another one.
pub(super) fn distinct_label(shared: &str, directory: &Path) -> String {
    let name = chip_name(directory);
    let entry = || directory.file_name().map(|name| clean(&name.to_string_lossy()));
    let suffix = if name.is_empty() { entry().unwrap_or_default() } else { name };
    format!("{shared}_{suffix}")
}

fn last_name(path: &Path) -> Option<String> {
    Some(clean(&path.file_name()?.to_string_lossy())).filter(|name| !name.is_empty())
}
