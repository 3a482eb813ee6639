//! The metrics of node_exporter: one collector a file, with the names, labels, meaning, filters and
//! defaults of node_exporter.
//!
//! A collector declares its tables and creates a [`Source`]. To add one, write its file, a `mod`
//! line and its entry in [`COLLECTORS`].
//!
//! | file | what it is for |
//! |---|---|
//! | `column.rs` | declares columns |
//! | `options.rs` | options of collectors: filters and switches |
//! | `filter.rs` | include and exclude patterns |
//! | `kept_file.rs` | reads a file that stays open |
//! | `directory.rs` | lists a directory that stays open |
//! | `device_files.rs` | reads the same files of every device in a directory |
//! | `testing.rs` | fixtures, and samples as text |

mod column;
mod device_files;
mod directory;
mod filter;
mod kept_file;
mod options;
#[cfg(test)]
mod testing;

mod cpufreq;
mod dmi;
mod edac;
mod hwmon;
mod loadavg;
mod powersupplyclass;
mod rapl;
#[cfg(feature = "systemd")]
mod systemd;
mod thermal_zone;
mod watchdog;

pub(crate) use options::{NodeOption, NodeOptions, NodePaths, OptionKind};

use std::sync::Arc;

use super::{Source, SourceError, SourceSpec};
use crate::tables::TableSpec;

/// A collector: a source of node_exporter's metrics.
#[derive(Debug)]
pub(crate) struct Collector {
    /// Name, as in node_exporter's flag `--collector.NAME`.
    pub(crate) name: &'static str,
    /// Whether it runs unless the settings say otherwise.
    pub(crate) by_default: bool,
    /// Its options.
    pub(crate) options: &'static [NodeOption],
    /// Returns its tables.
    pub(crate) tables: fn(&NodeOptions) -> Vec<TableSpec>,
    /// Creates its source.
    pub(crate) create: fn(&NodeOptions) -> Result<Box<dyn Source>, SourceError>,
}

/// All collectors, by name.
#[rustfmt::skip] // one line each, so that two additions do not conflict
pub(crate) const COLLECTORS: &[Collector] = &[
    cpufreq::COLLECTOR,
    dmi::COLLECTOR,
    edac::COLLECTOR,
    hwmon::COLLECTOR,
    loadavg::COLLECTOR,
    powersupplyclass::COLLECTOR,
    rapl::COLLECTOR,
    #[cfg(feature = "systemd")]
    systemd::COLLECTOR,
    thermal_zone::COLLECTOR,
    watchdog::COLLECTOR,
];

impl Collector {
    /// Returns the source with these options.
    pub(crate) fn source(&self, options: &NodeOptions) -> SourceSpec {
        let (create, options) = (self.create, options.clone());
        let tables = (self.tables)(&options);
        SourceSpec { name: self.name, tables, factory: Arc::new(move || create(&options)) }
    }
}
