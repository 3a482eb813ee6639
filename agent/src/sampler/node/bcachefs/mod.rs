//! Bcachefs filesystems and their devices, from `/sys/fs/bcachefs`.
//!
//! The counters differ from kernel to kernel: they are found when reading.

#[cfg(test)]
mod tests;

use std::path::Path;
use std::str::SplitAsciiWhitespace;

use fleetgauge_proto::catalog::FamilyKind;

use super::column::{counter, gauge, table};
use super::files::{
    Entries, Entry, KeptFile, malformed, number_if_exists, parse, parse_existing_file,
};
use super::read_errors::ReadErrors;
use super::{Collector, SourceError};
use crate::sampler::Source;
use crate::tables::{ColumnSpec, FoundFamily, Output};

pub(super) const COLLECTOR: Collector = Collector {
    name: "bcachefs",
    by_default: true,
    options: &[],
    tables: |_| {
        vec![
            table(&["uuid"], &FILESYSTEM),
            table(&["uuid", "algorithm"], &COMPRESSION),
            table(&["uuid", "error_type"], &ERRORS),
            table(&["uuid", "type"], &BTREE_WRITES),
            table(&["uuid", "device", "label", "state"], &DEVICE_INFO),
            table(&["uuid", "device"], &DEVICE),
            table(&["uuid", "device", "operation", "data_type"], &IO_DONE),
            table(&["uuid", "device", "type"], &IO_ERRORS),
        ]
    },
    create: |options| {
        let filesystems = Entries::new(options.sysfs("fs/bcachefs"), Filesystem::new);
        let (name, read_errors) = (String::new(), ReadErrors::new("bcachefs"));
        Ok(Box::new(Bcachefs { filesystems, name, read_errors }))
    },
};

/// Index of the table with the columns [`FILESYSTEM`].
const FILESYSTEM_TABLE: usize = 0;
/// Index of the table with the columns [`COMPRESSION`].
const COMPRESSION_TABLE: usize = 1;
/// Index of the table with the columns [`ERRORS`].
const ERROR_TABLE: usize = 2;
/// Index of the table with the columns [`BTREE_WRITES`].
const BTREE_WRITE_TABLE: usize = 3;
/// Index of the table with the columns [`DEVICE_INFO`].
const DEVICE_INFO_TABLE: usize = 4;
/// Index of the table with the columns [`DEVICE`].
const DEVICE_TABLE: usize = 5;
/// Index of the table with the columns [`IO_DONE`].
const IO_DONE_TABLE: usize = 6;
/// Index of the table with the columns [`IO_ERRORS`].
const IO_ERROR_TABLE: usize = 7;

/// Maximum number of counters of a filesystem. Known kernels have about 150.
const MAX_COUNTERS: usize = 1_000;
/// Maximum number of rows of a file.
const MAX_ROWS: usize = 1_000;

/// Start of the title of a section of the file `io_errors`.
const TITLE: &str = "IO errors since ";
/// Title of the section with the errors since the filesystem was created.
const CREATION_TITLE: &str = "IO errors since filesystem creation";

const FILESYSTEM: [ColumnSpec; 2] = [
    gauge("node_bcachefs_info", "The filesystem exists; always 1."),
    gauge("node_bcachefs_btree_cache_size_bytes", "Memory of the B-tree cache."),
];

const COMPRESSION: [ColumnSpec; 2] = [
    gauge("node_bcachefs_compression_compressed_bytes", "Size of data after compression."),
    gauge("node_bcachefs_compression_uncompressed_bytes", "Size of data before compression."),
];

const ERRORS: [ColumnSpec; 1] = [counter("node_bcachefs_errors_total", "Errors found.")];

const BTREE_WRITES: [ColumnSpec; 2] = [
    counter("node_bcachefs_btree_writes_total", "Writes of B-tree nodes."),
    gauge("node_bcachefs_btree_write_average_size_bytes", "Average size of these writes."),
];

const DEVICE_INFO: [ColumnSpec; 1] =
    [gauge("node_bcachefs_device_info", "Label and state of the device as labels; always 1.")];

const DEVICE: [ColumnSpec; 3] = [
    gauge("node_bcachefs_device_bucket_size_bytes", "Size of a bucket."),
    gauge("node_bcachefs_device_buckets", "Buckets of the device."),
    gauge("node_bcachefs_device_durability", "How many replicas data on the device counts as."),
];

const IO_DONE: [ColumnSpec; 1] =
    [counter("node_bcachefs_device_io_done_bytes_total", "Bytes read and written.")];

