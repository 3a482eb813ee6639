//! Statistics of network protocols, from `/proc/net/netstat`, `/proc/net/snmp` and
//! `/proc/net/snmp6`.

mod layout;
#[cfg(test)]
mod tests;

use self::layout::{Layouts, read_lines};
use super::column::{table, unknown};
use super::files::{KeptFile, parse_existing_file, parse_file};
use super::filter::Filter;
use super::line_targets::{LineTargets, Target};
use super::{Collector, NodeOption, NodeOptions, OptionKind, SourceError};
use crate::sampler::Source;
use crate::tables::{ColumnSpec, FoundFamily, Output};
use fleetgauge_proto::catalog::FamilyKind;

pub(super) const COLLECTOR: Collector = Collector {
    name: "netstat",
    by_default: true,
    options: &[NodeOption {
        name: "netstat.fields",
        kind: OptionKind::Pattern,
        default: "^(.*_(InErrors|InErrs)|Ip_Forwarding|Ip(6|Ext)_(InOctets|OutOctets)|\
            Icmp6?_(InMsgs|OutMsgs)|TcpExt_(Listen.*|Syncookies.*|TCPSynRetrans|TCPTimeouts|\
            TCPOFOQueue|TCPRcvQDrop)|Tcp_(ActiveOpens|InSegs|OutSegs|OutRsts|PassiveOpens|\
            RetransSegs|CurrEstab)|Udp6?_(InDatagrams|OutDatagrams|NoPorts|RcvbufErrors|\
            SndbufErrors))$",
    }],
    tables: |options| vec![table(&[], &columns(options))],
    create: |options| Ok(Box::new(NetStatistics::new(options))),
};

/// What the names of all families begin with.
const PREFIX: &str = "node_netstat_";

/// The fields that the default pattern selects.
#[rustfmt::skip] // one line each
const COLUMNS: [ColumnSpec; 42] = [
    unknown("node_netstat_Icmp_InErrors", "ICMP messages received with errors."),
    unknown("node_netstat_Icmp_InMsgs", "ICMP messages received."),
    unknown("node_netstat_Icmp_OutMsgs", "ICMP messages sent."),
    unknown("node_netstat_Icmp6_InErrors", "ICMPv6 messages received with errors."),
    unknown("node_netstat_Icmp6_InMsgs", "ICMPv6 messages received."),
    unknown("node_netstat_Icmp6_OutMsgs", "ICMPv6 messages sent."),
    unknown("node_netstat_Ip_Forwarding", "Whether IPv4 is forwarded: 1 yes, 2 no."),
    unknown("node_netstat_Ip6_InOctets", "Bytes received in IPv6 packets."),
    unknown("node_netstat_Ip6_OutOctets", "Bytes sent in IPv6 packets."),
    unknown("node_netstat_IpExt_InOctets", "Bytes received in IPv4 packets."),
    unknown("node_netstat_IpExt_OutOctets", "Bytes sent in IPv4 packets."),
    unknown("node_netstat_Tcp_ActiveOpens", "TCP connections opened by this host."),
    unknown("node_netstat_Tcp_CurrEstab", "TCP connections that are established."),
    unknown("node_netstat_Tcp_InErrs", "TCP segments received with errors."),
    unknown("node_netstat_Tcp_InSegs", "TCP segments received."),
    unknown("node_netstat_Tcp_OutRsts", "TCP segments sent with the flag RST."),
    unknown("node_netstat_Tcp_OutSegs", "TCP segments sent."),
    unknown("node_netstat_Tcp_PassiveOpens", "TCP connections opened by other hosts."),
    unknown("node_netstat_Tcp_RetransSegs", "TCP segments sent again."),
    unknown("node_netstat_TcpExt_ListenDrops", "TCP connections dropped at listening sockets."),
    unknown("node_netstat_TcpExt_ListenOverflows", "Overflows of queues of listening sockets."),
    unknown("node_netstat_TcpExt_SyncookiesFailed", "Invalid SYN cookies received."),
    unknown("node_netstat_TcpExt_SyncookiesRecv", "SYN cookies received."),
    unknown("node_netstat_TcpExt_SyncookiesSent", "SYN cookies sent."),
    unknown("node_netstat_TcpExt_TCPOFOQueue", "TCP segments queued out of order."),
    unknown("node_netstat_TcpExt_TCPRcvQDrop", "TCP segments dropped by a full receive queue."),
    unknown("node_netstat_TcpExt_TCPSynRetrans", "TCP segments SYN sent again."),
    unknown("node_netstat_TcpExt_TCPTimeouts", "Timeouts of TCP retransmission."),
    unknown("node_netstat_Udp_InDatagrams", "UDP datagrams received."),
    unknown("node_netstat_Udp_InErrors", "UDP datagrams received with errors."),
    unknown("node_netstat_Udp_NoPorts", "UDP datagrams received for ports without socket."),
    unknown("node_netstat_Udp_OutDatagrams", "UDP datagrams sent."),
    unknown("node_netstat_Udp_RcvbufErrors", "UDP datagrams dropped by full receive buffers."),
    unknown("node_netstat_Udp_SndbufErrors", "UDP datagrams not sent by full send buffers."),
    unknown("node_netstat_Udp6_InDatagrams", "UDP datagrams received by IPv6."),
    unknown("node_netstat_Udp6_InErrors", "UDP datagrams received by IPv6 with errors."),
    unknown("node_netstat_Udp6_NoPorts", "UDP datagrams by IPv6 for ports without socket."),
    unknown("node_netstat_Udp6_OutDatagrams", "UDP datagrams sent by IPv6."),
    unknown("node_netstat_Udp6_RcvbufErrors", "UDP datagrams by IPv6 dropped by full buffers."),
    unknown("node_netstat_Udp6_SndbufErrors", "UDP datagrams by IPv6 not sent by full buffers."),
    unknown("node_netstat_UdpLite_InErrors", "UDP-Lite datagrams received with errors."),
    unknown("node_netstat_UdpLite6_InErrors", "UDP-Lite datagrams by IPv6 with errors."),
];

