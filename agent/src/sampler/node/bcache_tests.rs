//! Tests of the bcache collector.

use super::*;
use crate::sampler::node::testing::{Fixture, Reader};
use crate::test_log::Log;

const UUID: &str = "deaddd54-c735-46d5-868e-f331c5fd7c74";

fn directory() -> String {
    format!("sys/fs/bcache/{UUID}")
}

fn add_cache_set(fixture: &Fixture) {
    let cache_set = directory();
    let numbers = ["0\n", "1.5M\n", "100\n", "0\n", "1\n", "0\n", "1\n", "0\n", "1305\n", "4\n"];
    let files: Vec<_> = CACHE_SET.iter().map(|(file, _)| *file).zip(numbers).collect();
    fixture.files(&cache_set, &files);
    let writeback = "rate:\t\t1.1M/sec\ndirty:\t\t20.4G\ntarget:\t\t10.0G\nproportional:\t427.5k\n\
                     integral:\t-790.0k\nchange:\t\t321.5k/sec\nnext io:\t17ms\n";
    let numbers = ["20.4G\n", "8.2k\n", "546\n", "2\n", "3\n", "4\n", "5\n", "13\n"];
    let files: Vec<_> = BACKING.iter().map(|(file, _)| *file).zip(numbers).collect();
    fixture.files(&format!("{cache_set}/bdev0"), &files);
    fixture.file(&format!("{cache_set}/bdev0/writeback_rate_debug"), writeback);
    let files = [("io_errors", "0\n"), ("metadata_written", "512\n"), ("written", "0\n")];
    fixture.files(&format!("{cache_set}/cache0"), &files);
    let priority = "Unused:\t\t99%\nMetadata:\t2%\nAverage:\t10473\n";
    fixture.file(&format!("{cache_set}/cache0/priority_stats"), priority);
    fixture.file(&format!("{cache_set}/bdev_name"), "");
    fixture.file("sys/fs/bcache/register", "");
}

#[test]
fn cache_set_and_its_devices_are_read() {
    let fixture = Fixture::new();
    add_cache_set(&fixture);
    let uuid = format!("{{uuid=\"{UUID}\"}}");
    let backing = format!("{{backing_device=\"bdev0\",uuid=\"{UUID}\"}}");
    let cache = format!("{{cache_device=\"cache0\",uuid=\"{UUID}\"}}");
    let expected = [
        format!("node_bcache_active_journal_entries{uuid} 1"),
        format!("node_bcache_average_key_size_sectors{uuid} 0"),
        format!("node_bcache_btree_cache_size_bytes{uuid} 1560576"),
        format!("node_bcache_btree_nodes{uuid} 0"),
        format!("node_bcache_btree_read_average_duration_seconds{uuid} 0.000001305"),
        format!("node_bcache_bypassed_bytes_total{backing} 8392"),
        format!("node_bcache_cache_available_percent{uuid} 100"),
        format!("node_bcache_cache_bypass_hits_total{backing} 3"),
        format!("node_bcache_cache_bypass_misses_total{backing} 4"),
        format!("node_bcache_cache_hits_total{backing} 546"),
        format!("node_bcache_cache_miss_collisions_total{backing} 5"),
        format!("node_bcache_cache_misses_total{backing} 2"),
        format!("node_bcache_cache_read_races_total{uuid} 4"),
        format!("node_bcache_cache_readaheads_total{backing} 13"),
        format!("node_bcache_congested{uuid} 0"),
        format!("node_bcache_dirty_data_bytes{backing} 21894266880"),
        format!("node_bcache_dirty_target_bytes{backing} 10737418240"),
        format!("node_bcache_io_errors{cache} 0"),
        format!("node_bcache_metadata_written_bytes_total{cache} 512"),
        format!("node_bcache_root_usage_percent{uuid} 1"),
        format!("node_bcache_tree_depth{uuid} 0"),
        format!("node_bcache_writeback_change{backing} 329204"),
        format!("node_bcache_writeback_rate_integral_term{backing} -808960"),
        format!("node_bcache_writeback_rate_proportional_term{backing} 437748"),
        format!("node_bcache_writeback_rate{backing} 1150976"),
        format!("node_bcache_written_bytes_total{cache} 0"),
    ];
    assert_eq!(fixture.samples(&COLLECTOR), expected);
}

#[test]
fn priority_statistics_need_their_option() {
    let fixture = Fixture::new();
    add_cache_set(&fixture);
    let options = fixture.options_with(&[("bcache.priorityStats", "true")]);
    let samples = Reader::new(&COLLECTOR, &options).samples();
    assert_eq!(samples.len(), 28);
    let labels = format!("{{cache_device=\"cache0\",uuid=\"{UUID}\"}}");
    for (name, value) in [("unused", 99), ("metadata", 2)] {
        let sample = format!("node_bcache_priority_stats_{name}_percent{labels} {value}");
        assert!(samples.contains(&sample), "{sample}: {samples:#?}");
    }
}

#[test]
fn readaheads_are_left_out_without_file_or_while_zero() {
    let fixture = Fixture::new();
    add_cache_set(&fixture);
    let file = format!("{}/bdev0/{READAHEADS}", directory());
    fixture.file(&file, "0\n");
    assert_eq!(fixture.samples(&COLLECTOR).len(), 25);
    fixture.remove(&file);
    assert_eq!(fixture.samples(&COLLECTOR).len(), 25);
}

#[test]
fn sizes_have_units_of_1024() {
    for (text, expected) in [
        ("0", Some(0.0)),
        ("1234", Some(1234.0)),
        ("1.0k", Some(1024.0)),
        ("1.10k", Some(2024.0)),
        ("-2.0M", Some(-2_097_152.0)),
        ("1.0Y", Some(1024_f64.powi(8))),
        ("", None),
        ("-", None),
        ("k", None),
        ("1.x", None),
        ("1.5Q", None),
        ("1\u{fffd}", None),
    ] {
        assert_eq!(parse_size(text).map(f64::to_bits), expected.map(f64::to_bits), "{text:?}");
    }
}

#[test]
fn removed_devices_and_cache_sets_disappear() {
    let fixture = Fixture::new();
    let mut reader = fixture.reader(&COLLECTOR);
    assert!(reader.samples().is_empty(), "no bcache is no error");
    add_cache_set(&fixture);
    assert_eq!(reader.samples().len(), 26);
    fixture.remove(&format!("{}/bdev0", directory()));
    assert_eq!(reader.samples().len(), 13);
    fixture.remove(&directory());
    assert!(reader.samples().is_empty());
}

#[test]
fn broken_file_costs_only_its_value() {
    let fixture = Fixture::new();
    let log = Log::default();
    let _guard = log.install();
    for (file, text) in [
        ("tree_depth", b"".as_slice()),
        ("bdev0/dirty_data", b"\xff\0"),
        (
            "bdev0/writeback_rate_debug",
            b"rate:\ntarget: 1\nchange: 1\nproportional: 1\nintegral: 1",
        ),
        ("cache0/written", b"1 2"),
    ] {
        add_cache_set(&fixture);
        let file = format!("{}/{file}", directory());
        fixture.bytes(&file, text);
        assert_eq!(fixture.samples(&COLLECTOR).len(), 25, "{file}");
        let lines = log.lines();
        assert!(lines.last().unwrap().contains(&file), "{lines:?}");
    }
    add_cache_set(&fixture);
    fixture.remove(&format!("{}/tree_depth", directory()));
    assert_eq!(fixture.samples(&COLLECTOR).len(), 25);
}
