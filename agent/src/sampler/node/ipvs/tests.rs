use super::*;
use crate::config::NodePaths;
use crate::sampler::node::testing::{Fixture, Reader};

const TOTALS: &str = "   Total Incoming Outgoing         Incoming         Outgoing
   Conns  Packets  Packets            Bytes            Bytes
 16AA370 E33656E5        0     51D8C8883AB3        0

 Conns/s   Pkts/s   Pkts/s          Bytes/s          Bytes/s
       4    1FB3C        0          1282A8F                0
";

const BACKENDS: &str = "IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
TCP  C0A80016:0CEA wlc
  -> C0A85216:0CEA      Tunnel  100    248        2
  -> C0A85318:0CEA      Tunnel  100    249        3
UDP  [2620:0000:0000:0000:0000:0000:0000:0001]:0050 sh
  -> [2620:0000:0000:0000:0000:0000:0000:0002]:0050      Route   1      0          7
SCTP C0A80016:0CEB wlc
  -> C0A85216:0CEB      Tunnel  100    5        5
FWM  10001000 wlc
  -> C0A8321A:0CEA      Tunnel  20     64         1
";

fn host() -> Fixture {
    let fixture = Fixture::new();
    fixture.files("proc/net", &[("ip_vs_stats", TOTALS), ("ip_vs", BACKENDS)]);
    fixture
}

fn samples_with_labels(fixture: &Fixture, labels: &str) -> Vec<String> {
    let options = fixture.options_with(&[("ipvs.backend-labels", labels)]);
    Reader::new(&COLLECTOR, &options).samples()
}

#[test]
fn totals_and_backends_are_read() {
    let samples = host().samples(&COLLECTOR);
    let totals = [
        "node_ipvs_connections_total 23765872",
        "node_ipvs_incoming_bytes_total 89991519156915",
        "node_ipvs_incoming_packets_total 3811989221",
        "node_ipvs_outgoing_bytes_total 0",
        "node_ipvs_outgoing_packets_total 0",
    ];
    assert_eq!(samples[12..], totals);
    let active = "node_ipvs_backend_connections_active";
    let ipv4 = "local_address=\"192.168.0.22\",local_port=\"3306\",proto=\"TCP\"";
    let ipv6 = "local_address=\"2620::1\",local_port=\"80\",proto=\"UDP\"";
    let mark = "local_mark=\"10001000\",local_port=\"0\",proto=\"FWM\"";
    let expected = [
        format!("{active}{{{ipv4},remote_address=\"192.168.82.22\",remote_port=\"3306\"}} 248"),
        format!("{active}{{{ipv4},remote_address=\"192.168.83.24\",remote_port=\"3306\"}} 249"),
        format!("{active}{{{ipv6},remote_address=\"2620::2\",remote_port=\"80\"}} 0"),
        format!("{active}{{{mark},remote_address=\"192.168.50.26\",remote_port=\"3306\"}} 64"),
    ];
    assert_eq!(samples[..4], expected);
    assert!(samples[4].starts_with("node_ipvs_backend_connections_inactive"), "{}", samples[4]);
    assert!(samples[4].ends_with(" 2"), "{}", samples[4]);
    assert!(samples[8].starts_with("node_ipvs_backend_weight"), "{}", samples[8]);
    assert!(samples[8].ends_with(" 100"), "{}", samples[8]);
}

#[test]
fn backends_are_summed_over_labels_that_are_left_out() {
    let samples = samples_with_labels(&host(), "proto,local_address");
    let tcp = "local_address=\"192.168.0.22\",proto=\"TCP\"";
    let expected = format!("node_ipvs_backend_connections_active{{{tcp}}} 497");
    assert!(samples.contains(&expected), "{samples:#?}");
    assert_eq!(samples.len(), 3 * 3 + 5);
}

#[test]
fn no_labels_give_one_sum() {
    let samples = samples_with_labels(&host(), "");
    assert_eq!(samples[0], "node_ipvs_backend_connections_active 561");
    assert_eq!(samples.len(), 3 + 5);
}

#[test]
fn unknown_label_is_rejected_with_the_settings() {
    let values = [("ipvs.backend-labels".to_owned(), "proto,colour".to_owned())].into();
    let error = NodeOptions::try_new(NodePaths::default(), values).unwrap_err().to_string();
    assert_eq!(
        error,
        "ipvs.backend-labels: \"colour\" is none of the words local_address, local_port, \
         remote_address, remote_port, proto, local_mark"
    );
}

#[test]
fn host_without_module_has_nothing() {
    let fixture = Fixture::new();
    assert_eq!(fixture.reader(&COLLECTOR).error(), SourceError::NothingFound);
    fixture.file("proc/net/ip_vs_stats", TOTALS);
    assert_ne!(fixture.reader(&COLLECTOR).error(), SourceError::NothingFound);
}

#[test]
fn broken_files_are_errors() {
    let fixture = host();
    let mut reader = fixture.reader(&COLLECTOR);
    let backends = [
        "TCP C0A80016\n",
        "TCP [::1:0050 wlc\n",
        "TCP \u{e9}\u{e9}\u{e9}\u{e9}:0050 wlc\n",
        "FWM many\n",
        "FWM 1\n-> C0A85216:0CEA Tunnel -1 2 3\n",
        "FWM 1\n-> C0A85216:10CEA Tunnel 1 2 3\n",
    ];
    for text in backends {
        fixture.file("proc/net/ip_vs", text);
        reader.error();
    }
    fixture.bytes("proc/net/ip_vs", b"\n\xff \xff\n-> C0A85216:0CEA Tunnel 1 2 3\nFWM\n-> x\n");
    assert_eq!(reader.samples().len(), 5, "a backend without service is skipped");
    for text in ["", "a\nb\n1 2 3 4 5", "a\nb\n1 2 3 4\n", "a\nb\n1 2 3 4 5 6\n", "a\nb\nx\n"] {
        fixture.file("proc/net/ip_vs_stats", text);
        reader.error();
    }
}
