use super::*;
use crate::sampler::node::testing::{Fixture, Reader};

/// A device that is up, with the files of sysfs.
const ETH0: &[(&str, &str)] = &[
    ("addr_assign_type", "3\n"),
    ("address", "02:fc:00:00:00:01\n"),
    ("broadcast", "ff:ff:ff:ff:ff:ff\n"),
    ("carrier", "1\n"),
    ("carrier_changes", "5\n"),
    ("carrier_up_count", "3\n"),
    ("carrier_down_count", "2\n"),
    ("dev_id", "0x20\n"),
    ("dormant", "0\n"),
    ("duplex", "full\n"),
    ("flags", "0x1303\n"),
    ("ifalias", "up \"link\"\n"),
    ("ifindex", "2\n"),
    ("iflink", "7\n"),
    ("link_mode", "1\n"),
    ("mtu", "1500\n"),
    ("name_assign_type", "4\n"),
    ("netdev_group", "9\n"),
    ("operstate", "up\n"),
    ("speed", "1000\n"),
    ("tx_queue_len", "1000\n"),
    ("type", "1\n"),
];

#[test]
fn attributes_of_a_device_are_read() {
    let fixture = Fixture::new();
    fixture.files("sys/class/net/eth0", ETH0);
    fixture.file("sys/class/net/bonding_masters", "");
    let info = "node_network_info{address=\"02:fc:00:00:00:01\",adminstate=\"up\",\
        broadcast=\"ff:ff:ff:ff:ff:ff\",device=\"eth0\",duplex=\"full\",\
        ifalias=\"up \\\"link\\\"\",operstate=\"up\"} 1";
    let expected = [
        "node_network_address_assign_type{device=\"eth0\"} 3",
        "node_network_carrier_changes_total{device=\"eth0\"} 5",
        "node_network_carrier_down_changes_total{device=\"eth0\"} 2",
        "node_network_carrier_up_changes_total{device=\"eth0\"} 3",
        "node_network_carrier{device=\"eth0\"} 1",
        "node_network_device_id{device=\"eth0\"} 32",
        "node_network_dormant{device=\"eth0\"} 0",
        "node_network_flags{device=\"eth0\"} 4867",
        "node_network_iface_id{device=\"eth0\"} 2",
        "node_network_iface_link_mode{device=\"eth0\"} 1",
        "node_network_iface_link{device=\"eth0\"} 7",
        info,
        "node_network_mtu_bytes{device=\"eth0\"} 1500",
        "node_network_name_assign_type{device=\"eth0\"} 4",
        "node_network_net_dev_group{device=\"eth0\"} 9",
        "node_network_protocol_type{device=\"eth0\"} 1",
        "node_network_speed_bytes{device=\"eth0\"} 125000000",
        "node_network_transmit_queue_length{device=\"eth0\"} 1000",
        "node_network_up{device=\"eth0\"} 1",
    ];
    assert_eq!(fixture.samples(&COLLECTOR), expected);
}

#[test]
fn attributes_that_cannot_be_read_are_absent() {
    let fixture = Fixture::new();
    fixture.files("sys/class/net/lo", &[("operstate", "unknown\n"), ("mtu", "many\n")]);
    let info = "node_network_info{adminstate=\"unknown\",device=\"lo\",operstate=\"unknown\"} 1";
    assert_eq!(fixture.samples(&COLLECTOR), [info, "node_network_up{device=\"lo\"} 0"]);
}

#[test]
fn unknown_speed_is_negative_unless_it_is_ignored() {
    let fixture = Fixture::new();
    fixture.file("sys/class/net/eth0/speed", "-1\n");
    let speed = |switch: &str| {
        let options = fixture.options_with(&[("netclass.ignore-invalid-speed", switch)]);
        let samples = Reader::new(&COLLECTOR, &options).samples();
        samples.into_iter().find(|line| line.contains("speed"))
    };
    let negative = "node_network_speed_bytes{device=\"eth0\"} -125000";
    assert_eq!(speed("false").as_deref(), Some(negative));
    assert_eq!(speed("true"), None);
}

#[test]
fn devices_come_and_go_and_may_be_ignored() {
    let fixture = Fixture::new();
    let options = fixture.options_with(&[("netclass.ignored-devices", "^veth")]);
    let mut reader = Reader::new(&COLLECTOR, &options);
    assert_eq!(reader.error(), SourceError::NothingFound);
    for device in ["eth0", "eth1", "veth0"] {
        fixture.file(&format!("sys/class/net/{device}/ifindex"), "3\n");
    }
    let devices = |samples: Vec<String>| samples.iter().filter(|line| line.contains("_up")).count();
    assert_eq!(devices(reader.samples()), 2);
    fixture.remove("sys/class/net/eth0");
    assert_eq!(devices(reader.samples()), 1);
}
