//! TCP sockets by state, from netlink or `/proc/net/tcp` and `/proc/net/tcp6`.

use std::path::PathBuf;

use super::column::{gauge, table};
use super::netlink::{Connection, Family, TcpSocket, dump_tcp_sockets};
use super::socket_table::{SocketTable, failure};
use super::{Collector, NodeOptions, SourceError};
use crate::sampler::Source;
use crate::tables::{ColumnSpec, Output};

pub(super) const COLLECTOR: Collector = Collector {
    name: "tcpstat",
    by_default: false,
    options: &[],
    tables: |_| vec![table(&[], &COLUMNS)],
    create: |options| Ok(Box::new(TcpStatistics { way: way(options) })),
};

/// The states by their numbers, from 1; then two sums; then other states.
const COLUMNS: [ColumnSpec; 14] = [
    STATES.labelled(&[("state", "established")]),
    STATES.labelled(&[("state", "syn_sent")]),
    STATES.labelled(&[("state", "syn_recv")]),
    STATES.labelled(&[("state", "fin_wait1")]),
    STATES.labelled(&[("state", "fin_wait2")]),
    STATES.labelled(&[("state", "time_wait")]),
    STATES.labelled(&[("state", "close")]),
    STATES.labelled(&[("state", "close_wait")]),
    STATES.labelled(&[("state", "last_ack")]),
    STATES.labelled(&[("state", "listen")]),
    STATES.labelled(&[("state", "closing")]),
    STATES.labelled(&[("state", "rx_queued_bytes")]),
    STATES.labelled(&[("state", "tx_queued_bytes")]),
    STATES.labelled(&[("state", "unknown")]),
];

const STATES: ColumnSpec =
    gauge("node_tcp_connection_states", "TCP sockets by state, and bytes in their queues.");

/// Number of states that have a name.
const NAMED_STATES: usize = 11;
const RECEIVE_QUEUE: usize = 11;
const SEND_QUEUE: usize = 12;
const UNKNOWN: usize = 13;

#[derive(Debug)]
struct TcpStatistics {
    way: Box<dyn SocketsWay>,
}

/// A way to all TCP sockets.
trait SocketsWay: std::fmt::Debug + Send {
    /// Calls `each` with every socket.
    ///
    /// # Errors
    /// The sockets cannot be read.
    fn read(&mut self, each: &mut dyn FnMut(TcpSocket)) -> Result<(), SourceError>;
}

fn way(options: &NodeOptions) -> Box<dyn SocketsWay> {
    let [ipv4, ipv6] = ["net/tcp", "net/tcp6"].map(|name| options.procfs(name));
    match Connection::sockets(options) {
        Some(connection) => Box::new(SocketsNetlink { connection, ipv6 }),
        None => {
            Box::new(SocketFiles { ipv4: SocketTable::new(ipv4), ipv6: SocketTable::new(ipv6) })
        }
    }
}

impl Source for TcpStatistics {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        let mut counts = [0_u64; COLUMNS.len()];
        let mut sockets = 0_u64;
        self.way.read(&mut |socket| {
            let state = usize::from(socket.state).wrapping_sub(1);
            counts[if state < NAMED_STATES { state } else { UNKNOWN }] += 1;
            counts[RECEIVE_QUEUE] = counts[RECEIVE_QUEUE].wrapping_add(socket.receive_queue);
            counts[SEND_QUEUE] = counts[SEND_QUEUE].wrapping_add(socket.send_queue);
            sockets += 1;
        })?;
        let values = output.row(0, &[]);
        for (column, (value, count)) in values.iter_mut().zip(counts).enumerate() {
            let is_queue = matches!(column, RECEIVE_QUEUE | SEND_QUEUE);
            if count > 0 || is_queue && sockets > 0 {
                *value = count as f64;
            }
        }
        Ok(())
    }
}

/// The sockets by netlink.
#[derive(Debug)]
struct SocketsNetlink {
    connection: Connection,
    /// This file exists if IPv6 is enabled.
    ipv6: PathBuf,
}

impl SocketsWay for SocketsNetlink {
    fn read(&mut self, each: &mut dyn FnMut(TcpSocket)) -> Result<(), SourceError> {
        dump_tcp_sockets(&mut self.connection, Family::Ipv4, &mut *each)?;
        if self.ipv6.exists() {
            dump_tcp_sockets(&mut self.connection, Family::Ipv6, each)?;
        }
        Ok(())
    }
}

/// The sockets in files.
#[derive(Debug)]
struct SocketFiles {
    ipv4: SocketTable,
    ipv6: SocketTable,
}

impl SocketsWay for SocketFiles {
    fn read(&mut self, each: &mut dyn FnMut(TcpSocket)) -> Result<(), SourceError> {
        let mut read = |table: &mut SocketTable| {
            table.read(|socket| {
                let (state, receive_queue) = (socket.state, socket.receive_queue);
                each(TcpSocket { state, receive_queue, send_queue: socket.send_queue });
            })
        };
        if !read(&mut self.ipv4)? {
            return Err(failure(self.ipv4.path(), "no such file"));
        }
        read(&mut self.ipv6)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::node::testing::Fixture;

    const TCP: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0500000A:0016 00000000:0000 0A 00000000:00000001 00:00000000 00000000     0        0 2740
   1: 0500000A:0016 0202000A:8B6B 01 00000015:00000000 02:000AC99B 00000000     0        0 3652
   2: 0500000A:0016 0202000A:8B6C 01 00000001:00000000 02:000AC99B 00000000     0        0 3653
   3: 0500000A:0016 0202000A:8B6D 0C 00000000:00000000 02:000AC99B 00000000     0        0 3654
";

    #[test]
    fn sockets_are_counted_by_state() {
        let fixture = Fixture::new();
        fixture.file("proc/net/tcp", TCP);
        let expected = [
            "node_tcp_connection_states{state=\"established\"} 2",
            "node_tcp_connection_states{state=\"listen\"} 1",
            "node_tcp_connection_states{state=\"rx_queued_bytes\"} 1",
            "node_tcp_connection_states{state=\"tx_queued_bytes\"} 22",
            "node_tcp_connection_states{state=\"unknown\"} 1",
        ];
        let mut reader = fixture.reader(&COLLECTOR);
        assert_eq!(reader.samples(), expected);
        fixture.file("proc/net/tcp6", TCP);
        assert_eq!(reader.samples()[0], "node_tcp_connection_states{state=\"established\"} 4");
    }

    #[test]
    fn state_without_socket_has_no_series() {
        let fixture = Fixture::new();
        fixture.file("proc/net/tcp", TCP.lines().next().unwrap());
        assert!(fixture.samples(&COLLECTOR).is_empty());
    }

    #[test]
    fn missing_and_broken_tables_are_errors() {
        let fixture = Fixture::new();
        fixture.reader(&COLLECTOR).error();
        fixture.file("proc/net/tcp", "header\n1: 2 3 01 00000000\n");
        fixture.reader(&COLLECTOR).error();
    }
}