const IO_ERRORS: [ColumnSpec; 1] =
    [counter("node_bcachefs_device_io_errors_total", "Failed requests.")];

#[derive(Debug)]
struct Bcachefs {
    filesystems: Entries<Filesystem>,
    /// Buffer for names of families.
    name: String,
    read_errors: ReadErrors,
}

#[derive(Debug)]
struct Filesystem {
    btree_cache_size: KeptFile,
    compression: KeptFile,
    errors: KeptFile,
    btree_writes: KeptFile,
    counters: Entries<KeptFile>,
    devices: Entries<Device>,
}

#[derive(Debug)]
struct Device {
    label: KeptFile,
    state: KeptFile,
    bucket_size: KeptFile,
    buckets: KeptFile,
    durability: KeptFile,
    io_done: KeptFile,
    io_errors: KeptFile,
}

impl Source for Bcachefs {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        let Self { filesystems, name, read_errors } = self;
        let filesystems = filesystems.list(|_| true)?;
        if filesystems.is_empty() {
            return Err(SourceError::NothingFound);
        }
        for Entry { name: uuid, kept: filesystem, .. } in filesystems {
            filesystem.read(uuid, read_errors, output);
            let read = filesystem.read_counters(uuid, name, read_errors, output);
            read_errors.check(read);
            let devices = filesystem.devices.list_if_exists(|name| name.starts_with("dev-"));
            for Entry { name, kept: device, .. } in read_errors.check(devices).into_iter().flatten()
            {
                let name = name.strip_prefix("dev-").unwrap_or(name);
                device.read(uuid, name, read_errors, output);
            }
        }
        read_errors.finish()
    }
}

impl Filesystem {
    fn new(path: &Path) -> Self {
        let file = |name: &str| KeptFile::new(path.join(name));
        Self {
            btree_cache_size: file("btree_cache_size"),
            compression: file("compression_stats"),
            errors: file("errors"),
            btree_writes: file("btree_write_stats"),
            counters: Entries::new(path.join("counters"), |path| KeptFile::new(path)),
            devices: Entries::new(path, Device::new),
        }
    }

    fn read(&mut self, uuid: &str, read_errors: &mut ReadErrors, output: &mut Output) {
        let size = read_errors.check(size_if_exists(&mut self.btree_cache_size));
        set(output.row(FILESYSTEM_TABLE, &[uuid]), [Some(1.0), size.flatten()]);
        // The first line of two of the files has titles.
        read_errors.check(read_rows(&mut self.compression, 1, |algorithm, fields| {
            let values = [size_of(fields.next())?, size_of(fields.next())?];
            output.row(COMPRESSION_TABLE, &[uuid, algorithm]).copy_from_slice(&values);
            Some(())
        }));
        read_errors.check(read_rows(&mut self.errors, 0, |kind, fields| {
            output.row(ERROR_TABLE, &[uuid, kind])[0] = parse(fields.next()?)?;
            Some(())
        }));
        read_errors.check(read_rows(&mut self.btree_writes, 1, |kind, fields| {
            let values = [parse(fields.next()?)?, size_of(fields.next())?];
            output.row(BTREE_WRITE_TABLE, &[uuid, kind]).copy_from_slice(&values);
            Some(())
        }));
    }

    fn read_counters(
        &mut self,
        uuid: &str,
        name: &mut String,
        read_errors: &mut ReadErrors,
        output: &mut Output,
    ) -> Result<(), SourceError> {
        let counters = self.counters.list_if_exists(|_| true)?;
        for Entry { name: counter, kept: file, .. } in counters.iter_mut().take(MAX_COUNTERS) {
            let parse = |text: &str| parse_counter(text).ok_or("not a counter");
            let Some(value) = read_errors.check(parse_existing_file(file, parse)) else { continue };
            name.clear();
            name.push_str("node_bcachefs_");
            let is_valid = |letter: char| letter.is_ascii_alphanumeric();
            name.extend(counter.chars().map(|letter| if is_valid(letter) { letter } else { '_' }));
            name.push_str("_total");
            let (kind, help) = (FamilyKind::CounterAsNamed, "Counter since the filesystem exists.");
            output.sample(FoundFamily { name, kind, help }, &[("uuid", uuid)], value);
        }
        Ok(())
    }
}

impl Device {
    fn new(path: &Path) -> Self {
        let file = |name: &str| KeptFile::new(path.join(name));
        Self {
            label: file("label"),
            state: file("state"),
            bucket_size: file("bucket_size"),
            buckets: file("nbuckets"),
            durability: file("durability"),
            io_done: file("io_done"),
            io_errors: file("io_errors"),
        }
    }

