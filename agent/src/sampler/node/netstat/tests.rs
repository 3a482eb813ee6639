use super::*;
use crate::sampler::node::testing::{Fixture, Reader};

const NETSTAT: &str = "\
TcpExt: SyncookiesSent PruneCalled ListenOverflows TCPTimeouts
TcpExt: 1 2 3 4
IpExt: InNoRoutes InOctets OutOctets
IpExt: 5 18446744073709551615 7
";
const SNMP: &str = "\
Ip: Forwarding DefaultTTL
Ip: 2 64
Tcp: RtoMin MaxConn InSegs InErrs
Tcp: 200 -1 3817 9
UdpLite: InDatagrams InErrors
UdpLite: 1 2
";
const SNMP6: &str = "\
Ip6InReceives                   \t1
Ip6OutOctets                    \t760
Icmp6InMsgs                     \t8
UdpLite6InErrors                \t9
";

fn host() -> Fixture {
    let fixture = Fixture::new();
    let files = [("netstat", NETSTAT), ("snmp", SNMP), ("snmp6", SNMP6)];
    fixture.files("proc/net", &files);
    fixture
}

#[test]
fn default_fields_are_read() {
    let expected = [
        "node_netstat_Icmp6_InMsgs 8",
        "node_netstat_Ip6_OutOctets 760",
        "node_netstat_IpExt_InOctets 18446744073709552000",
        "node_netstat_IpExt_OutOctets 7",
        "node_netstat_Ip_Forwarding 2",
        "node_netstat_TcpExt_ListenOverflows 3",
        "node_netstat_TcpExt_SyncookiesSent 1",
        "node_netstat_TcpExt_TCPTimeouts 4",
        "node_netstat_Tcp_InErrs 9",
        "node_netstat_Tcp_InSegs 3817",
        "node_netstat_UdpLite6_InErrors 9",
        "node_netstat_UdpLite_InErrors 2",
    ];
    let fixture = host();
    let mut reader = fixture.reader(&COLLECTOR);
    assert_eq!(reader.samples(), expected);
    assert_eq!(reader.samples(), expected, "with the slots of the first reading");
}

#[test]
fn default_pattern_selects_all_columns() {
    assert_eq!(columns(&NodeOptions::default()), COLUMNS);
}

#[test]
fn fields_without_column_are_found_families() {
    let fixture = host();
    let options = fixture.options_with(&[("netstat.fields", "^(Tcp_|Ip6_In)")]);
    let mut reader = Reader::new(&COLLECTOR, &options);
    let expected = [
        "node_netstat_Ip6_InReceives 1",
        "node_netstat_Tcp_InErrs 9",
        "node_netstat_Tcp_InSegs 3817",
        "node_netstat_Tcp_MaxConn -1",
        "node_netstat_Tcp_RtoMin 200",
    ];
    assert_eq!(reader.samples(), expected);
}

#[test]
fn lines_and_fields_that_move_are_found_again() {
    let fixture = host();
    let mut reader = fixture.reader(&COLLECTOR);
    reader.samples();
    fixture.file("proc/net/snmp", "Tcp: InErrs New InSegs\nTcp: 1 2 3\nIp: Forwarding\nIp: 1\n");
    fixture.file("proc/net/snmp6", "\nIcmp6InMsgs 5\nno_six 1\nIcmp6OutMsgs 6\n");
    fixture.file("proc/net/netstat", "");
    let expected = [
        "node_netstat_Icmp6_InMsgs 5",
        "node_netstat_Icmp6_OutMsgs 6",
        "node_netstat_Ip_Forwarding 1",
        "node_netstat_Tcp_InErrs 1",
        "node_netstat_Tcp_InSegs 3",
    ];
    assert_eq!(reader.samples(), expected);
    assert_eq!(reader.samples(), expected);
}

#[test]
fn missing_ipv6_is_no_error_but_other_missing_files_are() {
    let fixture = host();
    fixture.remove("proc/net/snmp6");
    assert_eq!(fixture.samples(&COLLECTOR).len(), 9);
    fixture.remove("proc/net/snmp");
    fixture.reader(&COLLECTOR).error();
}

#[test]
fn broken_lines_are_errors() {
    let fixture = host();
    let mut reader = fixture.reader(&COLLECTOR);
    for values in ["", "\nTcp: x", "\nTcp: 1 2", "\n", "\nTcp: NaN"] {
        fixture.file("proc/net/snmp", &format!("Tcp: InSegs{values}"));
        reader.error();
    }
    fixture.file("proc/net/snmp", "");
    fixture.file("proc/net/snmp6", "Ip6OutOctets many");
    reader.error();
}

#[test]
fn names_that_no_family_can_have_are_skipped() {
    let fixture = host();
    let options = fixture.options_with(&[("netstat.fields", "")]);
    fixture.bytes("proc/net/snmp", b"T\"c\xffp: In\"Segs\nTcp: 1\n:\n:\n\n\n");
    let mut reader = Reader::new(&COLLECTOR, &options);
    assert!(!reader.samples().iter().any(|line| line.contains("Segs")));
}
