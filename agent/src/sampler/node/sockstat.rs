//! Numbers of sockets, from `/proc/net/sockstat` and `/proc/net/sockstat6`.

use super::column::{gauge, table};
use super::files::{KeptFile, bad_line, parse_existing_file};
use super::{Collector, SourceError};
use crate::sampler::Source;
use crate::tables::{ColumnSpec, Output};

pub(super) const COLLECTOR: Collector = Collector {
    name: "sockstat",
    by_default: true,
    options: &[],
    tables: |_| vec![table(&[], &COLUMNS.map(|(_, _, column)| column))],
    create: |options| {
        let file = |name: &str| KeptFile::new(options.procfs(name));
        Ok(Box::new(SocketStatistics { files: ["net/sockstat", "net/sockstat6"].map(file) }))
    },
};

/// Protocol and key in the files, and the column. Pages in bytes come after the pages.
#[rustfmt::skip] // one line each
const COLUMNS: [(&str, &str, ColumnSpec); 20] = [
    ("sockets", "used", gauge("node_sockstat_sockets_used", "Sockets of all protocols.")),
    ("TCP", "inuse", gauge("node_sockstat_TCP_inuse", "TCP sockets in use.")),
    ("TCP", "orphan", gauge("node_sockstat_TCP_orphan", "TCP sockets that no process has open.")),
    ("TCP", "tw", gauge("node_sockstat_TCP_tw", "TCP sockets in state TIME_WAIT.")),
    ("TCP", "alloc", gauge("node_sockstat_TCP_alloc", "TCP sockets that are allocated.")),
    ("TCP", "mem", gauge("node_sockstat_TCP_mem", "Memory of TCP sockets, in pages.")),
    ("TCP", IN_BYTES, gauge("node_sockstat_TCP_mem_bytes", "Memory of TCP sockets, in bytes.")),
    ("UDP", "inuse", gauge("node_sockstat_UDP_inuse", "UDP sockets in use.")),
    ("UDP", "mem", gauge("node_sockstat_UDP_mem", "Memory of UDP sockets, in pages.")),
    ("UDP", IN_BYTES, gauge("node_sockstat_UDP_mem_bytes", "Memory of UDP sockets, in bytes.")),
    ("UDPLITE", "inuse", gauge("node_sockstat_UDPLITE_inuse", "UDP-Lite sockets in use.")),
    ("RAW", "inuse", gauge("node_sockstat_RAW_inuse", "Raw sockets in use.")),
    ("FRAG", "inuse", gauge("node_sockstat_FRAG_inuse", "IPv4 packets in reassembly.")),
    ("FRAG", "memory", gauge("node_sockstat_FRAG_memory", "Memory of IPv4 fragments, in bytes.")),
    ("TCP6", "inuse", gauge("node_sockstat_TCP6_inuse", "IPv6 TCP sockets in use.")),
    ("UDP6", "inuse", gauge("node_sockstat_UDP6_inuse", "IPv6 UDP sockets in use.")),
    ("UDPLITE6", "inuse", gauge("node_sockstat_UDPLITE6_inuse", "IPv6 UDP-Lite sockets in use.")),
    ("RAW6", "inuse", gauge("node_sockstat_RAW6_inuse", "IPv6 raw sockets in use.")),
    ("FRAG6", "inuse", gauge("node_sockstat_FRAG6_inuse", "IPv6 packets in reassembly.")),
    ("FRAG6", "memory", gauge("node_sockstat_FRAG6_memory", "Memory of IPv6 fragments, in bytes.")),
];

/// Stands for the pages of a protocol, in bytes.
const IN_BYTES: &str = "mem in bytes";

#[derive(Debug)]
struct SocketStatistics {
    files: [KeptFile; 2],
}

impl Source for SocketStatistics {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        let page = rustix::param::page_size() as f64;
        let values = output.row(0, &[]);
        for file in &mut self.files {
            // A file does not exist if its version of IP is disabled.
            let read = parse_existing_file(file, |text| {
                let mut lines = text.lines();
                lines.try_for_each(|line| {
                    read_line(line, page, values).ok_or_else(|| bad_line(line))
                })
            });
            if read != Err(SourceError::NothingFound) {
                read?;
            }
        }
        Ok(())
    }
}

/// Reads a line such as `UDP: inuse 1 mem 2`. Other protocols and keys are skipped. `None` if the
/// line is not complete.
fn read_line(line: &str, page: f64, values: &mut [f64]) -> Option<()> {
    let mut words = line.split_ascii_whitespace();
    let protocol = words.next()?;
    let protocol = protocol.strip_suffix(':').unwrap_or(protocol);
    let mut words = words.peekable();
    words.peek()?;
    while let Some(key) = words.next() {
        let number: i64 = words.next()?.parse().ok()?;
        let mut set = |key: &str, number: f64| {
            let is_column = |column: &(&str, &str, _)| (column.0, column.1) == (protocol, key);
            if let Some(column) = COLUMNS.iter().position(is_column) {
                values[column] = number;
            }
        };
        set(key, number as f64);
        if key == "mem" {
            set(IN_BYTES, number as f64 * page);
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::node::testing::Fixture;

    const SOCKSTAT: &str = "\
sockets: used 21
TCP: inuse 1 orphan 2 tw 3 alloc 4 mem 5
UDP: inuse 6 mem 0
NEW: inuse 9 size 1
FRAG: inuse 0 memory 7
";

    #[test]
    fn sockets_of_both_versions_are_read() {
        let fixture = Fixture::new();
        fixture.file("proc/net/sockstat", SOCKSTAT);
        fixture.file("proc/net/sockstat6", "TCP6: inuse 8\nFRAG6: inuse 0 memory 1\n");
        let expected = [
            "node_sockstat_FRAG6_inuse 0".to_owned(),
            "node_sockstat_FRAG6_memory 1".to_owned(),
            "node_sockstat_FRAG_inuse 0".to_owned(),
            "node_sockstat_FRAG_memory 7".to_owned(),
            "node_sockstat_TCP6_inuse 8".to_owned(),
            "node_sockstat_TCP_alloc 4".to_owned(),
            "node_sockstat_TCP_inuse 1".to_owned(),
            "node_sockstat_TCP_mem 5".to_owned(),
            format!("node_sockstat_TCP_mem_bytes {}", 5 * rustix::param::page_size()),
            "node_sockstat_TCP_orphan 2".to_owned(),
            "node_sockstat_TCP_tw 3".to_owned(),
            "node_sockstat_UDP_inuse 6".to_owned(),
            "node_sockstat_UDP_mem 0".to_owned(),
            "node_sockstat_UDP_mem_bytes 0".to_owned(),
            "node_sockstat_sockets_used 21".to_owned(),
        ];
        assert_eq!(fixture.samples(&COLLECTOR), expected);
    }

    #[test]
    fn missing_files_are_no_error() {
        let fixture = Fixture::new();
        assert!(fixture.samples(&COLLECTOR).is_empty());
        fixture.file("proc/net/sockstat6", "RAW6: inuse 1\n");
        assert_eq!(fixture.samples(&COLLECTOR), ["node_sockstat_RAW6_inuse 1"]);
    }

    #[test]
    fn broken_lines_are_errors() {
        let fixture = Fixture::new();
        let mut reader = fixture.reader(&COLLECTOR);
        for text in ["TCP: inuse\n", "TCP:\n", "\n", "TCP: inuse 1 orphan", "TCP: inuse \u{0}\n"] {
            fixture.file("proc/net/sockstat", text);
            reader.error();
        }
    }
}