    fn read(
        &mut self,
        uuid: &str,
        device: &str,
        read_errors: &mut ReadErrors,
        output: &mut Output,
    ) {
        let label = self.label.value().unwrap_or_default();
        let state = self.state.value().unwrap_or_default();
        output.row(DEVICE_INFO_TABLE, &[uuid, device, label, state])[0] = 1.0;
        let values = [
            size_if_exists(&mut self.bucket_size),
            number_if_exists(&mut self.buckets),
            number_if_exists(&mut self.durability),
        ];
        let values = values.map(|value| read_errors.check(value).flatten());
        set(output.row(DEVICE_TABLE, &[uuid, device]), values);
        read_errors.check(read_text(&mut self.io_done, |text| {
            let mut operation = "";
            for (name, value) in lines(text) {
                match (name, value) {
                    ("read" | "write", "") => operation = name,
                    _ if operation.is_empty() => {}
                    _ => {
                        let labels = &[uuid, device, operation, name];
                        output.row(IO_DONE_TABLE, labels)[0] = parse(value)?;
                    }
                }
            }
            Some(())
        }));
        read_errors.check(read_text(&mut self.io_errors, |text| {
            // Sections have titles; the next section counts since the last reset.
            let (_, section) = text.split_once(CREATION_TITLE).unwrap_or_default();
            let section = section.split(TITLE).next().unwrap_or_default();
            for (kind, count) in lines(section).filter(|(kind, _)| !kind.is_empty()) {
                output.row(IO_ERROR_TABLE, &[uuid, device, kind])[0] = parse(count)?;
            }
            Some(())
        }));
    }
}

/// Calls `read` with the text of a file, if the file exists.
fn read_text(
    file: &mut KeptFile,
    read: impl FnOnce(&str) -> Option<()>,
) -> Result<(), SourceError> {
    let Some(text) = file.read_if_exists()? else { return Ok(()) };
    let read = read(text);
    read.ok_or_else(|| malformed(file, "a line without number"))
}

/// Calls `row` with the first word of each line, without colon, and the other words. Lines with
/// fewer than two words are skipped, and so are the first lines.
fn read_rows(
    file: &mut KeptFile,
    skipped: usize,
    mut row: impl FnMut(&str, &mut SplitAsciiWhitespace<'_>) -> Option<()>,
) -> Result<(), SourceError> {
    read_text(file, |text| {
        for line in text.lines().skip(skipped).take(MAX_ROWS) {
            let mut words = line.split_ascii_whitespace();
            let name = words.next().unwrap_or_default();
            if words.clone().next().is_some() {
                row(name.strip_suffix(':').unwrap_or(name), &mut words)?;
            }
        }
        Some(())
    })
}

/// Returns what is before and after the first colon of each line that has one.
fn lines(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = text.lines().take(MAX_ROWS).filter_map(|line| line.split_once(':'));
    lines.map(|(name, value)| (name.trim(), value.trim()))
}

/// Returns the value of a counter since the filesystem was created.
fn parse_counter(text: &str) -> Option<f64> {
    let mut lines = text.lines();
    let value = lines.find_map(|line| line.strip_prefix("since filesystem creation:"));
    size_of(value)
}

/// Reads the size in a file; `None` if the file does not exist.
fn size_if_exists(file: &mut KeptFile) -> Result<Option<f64>, SourceError> {
    let Some(text) = file.read_if_exists()? else { return Ok(None) };
    let size = size_of(Some(text));
    if size.is_none() { Err(malformed(file, "not a size")) } else { Ok(size) }
}

/// Parses a size or count that may have a fraction and a unit: `1.5M`.
fn size_of(text: Option<&str>) -> Option<f64> {
    let text = text?.trim();
    let unit = text.chars().next_back()?.to_ascii_lowercase();
    match "kmgtpe".find(unit) {
        Some(power) => {
            let number = parse(text.get(..text.len().saturating_sub(1))?)?;
            let power = i32::try_from(power).ok()?.saturating_add(1);
            Some((number * 1024_f64.powi(power)).trunc())
        }
        None => Some(parse(text)?.trunc()),
    }
}

/// Sets the values of a row that are known.
fn set<const N: usize>(row: &mut [f64], values: [Option<f64>; N]) {
    for (to, from) in row.iter_mut().zip(values) {
        if let Some(value) = from {
            *to = value;
        }
    }
}
