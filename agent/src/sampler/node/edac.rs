//! Memory errors that were corrected or not, from `/sys/devices/system/edac/mc`.

use std::collections::BTreeMap;
use std::path::Path;

use super::column::{counter, table};
use super::files::{Device, DeviceFiles, Directory, KeptFile};
use super::number::numbered;
use super::read_errors::ReadErrors;
use super::{Collector, SourceError};
use crate::sampler::Source;
use crate::tables::{ColumnSpec, Output};

/// Maximum number of channels of a row. Hardware has up to 12.
const MAX_CHANNELS: usize = 256;

pub(super) const COLLECTOR: Collector = Collector {
    name: "edac",
    by_default: true,
    options: &[],
    tables: |_| {
        vec![
            table(&["controller"], &CONTROLLER),
            table(&["controller", "csrow"], &ROW),
            table(&["controller", "csrow", "channel", "dimm_label"], &CHANNEL),
        ]
    },
    create: |options| {
        let controllers =
            DeviceFiles::of_files(options.sysfs("devices/system/edac/mc"), &CONTROLLER_FILES);
        Ok(Box::new(Edac {
            controllers,
            rows: BTreeMap::new(),
            read_errors: ReadErrors::new("edac"),
        }))
    },
};

const CONTROLLER_FILES: [&str; 4] = ["ce_count", "ue_count", "ce_noinfo_count", "ue_noinfo_count"];
const ROW_FILES: [&str; 2] = ["ce_count", "ue_count"];

const CONTROLLER: [ColumnSpec; 2] = [
    counter("node_edac_correctable_errors_total", "Memory errors that were corrected."),
    counter("node_edac_uncorrectable_errors_total", "Memory errors that could not be corrected."),
];
const ROW: [ColumnSpec; 2] = [
    counter("node_edac_csrow_correctable_errors_total", "Corrected memory errors of the row."),
    counter("node_edac_csrow_uncorrectable_errors_total", "Uncorrected memory errors of the row."),
];
const CHANNEL: [ColumnSpec; 2] = [
    counter("node_edac_channel_correctable_errors_total", "Corrected errors of the channel."),
    counter("node_edac_channel_uncorrectable_errors_total", "Uncorrected errors of the channel."),
];

#[derive(Debug)]
struct Edac {
    controllers: DeviceFiles,
    /// Rows of each controller.
    rows: BTreeMap<String, Rows>,
    read_errors: ReadErrors,
}

/// The rows of a controller: the memory that one chip select line chooses.
#[derive(Debug)]
struct Rows {
    rows: DeviceFiles,
    /// Channels of each row.
    channels: BTreeMap<String, Vec<Channel>>,
    seen: bool,
}

#[derive(Debug)]
struct Channel {
    number: String,
    /// Label of the memory module. Programs may set it when the host has started.
    label: KeptFile,
    corrected: KeptFile,
    uncorrected: KeptFile,
}

impl Source for Edac {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        let Self { controllers, rows, read_errors } = self;
        rows.values_mut().for_each(|rows| rows.seen = false);
        let controllers = match controllers.list(|name| numbered(name, "mc").is_some()) {
            Err(SourceError::NothingFound) => &mut [],
            controllers => controllers?,
        };
        for controller in controllers {
            let label = numbered(controller.name(), "mc").unwrap_or_default().to_owned();
            if let Some(counts) = read_errors.check(counts(controller, CONTROLLER_FILES)) {
                let [corrected, uncorrected, corrected_elsewhere, uncorrected_elsewhere] = counts;
                output.row(0, &[&label]).copy_from_slice(&[corrected, uncorrected]);
                let elsewhere = [corrected_elsewhere, uncorrected_elsewhere];
                output.row(1, &[&label, "unknown"]).copy_from_slice(&elsewhere);
            }
            if !rows.contains_key(controller.name()) {
                rows.insert(controller.name().to_owned(), Rows::new(controller.path()));
            }
            if let Some(rows) = rows.get_mut(controller.name()) {
                let read = rows.read(&label, read_errors, output);
                read_errors.check(read);
            }
        }
        rows.retain(|_, rows| rows.seen);
        read_errors.finish()
    }
}

impl Rows {
    fn new(controller: &Path) -> Self {
        let rows = DeviceFiles::of_files(controller, &ROW_FILES);
        Self { rows, channels: BTreeMap::new(), seen: true }
    }

    fn read(
        &mut self,
        controller: &str,
        read_errors: &mut ReadErrors,
        output: &mut Output,
    ) -> Result<(), SourceError> {
        self.seen = true;
        let rows = self.rows.list(|name| numbered(name, "csrow").is_some())?;
        self.channels.retain(|name, _| rows.iter().any(|row| row.name() == name));
        for row in rows {
            let label = numbered(row.name(), "csrow").unwrap_or_default().to_owned();
            if let Some(counts) = read_errors.check(counts(row, ROW_FILES)) {
                output.row(1, &[controller, &label]).copy_from_slice(&counts);
            }
            if !self.channels.contains_key(row.name()) {
                self.channels.insert(row.name().to_owned(), channels(row.path()));
            }
            for channel in self.channels.get_mut(row.name()).into_iter().flatten() {
                read_errors.check(channel.read(controller, &label, output));
            }
        }
        Ok(())
    }
}

impl Channel {
    fn read(
        &mut self,
        controller: &str,
        row: &str,
        output: &mut Output,
    ) -> Result<(), SourceError> {
        let corrected = self.corrected.number().ok_or_else(|| no_number(self.corrected.path()))?;
        let label = match self.label.value() {
            Some(label) => module_label(label),
            None => "unknown".to_owned(),
        };
        let values = output.row(2, &[controller, row, &self.number, &label]);
        let uncorrected = self.uncorrected.number();
        for (cell, value) in values.iter_mut().zip([Some(corrected), uncorrected]) {
            *cell = value.unwrap_or(*cell);
        }
        Ok(())
    }
}

/// Finds the channels of a row: they are files of its directory.
fn channels(row: &Path) -> Vec<Channel> {
    let mut channels = Vec::new();
    let file = |channel: &str, file| KeptFile::new(row.join(format!("ch{channel}_{file}")));
    let listed = Directory::new(row).list(|name| {
        let channel = name.strip_suffix("_ce_count").and_then(|name| numbered(name, "ch"));
        if let Some(channel) = channel.filter(|_| channels.len() < MAX_CHANNELS) {
            channels.push(Channel {
                number: channel.to_owned(),
                label: file(channel, "dimm_label"),
                corrected: file(channel, "ce_count"),
                uncorrected: file(channel, "ue_count"),
            });
        }
    });
    // A row that is gone has no channels.
    listed.unwrap_or_default();
    channels
}

/// Returns the label of a memory module as node_exporter shows it.
fn module_label(label: &str) -> String {
    label.replace('#', "").replace("csrow", "_csrow").replace("channel", "_channel")
}

fn counts<const N: usize>(device: &mut Device, files: [&str; N]) -> Result<[f64; N], SourceError> {
    let mut counts = [0.0; N];
    for (file, (count, name)) in counts.iter_mut().zip(files).enumerate() {
        let number = device.number(file);
        *count = number.ok_or_else(|| no_number(&device.path().join(name)))?;
    }
    Ok(counts)
}

fn no_number(path: &Path) -> SourceError {
    SourceError::new(format_args!("{}: no number", path.display()))
}

#[cfg(test)]
#[path = "edac_tests.rs"]
mod tests;
