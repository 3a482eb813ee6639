//! `InfiniBand` devices and their ports, from `/sys/class/infiniband`.

mod counters;
#[cfg(test)]
mod tests;

use std::path::Path;

use counters::{COUNTERS, HARDWARE_COUNTERS, Scale};

use super::column::{gauge, table};
use super::files::{Entries, Entry, KeptFile, malformed, parse};
use super::filter::Filter;
use super::read_errors::ReadErrors;
use super::{Collector, NodeOption, OptionKind, SourceError};
use crate::sampler::Source;
use crate::tables::{ColumnSpec, Output};

pub(super) const COLLECTOR: Collector = Collector {
    name: "infiniband",
    by_default: true,
    options: &[
        NodeOption { name: INCLUDE, kind: OptionKind::Pattern, default: "" },
        NodeOption { name: EXCLUDE, kind: OptionKind::Pattern, default: "" },
    ],
    tables: |_| {
        let port_labels = &["device", "port"];
        vec![
            table(&INFO_LABELS, &INFO),
            table(port_labels, &PORT),
            table(port_labels, &COUNTERS.map(|(_, _, column)| column)),
            table(port_labels, &HARDWARE_COUNTERS.map(|(_, _, column)| column)),
        ]
    },
    create: |options| {
        let devices = Entries::new(options.sysfs("class/infiniband"), Device::new);
        let read_errors = ReadErrors::new("infiniband");
        Ok(Box::new(InfiniBand { filter: options.filter(INCLUDE, EXCLUDE), devices, read_errors }))
    },
};

const INCLUDE: &str = "infiniband.device-include";
const EXCLUDE: &str = "infiniband.device-exclude";

/// Index of the table with the columns [`INFO`].
const INFO_TABLE: usize = 0;
/// Index of the table with the columns [`PORT`].
const PORT_TABLE: usize = 1;
/// Index of the table with the columns [`COUNTERS`].
const COUNTER_TABLE: usize = 2;
/// Index of the table with the columns [`HARDWARE_COUNTERS`].
const HARDWARE_COUNTER_TABLE: usize = 3;

const INFO_LABELS: [&str; 4] = ["device", "board_id", "firmware_version", "hca_type"];
/// The files of the labels after `device`.
const INFO_FILES: [&str; 3] = ["board_id", "fw_ver", "hca_type"];

const INFO: [ColumnSpec; 1] =
    [gauge("node_infiniband_info", "Properties of the device as labels; always 1.")];

#[rustfmt::skip] // one line each
const PORT: [ColumnSpec; 3] = [
    gauge("node_infiniband_state_id", "State: 1 down, 2 init, 3 armed, 4 active."),
    gauge("node_infiniband_physical_state_id", "Physical state: 3 disabled, 5 link up."),
    gauge("node_infiniband_rate_bytes_per_second", "Maximum rate of the port."),
];

/// Bytes per second of a gigabit per second.
const GIGABIT: f64 = 125_000_000.0;

#[derive(Debug)]
struct InfiniBand {
    filter: Filter,
    devices: Entries<Device>,
    read_errors: ReadErrors,
}

#[derive(Debug)]
struct Device {
    info: [KeptFile; INFO_FILES.len()],
    ports: Entries<Port>,
}

#[derive(Debug)]
struct Port {
    state: KeptFile,
    physical_state: KeptFile,
    rate: KeptFile,
    counters: [KeptFile; COUNTERS.len()],
    hardware_counters: [KeptFile; HARDWARE_COUNTERS.len()],
}

impl Source for InfiniBand {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        let Self { filter, devices, read_errors } = self;
        for Entry { name, kept: device, .. } in devices.list(|name| filter.selects(name))? {
            let mut labels = [name.as_str(); INFO_LABELS.len()];
            for (label, file) in labels.iter_mut().skip(1).zip(&mut device.info) {
                // Each driver has only some of them.
                *label = file.value().unwrap_or_default();
            }
            output.row(INFO_TABLE, &labels)[0] = 1.0;
            let ports = device.ports.list_if_exists(|port| port.parse::<u32>().is_ok());
            for Entry { name: port, kept, .. } in read_errors.check(ports).into_iter().flatten() {
                read_errors.check(kept.read(&[name, port], output));
            }
        }
        read_errors.finish()
    }
}

impl Device {
    fn new(path: &Path) -> Self {
        let info = INFO_FILES.map(|file| KeptFile::new(path.join(file)));
        Self { info, ports: Entries::new(path.join("ports"), Port::new) }
    }
}

impl Port {
    fn new(path: &Path) -> Self {
        let file = |file: &str| KeptFile::new(path.join(file));
        Self {
            state: file("state"),
            physical_state: file("phys_state"),
            rate: file("rate"),
            counters: COUNTERS.map(|(name, ..)| file(name)),
            hardware_counters: HARDWARE_COUNTERS.map(|(name, ..)| file(name)),
        }
    }

    fn read(&mut self, labels: &[&str; 2], output: &mut Output) -> Result<(), SourceError> {
        let state = read_with(&mut self.state, parse_state)?;
        let physical_state = read_with(&mut self.physical_state, parse_state)?;
        let rate = read_with(&mut self.rate, parse_rate)?;
        output.row(PORT_TABLE, labels).copy_from_slice(&[state, physical_state, rate]);

        let [device, _] = labels;
        // Other drivers do not have these directories, or other counters in them.
        if !device.starts_with("irdma") && !device.starts_with("nvs_") {
            let row = output.row(COUNTER_TABLE, labels);
            read_counters(&mut self.counters, &COUNTERS, row);
        }
        if device.starts_with("irdma") || device.starts_with("mlx5_") {
            let row = output.row(HARDWARE_COUNTER_TABLE, labels);
            read_counters(&mut self.hardware_counters, &HARDWARE_COUNTERS, row);
        }
        Ok(())
    }
}

/// Reads the counters that the port has. Drivers answer some with errors or `N/A (no PMA)`.
fn read_counters(files: &mut [KeptFile], counters: &[counters::Counter], row: &mut [f64]) {
    for ((file, (_, scale, _)), value) in files.iter_mut().zip(counters).zip(row) {
        let Some(number) = file.value().and_then(parse) else { continue };
        *value = match scale {
            Scale::One => number,
            Scale::Words => number * 4.0,
            Scale::WholeSeconds => (number / 1000.0).trunc(),
        };
    }
}

/// Reads a file that must have this form.
fn read_with(file: &mut KeptFile, parse: fn(&str) -> Option<f64>) -> Result<f64, SourceError> {
    let value = parse(file.read()?);
    value.ok_or_else(|| malformed(file, "neither a state nor a rate"))
}

/// Parses the number of a state: `4: ACTIVE`.
fn parse_state(text: &str) -> Option<f64> {
    let (number, _) = text.split_once(':')?;
    parse(number)
}

/// Parses a rate: `100 Gb/sec (4X EDR)`.
fn parse_rate(text: &str) -> Option<f64> {
    let (number, _) = text.trim_start().split_once(' ')?;
    Some((parse(number)? * GIGABIT).trunc())
}
