//! Entries of the ARP table, from netlink or `/proc/net/arp`.

use super::column::{gauge, table};
use super::files::KeptFile;
use super::filter::Filter;
use super::netlink::{Connection, dump_ipv4_neighbours, dump_links, get_link};
use super::{Collector, NodeOption, NodeOptions, OptionKind, SourceError};
use crate::sampler::Source;
use crate::tables::Output;

pub(super) const COLLECTOR: Collector = Collector {
    name: "arp",
    by_default: true,
    options: &[
        NodeOption { name: "arp.device-include", kind: OptionKind::Pattern, default: "" },
        NodeOption { name: "arp.device-exclude", kind: OptionKind::Pattern, default: "" },
        NodeOption { name: "arp.netlink", kind: OptionKind::Switch, default: "true" },
    ],
    tables: |_| vec![table(&["device"], &[gauge("node_arp_entries", "Entries of the ARP table.")])],
    create: |options| Ok(Box::new(ArpTable::new(options))),
};

/// Maximum number of devices that entries are counted of.
const MAX_DEVICES: usize = 100_000;
/// Maximum number of devices that are asked for one by one. For more of them a dump is cheaper, but
/// it has all devices, such as thousands without entries.
const MAX_SINGLE_REQUESTS: usize = 16;

#[derive(Debug)]
struct ArpTable {
    filter: Filter,
    way: Box<dyn EntriesWay>,
}

/// A way to the number of entries of all devices.
trait EntriesWay: std::fmt::Debug + Send {
    /// Calls `each` with every device that has entries, and their number.
    ///
    /// # Errors
    /// The entries cannot be read.
    fn read(&mut self, each: &mut dyn FnMut(&str, u64)) -> Result<(), SourceError>;
}

impl ArpTable {
    fn new(options: &NodeOptions) -> Self {
        let connection = options.switch("arp.netlink").then(|| Connection::route(options));
        let way: Box<dyn EntriesWay> = match connection.flatten() {
            Some(connection) => Box::new(ArpNetlink { connection, counts: Counts::default() }),
            None => {
                let file = KeptFile::new(options.procfs("net/arp"));
                Box::new(ArpFile { file, counts: Counts::default() })
            }
        };
        Self { filter: options.filter("arp.device-include", "arp.device-exclude"), way }
    }
}

impl Source for ArpTable {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        let Self { filter, way } = self;
        way.read(&mut |device, entries| {
            if filter.selects(device) {
                output.row(0, &[device])[0] = entries as f64;
            }
        })
    }
}

/// Numbers by key, in ascending order of the keys.
#[derive(Debug)]
struct Counts<K>(Vec<(K, u64)>);

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Ord> Counts<K> {
    /// Counts an entry. `key` returns the key if it is a new one.
    fn add<Q: Ord + ?Sized>(&mut self, query: &Q, key: impl FnOnce() -> K)
    where
        K: std::borrow::Borrow<Q>,
    {
        match self.0.binary_search_by(|(key, _)| key.borrow().cmp(query)) {
            Ok(at) => self.0[at].1 += 1,
            Err(at) if self.0.len() < MAX_DEVICES => self.0.insert(at, (key(), 1)),
            Err(_) => {}
        }
    }
}

/// The entries by netlink.
#[derive(Debug)]
struct ArpNetlink {
    connection: Connection,
    counts: Counts<i32>,
}

impl EntriesWay for ArpNetlink {
    fn read(&mut self, each: &mut dyn FnMut(&str, u64)) -> Result<(), SourceError> {
        let Self { connection, counts } = self;
        counts.0.clear();
        dump_ipv4_neighbours(connection, |neighbour| {
            if !neighbour.is_without_arp {
                counts.add(&neighbour.device, || neighbour.device);
            }
        })?;
        // Entries have the index of their device; the name may change.
        if counts.0.len() <= MAX_SINGLE_REQUESTS {
            return counts.0.iter().try_for_each(|(index, entries)| {
                get_link(connection, *index, |link| each(&link.name, *entries))
            });
        }
        dump_links(connection, false, |link| {
            if let Ok(at) = counts.0.binary_search_by_key(&link.index, |(index, _)| *index) {
                each(&link.name, counts.0[at].1);
            }
        })
    }
}

/// The entries in `/proc/net/arp`.
#[derive(Debug)]
struct ArpFile {
    file: KeptFile,
    counts: Counts<String>,
}

impl EntriesWay for ArpFile {
    fn read(&mut self, each: &mut dyn FnMut(&str, u64)) -> Result<(), SourceError> {
        let Self { file, counts } = self;
        counts.0.clear();
        for line in file.read()?.lines().skip(1) {
            // The address, three more columns, the mask and the device.
            if let Some(device) = line.split_ascii_whitespace().nth(5) {
                counts.add(device, || device.to_owned());
            }
        }
        counts.0.iter().for_each(|(device, entries)| each(device, *entries));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::node::testing::{Fixture, Reader};

    const TABLE: &str = "\
IP address       HW type     Flags       HW address            Mask     Device
192.168.1.250    0x1         0x2         50:c7:bf:f0:13:6c     *        eth1
192.168.1.7      0x1         0x2         50:c7:bf:f0:13:6d     *        eth0
192.168.1.9      0x1         0x0         00:00:00:00:00:00     *        eth1
";

    #[test]
    fn entries_are_counted_by_device() {
        let fixture = Fixture::new();
        fixture.file("proc/net/arp", TABLE);
        let expected =
            ["node_arp_entries{device=\"eth0\"} 1", "node_arp_entries{device=\"eth1\"} 2"];
        let mut reader = fixture.reader(&COLLECTOR);
        assert_eq!(reader.samples(), expected);
        assert_eq!(reader.samples(), expected, "counts start at 0 again");
        fixture.file("proc/net/arp", TABLE.lines().next().unwrap());
        assert!(reader.samples().is_empty());
    }

    #[test]
    fn devices_are_selected_by_name() {
        let fixture = Fixture::new();
        fixture.file("proc/net/arp", TABLE);
        let options = fixture.options_with(&[("arp.device-exclude", "1$")]);
        let samples = Reader::new(&COLLECTOR, &options).samples();
        assert_eq!(samples, ["node_arp_entries{device=\"eth0\"} 1"]);
    }

    #[test]
    fn missing_file_is_an_error_and_broken_lines_are_skipped() {
        let fixture = Fixture::new();
        fixture.reader(&COLLECTOR).error();
        fixture.bytes("proc/net/arp", b"IP\n\n1.2.3.4 0x1\n\xff\0 \0\na b c d e f\"\xff\n");
        assert_eq!(fixture.samples(&COLLECTOR), ["node_arp_entries{device=\"f\\\"\u{fffd}\"} 1"]);
    }
}
