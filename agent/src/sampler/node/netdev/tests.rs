use super::*;
use crate::sampler::node::testing::{Fixture, Reader};

const HEADER: &str = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo \
colls carrier compressed
";
const ETH0: &str = "  eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 18446744073709551615\n";

fn host(devices: &str) -> Fixture {
    let fixture = Fixture::new();
    fixture.file("proc/net/dev", &format!("{HEADER}{devices}"));
    fixture
}

#[test]
fn columns_of_proc_net_dev_are_read() {
    let fixture = host(ETH0);
    fixture.file("sys/class/net/eth0/statistics/rx_nohandler", "23\n");
    let expected = [
        "node_network_receive_bytes_total{device=\"eth0\"} 1",
        "node_network_receive_compressed_total{device=\"eth0\"} 7",
        "node_network_receive_drop_total{device=\"eth0\"} 4",
        "node_network_receive_errs_total{device=\"eth0\"} 3",
        "node_network_receive_fifo_total{device=\"eth0\"} 5",
        "node_network_receive_frame_total{device=\"eth0\"} 6",
        "node_network_receive_multicast_total{device=\"eth0\"} 8",
        "node_network_receive_nohandler_total{device=\"eth0\"} 23",
        "node_network_receive_packets_total{device=\"eth0\"} 2",
        "node_network_transmit_bytes_total{device=\"eth0\"} 9",
        "node_network_transmit_carrier_total{device=\"eth0\"} 15",
        "node_network_transmit_colls_total{device=\"eth0\"} 14",
        "node_network_transmit_compressed_total{device=\"eth0\"} 18446744073709552000",
        "node_network_transmit_drop_total{device=\"eth0\"} 12",
        "node_network_transmit_errs_total{device=\"eth0\"} 11",
        "node_network_transmit_fifo_total{device=\"eth0\"} 13",
        "node_network_transmit_packets_total{device=\"eth0\"} 10",
    ];
    assert_eq!(fixture.samples(&COLLECTOR), expected);
}

#[test]
fn netlink_statistics_are_summed_as_in_proc_net_dev() {
    #[derive(Debug)]
    struct FixedStatistics(Statistics);

    impl StatisticsWay for FixedStatistics {
        fn read(&mut self, each: &mut dyn FnMut(&DeviceStatistics<'_>)) -> Result<(), SourceError> {
            each(&DeviceStatistics { name: "eth0", alias: "", statistics: &self.0 });
            Ok(())
        }
    }

    let options = NodeOptions::default();
    let statistics = std::array::from_fn(|number| (number < 23).then_some(1 << number));
    let way = Box::new(FixedStatistics(statistics));
    let mut devices = NetDevices { way, ..NetDevices::new(&options) };
    let tables = (COLLECTOR.tables)(&options);
    let mut output = Output::new(&tables);
    output.begin();
    devices.read(&mut output).unwrap();
    output.finish();
    let lines = crate::tables::exposition::lines(&tables, &output);
    let has = |name: &str, value: u64| {
        let line = format!("node_network_{name}_total{{device=\"eth0\"}} {value}");
        assert!(lines.contains(&line), "{line} of {lines:#?}");
    };
    has("receive_packets", 1);
    has("transmit_bytes", 1 << 3);
    has("receive_drop", (1 << 6) + (1 << 15));
    has("receive_frame", (1 << 13) + (1 << 10) + (1 << 11) + (1 << 12));
    has("receive_fifo", 1 << 14);
    has("transmit_carrier", (1 << 17) + (1 << 16) + (1 << 19) + (1 << 20));
    has("transmit_colls", 1 << 9);
    assert_eq!(lines.len(), 16, "no nohandler: an old kernel");
}

#[test]
fn devices_are_selected_by_name() {
    let lines = "lo: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n";
    let fixture = host(&format!("{lines}{ETH0}"));
    let devices = |option: (&str, &str)| {
        let mut reader = Reader::new(&COLLECTOR, &fixture.options_with(&[option]));
        let samples = reader.samples();
        let is_of = |device: &str| samples.iter().any(|line| line.contains(device));
        (is_of("lo\""), is_of("eth0\""))
    };
    assert_eq!(devices(("netdev.device-exclude", "^lo$")), (false, true));
    assert_eq!(devices(("netdev.device-include", "^lo$")), (true, false));
    assert_eq!(devices(("netdev.netlink", "true")), (true, true));
}

#[test]
fn detailed_names_and_alias_label_are_options() {
    let fixture = host(ETH0);
    fixture.files("sys/class/net/eth0", &[("ifalias", "up \"link\"\n")]);
    let switches = [("netdev.enable-detailed-metrics", "true"), ("netdev.label-ifalias", "true")];
    let samples = Reader::new(&COLLECTOR, &fixture.options_with(&switches)).samples();
    let line = "node_network_receive_errors_total{device=\"eth0\",ifalias=\"up \\\"link\\\"\"} 3";
    assert!(samples.iter().any(|sample| sample == line), "{samples:#?}");
    assert!(!samples.iter().any(|sample| sample.contains("errs")));
}

#[test]
fn without_netlink_no_statistic_of_sysfs_is_shown() {
    let fixture = host(ETH0);
    fixture.file("sys/class/net/eth0/statistics/rx_nohandler", "23\n");
    let options = fixture.options_with(&[("netdev.netlink", "false")]);
    assert_eq!(Reader::new(&COLLECTOR, &options).samples().len(), 16);
}

#[test]
fn broken_lines_are_errors_and_odd_names_are_kept() {
    for line in ["eth0", "eth0: 1 2 3\n", ": 1 2\n", "eth0: x\n", "\u{0}\n"] {
        host(line).reader(&COLLECTOR).error();
    }
    Fixture::new().reader(&COLLECTOR).error();
    let fixture = host("");
    let line = b" a:\xff\": 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n";
    fixture.bytes("proc/net/dev", &[HEADER.as_bytes(), line].concat());
    let samples = fixture.samples(&COLLECTOR);
    let sample = "node_network_receive_bytes_total{device=\"a:\u{fffd}\\\"\"} 1";
    assert!(samples.iter().any(|line| line == sample), "{samples:#?}");
}
