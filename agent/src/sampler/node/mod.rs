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
//! | `files/` | files and directories that stay open |
//! | `read_errors.rs` | lets what is broken cost only itself, and logs it |
//! | `rpc_lines.rs` | parses the lines of numbers of NFS |
//! | `netlink/` | asks the kernel about links, neighbours and sockets |
//! | `socket_table.rs` | reads the tables of sockets in procfs |
//! | `udev.rs` | reads the properties of a device in udev's data |
//! | `every.rs` | limits how often something is done |
//! | `line_targets.rs` | where the values of a file's lines go |
//! | `number.rs` | parses numbers |
//! | `own_process.rs` | metrics of the agent's own process; not a collector |
//! | `testing.rs` | fixtures, and samples as text |
//! | `docs_tests.rs` | writes and checks the documentation of all collectors |
//! | `error_tests.rs` | checks that errors name the file that was read |

mod column;
#[cfg(test)]
mod docs_tests;
#[cfg(test)]
mod error_tests;
mod every;
pub(super) mod files;
mod filter;
mod line_targets;
mod netlink;
mod number;
mod options;
mod own_process;
mod read_errors;
mod rpc_lines;
mod socket_table;
#[cfg(test)]
mod testing;
mod udev;

mod arp;
mod bcache;
mod bcachefs;
mod bonding;
mod btrfs;
mod conntrack;
mod cpu;
mod cpufreq;
mod diskstats;
mod dmi;
mod dmmultipath;
mod edac;
mod entropy;
mod fibrechannel;
mod filefd;
mod filesystem;
mod hwmon;
mod infiniband;
mod interrupts;
mod ipvs;
mod kernel_hung;
mod loadavg;
mod mdadm;
mod meminfo;
mod netclass;
mod netdev;
mod netstat;
mod nfs;
mod nfsd;
mod nvme;
mod os;
mod powersupplyclass;
mod pressure;
mod processes;
mod rapl;
mod schedstat;
mod selinux;
mod sockstat;
mod softnet;
mod stat;
#[cfg(feature = "systemd")]
mod systemd;
mod tapestats;
mod tcpstat;
mod thermal_zone;
mod time;
mod timex;
mod udp_queues;
mod uname;
mod vmstat;
mod watchdog;
mod xfs;
mod zfs;

pub(crate) use options::{NodeOption, NodeOptions, OptionKind};

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
    arp::COLLECTOR,
    bcache::COLLECTOR,
    bcachefs::COLLECTOR,
    bonding::COLLECTOR,
    btrfs::COLLECTOR,
    conntrack::COLLECTOR,
    cpu::COLLECTOR,
    cpufreq::COLLECTOR,
    diskstats::COLLECTOR,
    dmi::COLLECTOR,
    dmmultipath::COLLECTOR,
    edac::COLLECTOR,
    entropy::COLLECTOR,
    fibrechannel::COLLECTOR,
    filefd::COLLECTOR,
    filesystem::COLLECTOR,
    hwmon::COLLECTOR,
    infiniband::COLLECTOR,
    interrupts::COLLECTOR,
    ipvs::COLLECTOR,
    kernel_hung::COLLECTOR,
    loadavg::COLLECTOR,
    mdadm::COLLECTOR,
    meminfo::COLLECTOR,
    netclass::COLLECTOR,
    netdev::COLLECTOR,
    netstat::COLLECTOR,
    nfs::COLLECTOR,
    nfsd::COLLECTOR,
    nvme::COLLECTOR,
    os::COLLECTOR,
    powersupplyclass::COLLECTOR,
    pressure::COLLECTOR,
    processes::COLLECTOR,
    rapl::COLLECTOR,
    schedstat::COLLECTOR,
    selinux::COLLECTOR,
    sockstat::COLLECTOR,
    softnet::COLLECTOR,
    stat::COLLECTOR,
    #[cfg(feature = "systemd")]
    systemd::COLLECTOR,
    tapestats::COLLECTOR,
    tcpstat::COLLECTOR,
    thermal_zone::COLLECTOR,
    time::COLLECTOR,
    timex::COLLECTOR,
    udp_queues::COLLECTOR,
    uname::COLLECTOR,
    vmstat::COLLECTOR,
    watchdog::COLLECTOR,
    xfs::COLLECTOR,
    zfs::COLLECTOR,
];

/// Returns the sources besides the collectors: the agent's own process with the set `node`, and the
/// peaks between samples.
pub(crate) fn other_sources(
    has_node: bool,
    peaks: bool,
    options: &NodeOptions,
) -> impl Iterator<Item = SourceSpec> {
    let peaks = peaks.then(|| super::peaks::source(options));
    peaks.into_iter().chain(has_node.then(own_process::source))
}

impl Collector {
    /// Returns the source with these options.
    pub(crate) fn source(&self, options: &NodeOptions) -> SourceSpec {
        let (create, options) = (self.create, options.clone());
        let tables = (self.tables)(&options);
        let factory = Arc::new(move || create(&options));
        SourceSpec { name: self.name, tables, factory, is_collector: true }
    }
}
