//! Queues of UDP sockets, from `/proc/net/udp` and `/proc/net/udp6`.

use super::column::{gauge, table};
use super::socket_table::SocketTable;
use super::{Collector, SourceError};
use crate::sampler::Source;
use crate::tables::{ColumnSpec, Output};

pub(super) const COLLECTOR: Collector = Collector {
    name: "udp_queues",
    by_default: true,
    options: &[],
    tables: |_| vec![table(&[], &COLUMNS)],
    create: |options| {
        let table = |name: &str| SocketTable::new(options.procfs(name));
        Ok(Box::new(UdpQueues { tables: ["net/udp", "net/udp6"].map(table) }))
    },
};

/// The queues of both tables: first those of IPv4.
const COLUMNS: [ColumnSpec; 4] = [
    QUEUES.labelled(&[("queue", "tx"), ("ip", "v4")]),
    QUEUES.labelled(&[("queue", "rx"), ("ip", "v4")]),
    QUEUES.labelled(&[("queue", "tx"), ("ip", "v6")]),
    QUEUES.labelled(&[("queue", "rx"), ("ip", "v6")]),
];

const QUEUES: ColumnSpec = gauge("node_udp_queues", "Bytes in the queues of all UDP sockets.");

#[derive(Debug)]
struct UdpQueues {
    tables: [SocketTable; 2],
}

impl Source for UdpQueues {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        let mut exists = false;
        for (table, values) in self.tables.iter_mut().zip(output.row(0, &[]).chunks_mut(2)) {
            let mut sums = [0_u64; 2];
            // A table does not exist if its version of IP is disabled.
            let is_read = table.read(|socket| {
                sums[0] = sums[0].wrapping_add(socket.send_queue);
                sums[1] = sums[1].wrapping_add(socket.receive_queue);
            })?;
            if is_read {
                values.copy_from_slice(&sums.map(|sum| sum as f64));
                exists = true;
            }
        }
        if exists { Ok(()) } else { Err(SourceError::NothingFound) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::node::testing::Fixture;

    const UDP: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
  0: 0A000005:0016 0A000006:0B1C 07 00000015:00000000 02:00000000 00000000   501        0 19723
 10: 00000000:0016 00000000:0000 07 00000001:000000FF 00:00000000 00000000     0        0 1674
";

    #[test]
    fn queues_of_all_sockets_are_summed() {
        let fixture = Fixture::new();
        fixture.file("proc/net/udp", UDP);
        let ipv4 = [
            "node_udp_queues{ip=\"v4\",queue=\"rx\"} 255",
            "node_udp_queues{ip=\"v4\",queue=\"tx\"} 22",
        ];
        let mut reader = fixture.reader(&COLLECTOR);
        assert_eq!(reader.samples(), ipv4);
        fixture.file("proc/net/udp6", UDP.lines().next().unwrap());
        let samples = reader.samples();
        assert_eq!(samples[..2], ipv4);
        let ipv6 = [
            "node_udp_queues{ip=\"v6\",queue=\"rx\"} 0",
            "node_udp_queues{ip=\"v6\",queue=\"tx\"} 0",
        ];
        assert_eq!(samples[2..], ipv6);
    }

    #[test]
    fn host_without_ip_has_nothing() {
        let fixture = Fixture::new();
        assert_eq!(fixture.reader(&COLLECTOR).error(), SourceError::NothingFound);
        fixture.file("proc/net/udp", "header\n1: 2 3");
        fixture.reader(&COLLECTOR).error();
    }
}
