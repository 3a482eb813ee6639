//! Statistics of network devices from files: `/proc/net/dev`, and `/sys/class/net` for the rest.

use super::{DeviceStatistics, StatisticsWay};
use crate::sampler::node::files::{Device, DeviceFiles, KeptFile, bad_line, parse_file};
use crate::sampler::node::netlink::{STATISTICS, Statistics};
use crate::sampler::node::{NodeOptions, SourceError};

/// Number of columns in `/proc/net/dev`.
const FIELDS: usize = 16;
/// The statistics in the columns of `/proc/net/dev`, by their position in `rtnl_link_stats64`. Some
/// columns are sums; they are in the place of the first term.
const POSITIONS: [usize; FIELDS] = [2, 0, 4, 6, 14, 13, 21, 8, 3, 1, 5, 7, 18, 9, 17, 22];
/// Position of the statistic that only sysfs has.
const NO_HANDLER: usize = 23;

/// The files of each device.
const FILES: &[&str] = &["statistics/rx_nohandler", "ifalias"];

/// The files with statistics of network devices.
#[derive(Debug)]
pub(super) struct StatisticsFiles {
    table: KeptFile,
    devices: DeviceFiles,
    has_no_handler: bool,
    has_alias: bool,
}

impl StatisticsFiles {
    pub(super) fn new(options: &NodeOptions, has_alias: bool) -> Self {
        Self {
            table: KeptFile::new(options.procfs("net/dev")),
            devices: DeviceFiles::of_files(options.sysfs("class/net"), FILES),
            // node_exporter has this statistic only with netlink.
            has_no_handler: options.switch("netdev.netlink"),
            has_alias,
        }
    }
}

impl StatisticsWay for StatisticsFiles {
    fn read(&mut self, each: &mut dyn FnMut(&DeviceStatistics<'_>)) -> Result<(), SourceError> {
        let Self { table, devices, has_no_handler, has_alias } = self;
        let devices =
            if *has_no_handler || *has_alias { devices.list(|_| true) } else { Ok(&mut [][..]) };
        let devices = devices.unwrap_or_default();
        parse_file(table, |text| {
            for line in text.lines().skip(2) {
                let (name, mut statistics) = parse(line).ok_or_else(|| bad_line(line))?;
                let mut alias = "";
                if let Ok(at) = devices.binary_search_by(|device| device.name().cmp(name)) {
                    let device = &mut devices[at];
                    if *has_no_handler {
                        statistics[NO_HANDLER] = no_handler(device);
                    }
                    if *has_alias {
                        alias = device.value(1).unwrap_or_default();
                    }
                }
                each(&DeviceStatistics { name, alias, statistics: &statistics });
            }
            Ok::<_, String>(())
        })
    }
}

fn no_handler(device: &mut Device) -> Option<u64> {
    device.value(0)?.parse().ok()
}

/// Parses a line such as `eth0: 1 2 ...`. `None` if it is not complete.
fn parse(line: &str) -> Option<(&str, Statistics)> {
    // Names may have colons.
    let (name, numbers) = line.rsplit_once(':')?;
    let mut numbers = numbers.split_ascii_whitespace();
    let mut statistics = [None; STATISTICS];
    for position in POSITIONS {
        statistics[position] = Some(numbers.next()?.parse().ok()?);
    }
    let name = name.trim();
    (!name.is_empty()).then_some((name, statistics))
}
