//! Statistics of network devices, from netlink or `/proc/net/dev`.

mod address;
mod columns;
mod files;
#[cfg(test)]
mod tests;

use self::address::{ADDRESS_COLUMNS, ADDRESS_LABELS, Addresses};
use self::columns::{COLUMNS, DETAILED_COLUMNS, NetColumn, sum};
use self::files::StatisticsFiles;
use super::column::table;
use super::filter::Filter;
use super::netlink::{Connection, Statistics, dump_links};
use super::{Collector, NodeOption, NodeOptions, OptionKind, SourceError};
use crate::sampler::Source;
use crate::tables::{Output, TableSpec};

pub(super) const COLLECTOR: Collector = Collector {
    name: "netdev",
    by_default: true,
    options: &[
        NodeOption { name: "netdev.device-include", kind: OptionKind::Pattern, default: "" },
        NodeOption { name: "netdev.device-exclude", kind: OptionKind::Pattern, default: "" },
        NodeOption { name: "netdev.netlink", kind: OptionKind::Switch, default: "true" },
        NodeOption {
            name: "netdev.enable-detailed-metrics",
            kind: OptionKind::Switch,
            default: "false",
        },
        NodeOption { name: "netdev.address-info", kind: OptionKind::Switch, default: "false" },
        NodeOption { name: "netdev.label-ifalias", kind: OptionKind::Switch, default: "false" },
    ],
    tables: |options| vec![statistics_table(options), table(ADDRESS_LABELS, &ADDRESS_COLUMNS)],
    create: |options| Ok(Box::new(NetDevices::new(options))),
};

/// Statistics of network devices.
#[derive(Debug)]
struct NetDevices {
    filter: Filter,
    columns: &'static [NetColumn],
    has_alias_label: bool,
    way: Box<dyn StatisticsWay>,
    /// Files do not tell addresses.
    addresses: Option<Addresses>,
}

/// A way to the statistics of all network devices.
pub(super) trait StatisticsWay: std::fmt::Debug + Send {
    /// Calls `each` with every device.
    ///
    /// # Errors
    /// The devices cannot be read.
    fn read(&mut self, each: &mut dyn FnMut(&DeviceStatistics<'_>)) -> Result<(), SourceError>;
}

/// Statistics of a network device.
#[derive(Debug, Clone, Copy)]
pub(super) struct DeviceStatistics<'a> {
    pub(super) name: &'a str,
    pub(super) alias: &'a str,
    pub(super) statistics: &'a Statistics,
}

impl NetDevices {
    fn new(options: &NodeOptions) -> Self {
        let has_alias_label = options.switch("netdev.label-ifalias");
        let connection = options.switch("netdev.netlink").then(|| Connection::route(options));
        let way: Box<dyn StatisticsWay> = match connection.flatten() {
            Some(connection) => Box::new(connection),
            None => Box::new(StatisticsFiles::new(options, has_alias_label)),
        };
        let connection = options.switch("netdev.address-info").then(|| Connection::route(options));
        let addresses = connection.flatten().map(Addresses);
        let filter = options.filter("netdev.device-include", "netdev.device-exclude");
        Self { filter, columns: columns(options), has_alias_label, way, addresses }
    }
}

impl Source for NetDevices {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        let Self { filter, columns, has_alias_label, way, addresses } = self;
        way.read(&mut |device| {
            if !filter.selects(device.name) {
                return;
            }
            let labels: &[&str] =
                if *has_alias_label { &[device.name, device.alias] } else { &[device.name] };
            let values = output.row(0, labels);
            for (value, column) in values.iter_mut().zip(*columns) {
                if let Some(sum) = sum(column, device.statistics) {
                    *value = sum;
                }
            }
        })?;
        addresses.as_mut().map_or(Ok(()), |addresses| addresses.read(output, 1))
    }
}

impl StatisticsWay for Connection {
    fn read(&mut self, each: &mut dyn FnMut(&DeviceStatistics<'_>)) -> Result<(), SourceError> {
        dump_links(self, true, |link| {
            let (name, alias) = (&*link.name, link.alias.trim());
            each(&DeviceStatistics { name, alias, statistics: &link.statistics });
        })
    }
}

fn statistics_table(options: &NodeOptions) -> TableSpec {
    let has_alias = options.switch("netdev.label-ifalias");
    let row_labels: &[&str] = if has_alias { &["device", "ifalias"] } else { &["device"] };
    let columns = columns(options).iter().map(|(_, column)| *column).collect();
    TableSpec { row_labels, columns }
}

fn columns(options: &NodeOptions) -> &'static [NetColumn] {
    if options.switch("netdev.enable-detailed-metrics") { DETAILED_COLUMNS } else { COLUMNS }
}
