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
//! | `rpc_lines.rs` | parses the lines of numbers of NFS |
//! | `udev.rs` | reads the properties of a device in udev's data |
//! | `every.rs` | limits how often something is done |
//! | `line_targets.rs` | where the values of a file's lines go |
//! | `number.rs` | parses numbers |
//! | `entries.rs` | keeps files or directories for each entry of a directory |
//! | `testing.rs` | fixtures, and samples as text |

mod column;
mod device_files;
mod directory;
mod every;
mod entries;
mod filter;
mod kept_file;
mod line_targets;
mod number;
mod options;
mod rpc_lines;
#[cfg(test)]
mod testing;
mod udev;

mod diskstats;
mod filesystem;
mod loadavg;
mod mdadm;
mod nfs;
mod nfsd;
mod processes;
mod cpu;
mod entropy;
mod filefd;
mod interrupts;
mod kernel_hung;
mod loadavg;
mod meminfo;
mod os;
mod pressure;
mod schedstat;
mod selinux;
mod softnet;
mod stat;
mod time;
mod timex;
mod uname;
mod vmstat;
mod arp;
mod bonding;
mod conntrack;
mod ipvs;
mod ipvs_backend;
mod loadavg;
mod netclass;
mod netclass_files;
mod netclass_netlink;
mod netdev;
mod netdev_address;
mod netdev_columns;
mod netdev_files;
mod netlink;
mod netstat;
mod netstat_layout;
mod socket_table;
mod sockstat;
mod tcpstat;
mod udp_queues;
mod bcache;
mod bcachefs;
mod btrfs;
mod dmmultipath;
mod fibrechannel;
mod infiniband;
mod loadavg;
mod nvme;
mod tapestats;
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
    diskstats::COLLECTOR,
    filesystem::COLLECTOR,
    loadavg::COLLECTOR,
    mdadm::COLLECTOR,
    nfs::COLLECTOR,
    nfsd::COLLECTOR,
    processes::COLLECTOR,
    cpu::COLLECTOR,
    entropy::COLLECTOR,
    filefd::COLLECTOR,
    interrupts::COLLECTOR,
    kernel_hung::COLLECTOR,
    loadavg::COLLECTOR,
    meminfo::COLLECTOR,
    os::COLLECTOR,
    pressure::COLLECTOR,
    schedstat::COLLECTOR,
    selinux::COLLECTOR,
    softnet::COLLECTOR,
    stat::COLLECTOR,
    time::COLLECTOR,
    timex::COLLECTOR,
    uname::COLLECTOR,
    vmstat::COLLECTOR,
    arp::COLLECTOR,
    bonding::COLLECTOR,
    conntrack::COLLECTOR,
    ipvs::COLLECTOR,
    loadavg::COLLECTOR,
    netclass::COLLECTOR,
    netdev::COLLECTOR,
    netstat::COLLECTOR,
    sockstat::COLLECTOR,
    tcpstat::COLLECTOR,
    udp_queues::COLLECTOR,
    bcache::COLLECTOR,
    bcachefs::COLLECTOR,
    btrfs::COLLECTOR,
    dmmultipath::COLLECTOR,
    fibrechannel::COLLECTOR,
    infiniband::COLLECTOR,
    loadavg::COLLECTOR,
    nvme::COLLECTOR,
    tapestats::COLLECTOR,
    xfs::COLLECTOR,
    zfs::COLLECTOR,
];

impl Collector {
    /// Returns the source with these options.
    pub(crate) fn source(&self, options: &NodeOptions) -> SourceSpec {
        let (create, options) = (self.create, options.clone());
        let tables = (self.tables)(&options);
        let factory = Arc::new(move || create(&options));
        SourceSpec { name: self.name, tables, factory, is_collector: true }
    }
}
