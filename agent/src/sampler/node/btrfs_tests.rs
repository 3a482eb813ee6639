//! Tests of the Btrfs collector.

use super::*;
use crate::sampler::node::testing::Fixture;

const UUID: &str = "0abb23a9-579b-43e6-ad30-227ef47fcb9d";

fn add_filesystem(fixture: &Fixture) {
    let directory = format!("sys/fs/btrfs/{UUID}");
    let commits = "commits 13\nlast_commit_ms 1\nmax_commit_ms 1250\ntotal_commit_ms 4532\n";
    let files = [
        ("label", "my \"data\"\n"),
        ("metadata_uuid", "0abb23a9-579b-43e6-ad30-227ef47fcb9d\n"),
        ("commit_stats", commits),
        ("allocation/global_rsv_size", "16777216\n"),
        ("allocation/data/bytes_reserved", "4096\n"),
        ("allocation/data/bytes_used", "9\n"),
        ("allocation/data/flags", "1\n"),
        ("allocation/data/raid5/total_bytes", "2147483648\n"),
        ("allocation/data/raid5/used_bytes", "808189952\n"),
        ("allocation/metadata/bytes_reserved", "0\n"),
        ("allocation/metadata/raid1/total_bytes", "1073741824\n"),
        ("allocation/metadata/raid1/used_bytes", "933888\n"),
        ("allocation/system/bytes_reserved", "1\n"),
        ("devices/loop25/size", "20971520\n"),
        ("devices/loop26/size", "20971520\n"),
        ("devices/loop27/size", "10\n"),
    ];
    fixture.files(&directory, &files);
}

#[test]
fn filesystem_is_read() {
    let fixture = Fixture::new();
    add_filesystem(&fixture);
    fixture.file("sys/fs/btrfs/features/label", "");
    let uuid = format!("uuid=\"{UUID}\"");
    let data = format!("{{block_group_type=\"data\",mode=\"raid5\",{uuid}}}");
    let metadata = format!("{{block_group_type=\"metadata\",mode=\"raid1\",{uuid}}}");
    let expected = [
        format!("node_btrfs_allocation_ratio{data} 1.5"),
        format!("node_btrfs_allocation_ratio{metadata} 2"),
        format!("node_btrfs_commit_seconds_total{{{uuid}}} 4.532"),
        format!("node_btrfs_commits_total{{{uuid}}} 13"),
        format!("node_btrfs_device_size_bytes{{device=\"loop25\",{uuid}}} 10737418240"),
        format!("node_btrfs_device_size_bytes{{device=\"loop26\",{uuid}}} 10737418240"),
        format!("node_btrfs_device_size_bytes{{device=\"loop27\",{uuid}}} 5120"),
        format!("node_btrfs_global_rsv_size_bytes{{{uuid}}} 16777216"),
        format!("node_btrfs_info{{label=\"my \\\"data\\\"\",{uuid}}} 1"),
        format!("node_btrfs_last_commit_seconds{{{uuid}}} 0.001"),
        format!("node_btrfs_max_commit_seconds{{{uuid}}} 1.25"),
        format!("node_btrfs_reserved_bytes{{block_group_type=\"data\",{uuid}}} 4096"),
        format!("node_btrfs_reserved_bytes{{block_group_type=\"metadata\",{uuid}}} 0"),
        format!("node_btrfs_reserved_bytes{{block_group_type=\"system\",{uuid}}} 1"),
        format!("node_btrfs_size_bytes{data} 2147483648"),
        format!("node_btrfs_size_bytes{metadata} 1073741824"),
        format!("node_btrfs_used_bytes{data} 808189952"),
        format!("node_btrfs_used_bytes{metadata} 933888"),
    ];
    assert_eq!(fixture.samples(&COLLECTOR), expected);
}

#[test]
fn old_kernel_without_commit_statistics_and_uuid_file_has_zeros_and_the_name() {
    let fixture = Fixture::new();
    add_filesystem(&fixture);
    for file in ["commit_stats", "metadata_uuid", "label"] {
        fixture.remove(&format!("sys/fs/btrfs/{UUID}/{file}"));
    }
    let samples = fixture.samples(&COLLECTOR);
    for name in ["commits_total", "commit_seconds_total", "max_commit_seconds"] {
        let sample = format!("node_btrfs_{name}{{uuid=\"{UUID}\"}} 0");
        assert!(samples.contains(&sample), "{sample}: {samples:#?}");
    }
    assert!(samples.contains(&format!("node_btrfs_info{{uuid=\"{UUID}\"}} 1")));
}

#[test]
fn ratio_depends_on_profile_and_number_of_devices() {
    for (profile, devices, expected) in [
        ("single", 1.0, 1.0),
        ("raid0", 4.0, 1.0),
        ("dup", 1.0, 2.0),
        ("raid1c3", 3.0, 3.0),
        ("raid1c4", 4.0, 4.0),
        ("raid5", 5.0, 1.25),
        ("raid6", 6.0, 1.5),
        ("raid5", 1.0, 1.0),
        ("raid6", 2.0, 1.0),
        ("raid99", 2.0, 1.0),
    ] {
        let found = ratio(profile, devices);
        assert!((found - expected).abs() < 1e-9, "{profile} on {devices}: {found}");
    }
}

#[test]
fn unmounted_filesystem_and_removed_profile_disappear() {
    let fixture = Fixture::new();
    let mut reader = fixture.reader(&COLLECTOR);
    assert!(reader.samples().is_empty(), "no Btrfs is no error");
    add_filesystem(&fixture);
    assert_eq!(reader.samples().len(), 18);
    fixture.remove(&format!("sys/fs/btrfs/{UUID}/allocation/data/raid5"));
    fixture.remove(&format!("sys/fs/btrfs/{UUID}/devices/loop27"));
    assert_eq!(reader.samples().len(), 14);
    fixture.remove(&format!("sys/fs/btrfs/{UUID}"));
    assert!(reader.samples().is_empty());
}

#[test]
fn binary_numbers_are_zero_and_missing_directories_are_empty() {
    let fixture = Fixture::new();
    let mut reader = fixture.reader(&COLLECTOR);
    add_filesystem(&fixture);
    fixture.bytes(&format!("sys/fs/btrfs/{UUID}/commit_stats"), b"commits \xff\n\0\ncommits\n");
    fixture.bytes(&format!("sys/fs/btrfs/{UUID}/devices/loop27/size"), b"\xff");
    let samples = reader.samples();
    assert!(samples.contains(&format!("node_btrfs_commits_total{{uuid=\"{UUID}\"}} 0")));
    assert_eq!(samples.len(), 18);
    fixture.remove(&format!("sys/fs/btrfs/{UUID}/devices"));
    fixture.remove(&format!("sys/fs/btrfs/{UUID}/allocation/data"));
    assert_eq!(fixture.samples(&COLLECTOR).len(), 12);
}
