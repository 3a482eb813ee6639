//! Tests of the bcachefs collector.

use super::*;
use crate::sampler::node::testing::Fixture;
use crate::test_log::Log;

const UUID: &str = "deadbeef-1234-5678-9012-abcdefabcdef";

fn directory() -> String {
    format!("sys/fs/bcachefs/{UUID}")
}

fn add_filesystem(fixture: &Fixture) {
    let compression = "type     compressed  uncompressed  average extent size\n\
                       lz4:     19.3G       67.0G         112k\n\
                       none     1.5k        2048\n";
    let writes = "                nr     size\ninitial:  19088    108k\nbtree_key_cache 5 1.5k\n";
    let files = [
        ("btree_cache_size", "524M\n"),
        ("compression_stats", compression),
        ("errors", "btree_node_read_err 5 1234567890\nchecksum_err  10\n\n"),
        ("btree_write_stats", writes),
        ("counters/btree-node.read", "since mount:\t67\nsince filesystem creation:\t1.5k\n"),
    ];
    fixture.files(&directory(), &files);
    let errors = "IO errors since filesystem creation\n  read:    197346\n  checksum: 0\n\
                  IO errors since 8 y ago\n  write:   9\n";
    let files = [
        ("label", "ssd.ssd1\n"),
        ("state", "rw\n"),
        ("bucket_size", "2.00M\n"),
        ("nbuckets", "7630895\n"),
        ("durability", "1\n"),
        ("io_done", "read:\nsb          :       3989504\nwrite:\nsb : 31417344\nbtree: 7\n"),
        ("io_errors", errors),
    ];
    fixture.files(&format!("{}/dev-0", directory()), &files);
}

#[test]
fn filesystem_and_its_devices_are_read() {
    let fixture = Fixture::new();
    add_filesystem(&fixture);
    let uuid = format!("uuid=\"{UUID}\"");
    let done = |operation: &str, data_type: &str| {
        let labels = format!("data_type=\"{data_type}\",device=\"0\",operation=\"{operation}\"");
        format!("node_bcachefs_device_io_done_bytes_total{{{labels},{uuid}}}")
    };
    let expected = [
        format!("node_bcachefs_btree_cache_size_bytes{{{uuid}}} 549453824"),
        format!("node_bcachefs_btree_node_read_total{{{uuid}}} 1536"),
        format!(
            "node_bcachefs_btree_write_average_size_bytes{{type=\"btree_key_cache\",{uuid}}} 1536"
        ),
        format!("node_bcachefs_btree_write_average_size_bytes{{type=\"initial\",{uuid}}} 110592"),
        format!("node_bcachefs_btree_writes_total{{type=\"btree_key_cache\",{uuid}}} 5"),
        format!("node_bcachefs_btree_writes_total{{type=\"initial\",{uuid}}} 19088"),
        format!(
            "node_bcachefs_compression_compressed_bytes{{algorithm=\"lz4\",{uuid}}} 20723217203"
        ),
        format!("node_bcachefs_compression_compressed_bytes{{algorithm=\"none\",{uuid}}} 1536"),
        format!(
            "node_bcachefs_compression_uncompressed_bytes{{algorithm=\"lz4\",{uuid}}} 71940702208"
        ),
        format!("node_bcachefs_compression_uncompressed_bytes{{algorithm=\"none\",{uuid}}} 2048"),
        format!("node_bcachefs_device_bucket_size_bytes{{device=\"0\",{uuid}}} 2097152"),
        format!("node_bcachefs_device_buckets{{device=\"0\",{uuid}}} 7630895"),
        format!("node_bcachefs_device_durability{{device=\"0\",{uuid}}} 1"),
        format!(
            "node_bcachefs_device_info{{device=\"0\",label=\"ssd.ssd1\",state=\"rw\",{uuid}}} 1"
        ),
        format!("{} 3989504", done("read", "sb")),
        format!("{} 7", done("write", "btree")),
        format!("{} 31417344", done("write", "sb")),
        format!("node_bcachefs_device_io_errors_total{{device=\"0\",type=\"checksum\",{uuid}}} 0"),
        format!("node_bcachefs_device_io_errors_total{{device=\"0\",type=\"read\",{uuid}}} 197346"),
        format!("node_bcachefs_errors_total{{error_type=\"btree_node_read_err\",{uuid}}} 5"),
        format!("node_bcachefs_errors_total{{error_type=\"checksum_err\",{uuid}}} 10"),
        format!("node_bcachefs_info{{{uuid}}} 1"),
    ];
    let mut expected = expected.to_vec();
    expected.sort();
    assert_eq!(fixture.samples(&COLLECTOR), expected);
}

#[test]
fn host_without_filesystems_has_nothing() {
    let fixture = Fixture::new();
    let mut reader = fixture.reader(&COLLECTOR);
    assert_eq!(reader.error(), SourceError::NothingFound);
    fixture.directory("sys/fs/bcachefs");
    assert_eq!(reader.error(), SourceError::NothingFound);
    add_filesystem(&fixture);
    assert_eq!(reader.samples().len(), 22);
    fixture.remove(&format!("{}/dev-0", directory()));
    assert_eq!(reader.samples().len(), 13);
    fixture.remove(&directory());
    assert_eq!(reader.error(), SourceError::NothingFound);
}

#[test]
fn missing_files_have_no_value() {
    let fixture = Fixture::new();
    fixture.directory(&format!("{}/dev-my disk", directory()));
    let uuid = format!("uuid=\"{UUID}\"");
    assert_eq!(
        fixture.samples(&COLLECTOR),
        [
            format!("node_bcachefs_device_info{{device=\"my disk\",{uuid}}} 1"),
            format!("node_bcachefs_info{{{uuid}}} 1"),
        ]
    );
}

#[test]
fn sizes_have_units_of_1024() {
    for (text, expected) in [
        ("0", Some(0.0)),
        (" 1.5k\n", Some(1536.0)),
        ("2M", Some(2_097_152.0)),
        ("1E", Some(1024_f64.powi(6))),
        ("1.9", Some(1.0)),
        ("", None),
        ("k", None),
        ("1Q", None),
        ("1\u{fffd}", None),
    ] {
        assert_eq!(size_of(Some(text)).map(f64::to_bits), expected.map(f64::to_bits), "{text:?}");
    }
}

#[test]
fn truncated_or_binary_file_costs_only_its_values() {
    let log = Log::default();
    let _guard = log.install();
    for (file, text) in [
        ("btree_cache_size", b"".as_slice()),
        ("compression_stats", b"title\nlz4: 1.5k x\n"),
        ("compression_stats", b"title\nlz4: 1.5k\n"),
        ("errors", b"checksum_err \xff\n"),
        ("btree_write_stats", b"title\ninitial: 5 x\n"),
        ("counters/one", b"\xff\0"),
        ("counters/one", b"since filesystem creation:\n"),
        ("dev-0/nbuckets", b"x"),
        ("dev-0/io_done", b"read:\nsb: x\n"),
        ("dev-0/io_errors", b"IO errors since filesystem creation\nread: x"),
    ] {
        let fixture = Fixture::new();
        add_filesystem(&fixture);
        let file = format!("{}/{file}", directory());
        fixture.bytes(&file, text);
        let lost = 22 - fixture.samples(&COLLECTOR).len();
        let least = usize::from(!file.ends_with("counters/one"));
        assert!((least..=4).contains(&lost), "{file}: {lost}");
        let lines = log.lines();
        assert!(lines.last().unwrap().contains(&file), "{lines:?}");
    }
}