#[derive(Debug)]
struct NetStatistics {
    fields: Fields,
    netstat: (KeptFile, Layouts),
    snmp: (KeptFile, Layouts),
    snmp6: (KeptFile, LineTargets),
}

/// The fields that are selected.
#[derive(Debug)]
struct Fields {
    filter: Filter,
    columns: Vec<ColumnSpec>,
}

impl NetStatistics {
    fn new(options: &NodeOptions) -> Self {
        let layouts = Layouts::default;
        Self {
            fields: Fields { filter: filter(options), columns: columns(options) },
            netstat: (KeptFile::shared(options.procfs("net/netstat")), layouts()),
            snmp: (KeptFile::new(options.procfs("net/snmp")), layouts()),
            snmp6: (KeptFile::new(options.procfs("net/snmp6")), LineTargets::default()),
        }
    }
}

impl Source for NetStatistics {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        let target = |name: &str| self.fields.target(name);
        for (file, layouts) in [&mut self.netstat, &mut self.snmp] {
            parse_file(file, |text| {
                layouts.read_pairs(text, target, |target, value| write(target, value, output))
            })?;
        }
        // The file does not exist if IPv6 is disabled.
        let (file, targets) = &mut self.snmp6;
        let read = parse_existing_file(file, |text| {
            read_lines(targets, text, target, |target, value| write(target, value, output))
        });
        if read == Err(SourceError::NothingFound) { Ok(()) } else { read }
    }
}

impl Fields {
    /// Returns where the value of a field goes, such as `Tcp_InSegs`.
    fn target(&self, field: &str) -> Target {
        let is_name = field.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_name || !self.filter.selects(field) {
            return Target::Skip;
        }
        let has_name = |column: &ColumnSpec| column.family.name.strip_prefix(PREFIX) == Some(field);
        match self.columns.iter().position(has_name) {
            Some(column) => Target::Column(column),
            None => Target::Found(format!("{PREFIX}{field}").into()),
        }
    }
}

fn write(target: &Target, value: f64, output: &mut Output) {
    match target {
        Target::Skip => {}
        Target::Column(column) => output.row(0, &[])[*column] = value,
        Target::Found(name) => {
            let help = "Statistic of a network protocol.";
            output.sample(FoundFamily { name, kind: FamilyKind::Unknown, help }, &[], value);
        }
    }
}

fn filter(options: &NodeOptions) -> Filter {
    options.filter("netstat.fields", "")
}

/// Returns the declared columns that are selected.
fn columns(options: &NodeOptions) -> Vec<ColumnSpec> {
    let filter = filter(options);
    let field = |column: &ColumnSpec| column.family.name.strip_prefix(PREFIX).unwrap_or_default();
    COLUMNS.into_iter().filter(|column| filter.selects(field(column))).collect()
}
