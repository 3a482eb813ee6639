//! Tests of the ZFS collector.

use super::*;
use crate::sampler::node::testing::Fixture;

const ROOT: &str = "proc/spl/kstat/zfs";

fn kstat(rows: &str) -> String {
    format!("12 1 0x01 98 26656 5266997922 97951858082072\nname  type data\n{rows}")
}

fn dataset(name: &str, writes: u32) -> String {
    kstat(&format!("dataset_name  7  {name}\nwrites  4  {writes}\nnwritten 4 20\nnew-row 4 7\n"))
}

#[test]
fn rows_of_the_module_are_found() {
    let fixture = Fixture::new();
    let arc = "hits                            4    8772612\n\
               memory_available_bytes          3    -12345\n\
               l2_hit-rate\t4\t5\n\
               kind                            7    some text\n\
               bad.name                        4    1\n\
               short 4\n";
    fixture.file(&format!("{ROOT}/arcstats"), &kstat(arc));
    fixture.file(&format!("{ROOT}/zil"), &kstat("zil_commit_count 4 10"));
    fixture.file(&format!("{ROOT}/other"), "text");
    assert_eq!(
        fixture.samples(&COLLECTOR),
        [
            "node_zfs_arc_hits 8772612",
            "node_zfs_arc_l2_hit_rate 5",
            "node_zfs_arc_memory_available_bytes -12345",
            "node_zfs_zil_zil_commit_count 10",
        ]
    );
}

#[test]
fn all_files_of_the_module_are_read() {
    let fixture = Fixture::new();
    for (file, _) in FILES {
        fixture.file(&format!("{ROOT}/{file}"), &kstat("row 4 1"));
    }
    let expected: Vec<_> = FILES.iter().map(|(_, prefix)| format!("{prefix}row 1")).collect();
    assert_eq!(fixture.samples(&COLLECTOR), expected);
}

#[test]
fn one_state_of_a_pool_is_set() {
    let fixture = Fixture::new();
    fixture.file(&format!("{ROOT}/tank/state"), "DEGRADED\n");
    fixture.file(&format!("{ROOT}/my pool/state"), "new state\n");
    let samples = fixture.samples(&COLLECTOR);
    assert_eq!(samples.len(), 14);
    assert!(
        samples.contains(&"node_zfs_zpool_state{state=\"online\",zpool=\"tank\"} 0".to_owned())
    );
    let set: Vec<_> = samples.iter().filter(|line| line.ends_with(" 1")).collect();
    assert_eq!(set, ["node_zfs_zpool_state{state=\"degraded\",zpool=\"tank\"} 1"]);
}

#[test]
fn io_statistics_of_old_releases_are_read_by_column_name() {
    let fixture = Fixture::new();
    let io = "12 3 0x00 1 80 79205351707403 395818011156865\n\
              nread    nwritten reads    writes   wtime    new      rcnt\n\
              1884160  3206144  22       132      7155162  104112268 9\n";
    fixture.file(&format!("{ROOT}/tank/io"), io);
    assert_eq!(
        fixture.samples(&COLLECTOR),
        [
            "node_zfs_zpool_nread{zpool=\"tank\"} 1884160",
            "node_zfs_zpool_nwritten{zpool=\"tank\"} 3206144",
            "node_zfs_zpool_rcnt{zpool=\"tank\"} 9",
            "node_zfs_zpool_reads{zpool=\"tank\"} 22",
            "node_zfs_zpool_writes{zpool=\"tank\"} 132",
            "node_zfs_zpool_wtime{zpool=\"tank\"} 7155162",
        ]
    );
    fixture.file(&format!("{ROOT}/tank/io"), "nread nwritten\n1\n");
    fixture.reader(&COLLECTOR).error();
}

#[test]
fn broken_pool_dataset_or_file_costs_only_itself() {
    let fixture = Fixture::new();
    fixture.file(&format!("{ROOT}/bad/io"), "nread nwritten\n1\n");
    fixture.file(&format!("{ROOT}/bad/objset-0x1"), &kstat("writes 4 1\n"));
    fixture.file(&format!("{ROOT}/bad/objset-0x2"), &dataset("good", 4));
    fixture.file(&format!("{ROOT}/tank/io"), "nread nwritten\n1 2\n");
    fixture.file(&format!("{ROOT}/abdstats"), "binary");
    fixture.file(&format!("{ROOT}/zil"), &kstat("zil_commit_count 4 10"));
    assert_eq!(
        fixture.samples(&COLLECTOR),
        [
            "node_zfs_zil_zil_commit_count 10",
            "node_zfs_zpool_dataset_new_row{dataset=\"good\",zpool=\"bad\"} 7",
            "node_zfs_zpool_dataset_nwritten{dataset=\"good\",zpool=\"bad\"} 20",
            "node_zfs_zpool_dataset_writes{dataset=\"good\",zpool=\"bad\"} 4",
            "node_zfs_zpool_nread{zpool=\"tank\"} 1",
            "node_zfs_zpool_nwritten{zpool=\"tank\"} 2",
        ]
    );
}

#[test]
fn datasets_are_read_with_rows_that_are_not_known() {
    let fixture = Fixture::new();
    fixture.file(&format!("{ROOT}/tank/objset-0x1"), &dataset("tank", 4));
    fixture.file(&format!("{ROOT}/tank/objset-0x2"), &dataset("tank/my \"data\"", 5));
    let mut reader = fixture.reader(&COLLECTOR);
    let samples = reader.samples();
    assert_eq!(samples.len(), 6);
    for sample in [
        "node_zfs_zpool_dataset_writes{dataset=\"tank\",zpool=\"tank\"} 4",
        "node_zfs_zpool_dataset_nwritten{dataset=\"tank\",zpool=\"tank\"} 20",
        "node_zfs_zpool_dataset_new_row{dataset=\"tank\",zpool=\"tank\"} 7",
        "node_zfs_zpool_dataset_writes{dataset=\"tank/my \\\"data\\\"\",zpool=\"tank\"} 5",
    ] {
        assert!(samples.iter().any(|line| line == sample), "{sample}: {samples:#?}");
    }
    fixture.remove(&format!("{ROOT}/tank/objset-0x1"));
    assert_eq!(reader.samples().len(), 3);
    fixture.remove(&format!("{ROOT}/tank"));
    assert!(reader.samples().is_empty());
}

#[test]
fn host_without_the_module_has_nothing() {
    let fixture = Fixture::new();
    assert_eq!(fixture.reader(&COLLECTOR).error(), SourceError::NothingFound);
}

#[test]
fn truncated_or_binary_files_are_errors() {
    let fixture = Fixture::new();
    let mut reader = fixture.reader(&COLLECTOR);
    for file in ["arcstats", "tank/objset-0x1"] {
        let file = format!("{ROOT}/{file}");
        for text in [b"".as_slice(), b"12 1 0x01 98", b"\xff\0", b"name type data\nhits 4 x"] {
            fixture.bytes(&file, text);
            let error = reader.error().to_string();
            assert!(error.contains(&file), "{error}");
        }
        fixture.remove(&file);
    }
}

#[test]
fn rows_of_a_file_are_bounded() {
    let fixture = Fixture::new();
    let rows: String = (0..5_000).map(|row| format!("row{row} 4 1\n")).collect();
    fixture.file(&format!("{ROOT}/arcstats"), &kstat(&rows));
    assert_eq!(fixture.samples(&COLLECTOR).len(), 1_000);
}
