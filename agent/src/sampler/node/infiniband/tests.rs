//! Tests of the `InfiniBand` collector.

use super::*;
use crate::sampler::node::testing::{Fixture, Reader};

fn add_device(fixture: &Fixture, device: &str) -> String {
    let directory = format!("sys/class/infiniband/{device}");
    fixture.files(&directory, &[("board_id", "SM_1141000001000\n"), ("fw_ver", "2.31.5050\n")]);
    let port = format!("{directory}/ports/1");
    let files = [
        ("state", "4: ACTIVE\n"),
        ("phys_state", "5: LinkUp\n"),
        ("rate", "2.5 Gb/sec (1X SDR)\n"),
    ];
    fixture.files(&port, &files);
    port
}

#[test]
fn device_and_port_are_read_and_missing_counters_are_absent() {
    let fixture = Fixture::new();
    let port = add_device(&fixture, "mlx4_0");
    let files = [
        ("counters/port_rcv_data", "2221223609\n"),
        ("counters/link_downed", "0\n"),
        ("counters/VL15_dropped", "N/A (no PMA)\n"),
        ("counters/unknown", "1\n"),
        ("counters_ext/port_xmit_data_64", "5\n"),
        ("hw_counters/duplicate_request", "41\n"),
    ];
    fixture.files(&port, &files);
    fixture.bytes(&format!("{port}/counters/symbol_error"), b"\xff\0");
    let labels = "{device=\"mlx4_0\",port=\"1\"}";
    let info = "board_id=\"SM_1141000001000\",device=\"mlx4_0\",firmware_version=\"2.31.5050\"";
    let expected = [
        format!("node_infiniband_info{{{info}}} 1"),
        format!("node_infiniband_legacy_data_transmitted_bytes_total{labels} 20"),
        format!("node_infiniband_link_downed_total{labels} 0"),
        format!("node_infiniband_physical_state_id{labels} 5"),
        format!("node_infiniband_port_data_received_bytes_total{labels} 8884894436"),
        format!("node_infiniband_rate_bytes_per_second{labels} 312500000"),
        format!("node_infiniband_state_id{labels} 4"),
    ];
    assert_eq!(fixture.samples(&COLLECTOR), expected);
}

#[test]
fn only_selected_devices_are_read() {
    let fixture = Fixture::new();
    add_device(&fixture, "mlx4_0");
    add_device(&fixture, "mlx5_0");
    for (option, devices) in [(INCLUDE, ["mlx4_0"]), (EXCLUDE, ["mlx5_0"])] {
        let mut reader = Reader::new(&COLLECTOR, &fixture.options_with(&[(option, "^mlx4")]));
        let samples = reader.samples();
        let info = samples.iter().filter(|sample| sample.starts_with("node_infiniband_info"));
        let info: Vec<_> = info.collect();
        assert_eq!(info.len(), devices.len(), "{option}");
        assert!(info[0].contains(devices[0]), "{option}: {info:?}");
    }
}

#[test]
fn directories_of_counters_depend_on_the_driver() {
    for (device, expected) in
        [("mlx4_0", 30), ("mlx5_0", 60), ("irdma0", 30), ("nvs_0", 0), ("hfi1_0", 30)]
    {
        let fixture = Fixture::new();
        let port = add_device(&fixture, device);
        for (file, ..) in COUNTERS.iter().chain(&HARDWARE_COUNTERS) {
            fixture.file(&format!("{port}/{file}"), "7\n");
        }
        assert_eq!(fixture.samples(&COLLECTOR).len(), 4 + expected, "{device}");
    }
}

#[test]
fn values_have_the_unit_of_their_name() {
    let fixture = Fixture::new();
    let port = add_device(&fixture, "mlx5_0");
    for (file, ..) in COUNTERS.iter().chain(&HARDWARE_COUNTERS) {
        fixture.file(&format!("{port}/{file}"), "1900\n");
    }
    for line in fixture.samples(&COLLECTOR) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        if series.contains("_bytes_total") {
            assert_eq!(value, "7600", "{series}");
        } else if series.contains("lifespan_seconds") {
            assert_eq!(value, "1", "{series}");
        } else if series.contains("_total{") {
            assert_eq!(value, "1900", "{series}");
        }
    }
}

#[test]
fn removed_ports_and_devices_disappear() {
    let fixture = Fixture::new();
    let mut reader = fixture.reader(&COLLECTOR);
    assert_eq!(reader.error(), SourceError::NothingFound);
    let port = add_device(&fixture, "mlx4_0");
    assert_eq!(reader.samples().len(), 4);
    fixture.remove(&port);
    assert_eq!(reader.samples().len(), 1);
    fixture.remove("sys/class/infiniband/mlx4_0/ports");
    assert_eq!(reader.samples().len(), 1);
    fixture.remove("sys/class/infiniband/mlx4_0");
    assert!(reader.samples().is_empty());
}

#[test]
fn port_with_a_broken_state_or_rate_costs_only_itself() {
    let fixture = Fixture::new();
    add_device(&fixture, "mlx4_1");
    for file in ["state", "phys_state", "rate"] {
        let mut reader = fixture.reader(&COLLECTOR);
        let file = format!("{}/{file}", add_device(&fixture, "mlx4_0"));
        for text in [b"".as_slice(), b"4", b"x: y", b"x Gb", b"\xff\0"] {
            fixture.bytes(&file, text);
            let samples = reader.samples();
            let other = samples.iter().filter(|line| line.contains("mlx4_1")).count();
            assert_eq!((samples.len(), other), (1 + 4, 4), "{samples:#?}");
        }
        fixture.remove(&file);
        assert_eq!(fixture.samples(&COLLECTOR).len(), 1 + 4);
    }
}
