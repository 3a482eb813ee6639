//! CPUs: times, throttling and whether they are online.

mod devices;
mod info;
mod times;

use devices::{CpuDevices, Isolated};
use info::CpuInfo;
use times::CpuTimes;

use super::column::{counter, gauge, table};
use super::read_errors::ReadErrors;
use super::{Collector, NodeOption, NodeOptions, OptionKind, SourceError};
use crate::sampler::Source;
use crate::tables::{ColumnSpec, Output, TableSpec};

/// Maximum number of CPUs. The kernel supports 8,192. Further ones are ignored.
const MAX_CPUS: usize = 16_384;

pub(super) const COLLECTOR: Collector = Collector {
    name: "cpu",
    by_default: true,
    options: &[
        NodeOption { name: "cpu.guest", kind: OptionKind::Switch, default: "true" },
        NodeOption { name: "cpu.info", kind: OptionKind::Switch, default: "false" },
        NodeOption { name: "cpu.info.flags-include", kind: OptionKind::Pattern, default: "" },
        NodeOption { name: "cpu.info.bugs-include", kind: OptionKind::Pattern, default: "" },
    ],
    tables,
    create: |options| {
        Ok(Box::new(Cpu {
            times: CpuTimes::new(options),
            devices: CpuDevices::new(options),
            isolated: Isolated::read(options),
            info: CpuInfo::is_selected(options).then(|| CpuInfo::new(options)),
            read_errors: ReadErrors::new("cpu"),
        }))
    },
};

// Indexes of the tables. Those of `info` exist only if it is selected.
const TIMES: usize = 0;
const CORES: usize = 1;
const PACKAGES: usize = 2;
const ISOLATED: usize = 3;
const ONLINE: usize = 4;
const INFO: usize = 5;
const FLAGS: usize = 6;
const BUGS: usize = 7;

const CORE_COLUMNS: [ColumnSpec; 1] =
    [counter("node_cpu_core_throttles_total", "Times that the core was throttled.")];
const PACKAGE_COLUMNS: [ColumnSpec; 1] =
    [counter("node_cpu_package_throttles_total", "Times that the package was throttled.")];
const ISOLATED_COLUMNS: [ColumnSpec; 1] =
    [gauge("node_cpu_isolated", "1 for each CPU that the scheduler does not use by itself.")];
const ONLINE_COLUMNS: [ColumnSpec; 1] = [gauge("node_cpu_online", "Whether the CPU is online.")];

fn tables(options: &NodeOptions) -> Vec<TableSpec> {
    let mut tables = vec![
        table(&["cpu"], times::columns(options)),
        table(&["package", "core"], &CORE_COLUMNS),
        table(&["package"], &PACKAGE_COLUMNS),
        table(&["cpu"], &ISOLATED_COLUMNS),
        table(&["cpu"], &ONLINE_COLUMNS),
    ];
    if CpuInfo::is_selected(options) {
        tables.extend(info::tables());
    }
    tables
}

#[derive(Debug)]
struct Cpu {
    times: CpuTimes,
    devices: CpuDevices,
    isolated: Isolated,
    info: Option<CpuInfo>,
    read_errors: ReadErrors,
}

impl Source for Cpu {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        let Self { times, devices, isolated, info, read_errors } = self;
        if let Some(info) = info {
            read_errors.check(info.read(output));
        }
        // The times are what the collector is for: without them the reading fails.
        read_errors.require(times.read(output))?;
        isolated.write(output);
        devices.read(output);
        read_errors.finish()
    }
}

#[cfg(test)]
mod tests;
