use fleetgauge_proto::message::Family;
use fleetgauge_proto::report::ABSENT;
use tempfile::tempdir;

use super::*;
use crate::remote_write::Leave;
use crate::remote_write::encode::tests::fixture::family;
use crate::remote_write::journal::test_fleet::{
    Fleet, INTERVAL, RETURN, START, agent_id, collector, marked, names,
};

#[test]
fn agent_that_does_not_return_after_a_kill_is_marked_after_the_last_heartbeat() {
    let directory = tempdir().unwrap();
    let mut fleet = Fleet::start(&directory, START);
    fleet.report("dies", &["sda", "sdb"], START);
    fleet.report("stays", &["sda"], START);
    fleet.beat();
    drop(fleet);

    let next = Fleet::start(&directory, START + 60_000);
    next.report("stays", &["sda"], START + 61_000);
    assert_eq!(next.markers_after(RETURN - Duration::from_millis(1)), []);
    let beat = START + millis(HEARTBEAT_AFTER);
    let expected = marked("dies", beat + millis(HEARTBEAT), 5);
    assert_eq!(next.markers_after(Duration::from_millis(1)), [expected]);
    assert_eq!(next.journal().metrics.marked.get(), 1);
    assert_eq!(next.markers_after(RETURN), []);
}

#[test]
fn marked_agents_are_forgotten() {
    let directory = tempdir().unwrap();
    let mut fleet = Fleet::start(&directory, START);
    fleet.report("dies", &["sda"], START);
    fleet.beat();
    let mut next = Fleet::start(&directory, START + 60_000);
    assert_eq!(next.markers_after(RETURN).len(), 1);
    next.beat();
    let last = Fleet::start(&directory, START + 120_000);
    assert_eq!(last.markers_after(RETURN), []);
}

/// A second kill must not move the markers behind samples from other collectors.
#[test]
fn agents_of_two_kills_are_marked_at_the_first() {
    let directory = tempdir().unwrap();
    let mut fleet = Fleet::start(&directory, START);
    fleet.report("dies", &["sda"], START);
    fleet.writer.write();
    let mut next = Fleet::start(&directory, START + 60_000);
    next.report("later", &["sda"], START + 60_000);
    next.beat();
    let last = Fleet::start(&directory, START + 120_000);
    let second = START + 60_000 + millis(HEARTBEAT_AFTER) + millis(HEARTBEAT);
    let expected = [marked("dies", START + millis(HEARTBEAT), 3), marked("later", second, 3)];
    assert_eq!(last.markers_after(RETURN), expected);
}

#[test]
fn series_that_had_a_sample_at_any_time_are_marked_and_others_are_not() {
    let directory = tempdir().unwrap();
    let mut fleet = Fleet::start(&directory, START);
    fleet.report_values("dies", &["sda", "sdb", "sdc"], &[1.0, ABSENT], START);
    let same = fleet.forwarder().agent(&agent_id("dies")).unwrap();
    let noted = same.noted.lock().clone().unwrap();
    // A later report with the same layout, in which another series has a sample.
    let values = [ABSENT, 2.0, 1.0, ABSENT, 1.0, ABSENT];
    let present = Arc::new(crate::remote_write::CellSet::of(&noted.layout, &values));
    let later = crate::remote_write::agent_state::Shown { present, ..noted };
    fleet.journal().note(&same, &later);
    fleet.beat();
    let next = Fleet::start(&directory, START + 60_000);
    let series: Vec<_> = next.markers_after(RETURN).iter().map(|marked| marked.2).collect();
    assert_eq!(series, [3 + 1 + 1]);
}

#[test]
fn agents_that_ended_while_the_collector_was_running_are_not_marked_again() {
    let directory = tempdir().unwrap();
    let mut fleet = Fleet::start(&directory, START);
    fleet.report("gone", &["sda"], START);
    fleet.writer.write();
    fleet.forwarder().left(&agent_id("gone"), INTERVAL, Leave::Ended);
    fleet.beat();
    let next = Fleet::start(&directory, START + 60_000);
    assert_eq!(next.markers_after(RETURN), []);
}

/// An agent that did not answer may be dead. Its markers have the time after its last sample.
#[test]
fn stop_leaves_agents_that_did_not_answer_and_not_those_that_agreed_to_leave() {
    let directory = tempdir().unwrap();
    let mut fleet = Fleet::start(&directory, START);
    for id in ["agreed", "hangs", "returns"] {
        fleet.report(id, &["sda"], START);
    }
    fleet.beat();
    fleet.forwarder().left(&agent_id("agreed"), INTERVAL, Leave::Agreed);
    fleet.forwarder().left(&agent_id("hangs"), INTERVAL, Leave::Asked);
    fleet.forwarder().left(&agent_id("returns"), INTERVAL, Leave::Asked);
    fleet.writer.write();
    fleet.report("returns", &["sda"], START + 5_000);
    fleet.writer.finish();
    let (contents, damage) =
        read_journal(File::open(file::path_in(directory.path())).unwrap(), 1 << 20);
    assert!(damage.is_none(), "{damage:?}");
    let of = |id| contents.agents.get(&agent_id(id)).map(|agent| agent.ended_ms);
    assert_eq!(of("agreed"), None);
    assert_eq!(of("hangs"), Some(Some(START + 1)));
    assert_eq!(of("returns"), Some(None));
}

#[test]
fn equal_records_are_not_written_again() {
    let directory = tempdir().unwrap();
    let mut fleet = Fleet::start(&directory, START);
    fleet.report("a", &["sda"], START);
    fleet.writer.write();
    let bytes = fleet.writer.file.as_ref().unwrap().bytes();
    // A new session has a layout of its own.
    fleet.report("a", &["sda"], START + 1_000);
    fleet.writer.write();
    assert_eq!(fleet.writer.file.as_ref().unwrap().bytes(), bytes);
    fleet.report("a", &["sdb"], START + 2_000);
    fleet.writer.write();
    assert!(fleet.writer.file.as_ref().unwrap().bytes() > bytes);
}

#[test]
fn agents_beyond_the_maximum_size_are_left_out_and_counted_until_there_is_room() {
    let directory = tempdir().unwrap();
    let mut fleet = Fleet::with_size(&directory, START, "4KiB");
    let ids: Vec<_> = (0..100).map(|n| format!("a{n:02}")).collect();
    ids.iter().for_each(|id| fleet.report(id, &["sda"], START));
    fleet.beat();
    let metrics = &fleet.journal().metrics;
    let (kept, left_out) = (metrics.agents.get(), metrics.left_out.get());
    assert!(kept > 10 && left_out > 10 && kept + left_out == 100, "{kept}, {left_out}");
    assert!(metrics.bytes.get() <= 4_096, "{}", metrics.bytes.get());
    // Equal records need no room.
    let bytes = metrics.bytes.get();
    ids.iter().for_each(|id| fleet.report(id, &["sda"], START + 1_000));
    fleet.writer.write();
    let metrics = &fleet.journal().metrics;
    let unchanged = (metrics.agents.get(), metrics.left_out.get(), metrics.bytes.get());
    assert_eq!(unchanged, (kept, left_out, bytes));
    for id in &ids[..90] {
        fleet.forwarder().left(&agent_id(id), INTERVAL, Leave::Ended);
    }
    fleet.beat();
    fleet.beat();
    let metrics = &fleet.journal().metrics;
    assert_eq!((metrics.agents.get(), metrics.left_out.get()), (10, 0));
    let next = Fleet::with_size(&directory, START + 60_000, "4KiB");
    assert_eq!(next.markers_after(RETURN).len(), 10);
}

/// Its markers would be older than its samples.
#[test]
fn agent_that_returns_when_the_journal_is_full_has_no_record_of_its_departure() {
    let directory = tempdir().unwrap();
    let mut fleet = Fleet::with_size(&directory, START, "4KiB");
    fleet.report("returns", &["sda"], START);
    fleet.forwarder().left(&agent_id("returns"), INTERVAL, Leave::Asked);
    fleet.writer.write();
    let ended_ms = || {
        let file = File::open(file::path_in(directory.path())).unwrap();
        let (contents, damage) = read_journal(file, 1 << 20);
        assert!(damage.is_none(), "{damage:?}");
        contents.agents.get(&agent_id("returns")).map(|agent| agent.ended_ms)
    };
    assert_eq!(ended_ms(), Some(Some(START + 1)));
    (0..100).for_each(|n| fleet.report(&format!("a{n}"), &["sda"], START));
    fleet.writer.write();
    let left_out = fleet.journal().metrics.left_out.get();
    fleet.report("returns", &["sda"], START + 1_000);
    fleet.writer.write();
    assert_eq!(fleet.journal().metrics.left_out.get(), left_out + 1);
    assert_eq!(ended_ms(), None);
}

#[test]
fn catalogs_that_change_do_not_fill_the_journal() {
    let directory = tempdir().unwrap();
    let mut fleet = Fleet::with_size(&directory, START, "64KiB");
    let help: &'static str = "x".repeat(1_000).leak();
    for round in 0..100_u64 {
        let name: &'static str = format!("used{round}").leak();
        let families = [name, "size"].map(|name| Family { help, ..family(name, 1) });
        fleet.report_families("changes", &families, &["sda"], &[1.0, 2.0], START + 10 * round);
        fleet.writer.write();
        let metrics = &fleet.journal().metrics;
        assert!(metrics.bytes.get() <= 64 << 10, "{}", metrics.bytes.get());
    }
    fleet.report("new", &["sda"], START + 2_000);
    fleet.beat();
    fleet.beat();
    let metrics = &fleet.journal().metrics;
    assert_eq!((metrics.agents.get(), metrics.left_out.get()), (2, 0));
    assert_eq!(Fleet::start(&directory, START + 60_000).markers_after(RETURN).len(), 2);
}

/// The catalogs of agents that were read are in the file until these have returned.
#[test]
fn catalogs_of_the_last_run_do_not_fill_the_journal() {
    let directory = tempdir().unwrap();
    let mut fleet = Fleet::with_size(&directory, START, "1MiB");
    let help: &'static str = "x".repeat(1_000).leak();
    for round in 0..10_u64 {
        let name: &'static str = format!("used{round}").leak();
        let families = [name, "size"].map(|name| Family { help, ..family(name, 1) });
        fleet.report_families("old", &families, &["sda"], &[1.0, 2.0], START + 10 * round);
        fleet.writer.write();
    }
    // The catalogs of the file leave no room for agents.
    let max_bytes = fleet.writer.file.as_ref().unwrap().bytes();
    let mut next = Fleet::with_size(&directory, START + 60_000, &format!("{max_bytes}B"));
    next.report("new", &["sda"], START + 61_000);
    next.beat();
    assert_eq!(next.journal().metrics.left_out.get(), 2);
    next.report("old", &["sda"], START + 62_000);
    next.beat();
    next.beat();
    let metrics = &next.journal().metrics;
    assert_eq!((metrics.agents.get(), metrics.left_out.get()), (2, 0));
    assert!(metrics.bytes.get() < 4 << 10, "{}", metrics.bytes.get());
}

#[test]
fn file_that_is_mostly_unused_is_replaced_by_a_smaller_one() {
    let directory = tempdir().unwrap();
    let mut fleet = Fleet::start(&directory, START);
    let names: Vec<_> = (0..200).map(|n| format!("{n:04}{}", "x".repeat(500))).collect();
    let mut largest = 0;
    for round in 0..60_u64 {
        let rows: Vec<_> =
            names.iter().map(String::as_str).take(199 - (round as usize % 2)).collect();
        fleet.report("changes", &rows, START + 10 * round);
        fleet.writer.write();
        largest = largest.max(fleet.writer.file.as_ref().unwrap().bytes());
    }
    // All records take several times as much.
    assert!(largest < 2 * MIN_COMPACTED_BYTES, "{largest}");
    fleet.beat();
    let next = Fleet::start(&directory, START + 60_000);
    assert_eq!(next.markers_after(RETURN).len(), 1);
}

/// Writes to /dev/full fail as on a full disk.
#[cfg(target_os = "linux")]
#[test]
fn full_disk_is_counted_and_the_journal_is_complete_once_there_is_room() {
    let directory = tempdir().unwrap();
    let new = directory.path().join("remote_write_agents.new");
    std::os::unix::fs::symlink("/dev/full", &new).unwrap();
    let mut fleet = Fleet::start(&directory, START);
    assert_eq!(fleet.errors(), 1);
    fleet.report("a", &["sda"], START);
    // Not before the next heartbeat.
    fleet.writer.write();
    assert_eq!(fleet.errors(), 1);
    std::os::unix::fs::symlink("/dev/full", &new).unwrap();
    fleet.beat();
    assert_eq!(fleet.errors(), 2);
    // The failed write has removed the link.
    fleet.beat();
    assert_eq!(names(&directory), ["remote_write_agents"]);
    let next = Fleet::start(&directory, START + 60_000);
    assert_eq!(next.markers_after(RETURN).len(), 1);
}

#[cfg(target_os = "linux")]
#[test]
fn file_that_cannot_grow_is_replaced_at_the_next_heartbeat() {
    let directory = tempdir().unwrap();
    let mut fleet = Fleet::start(&directory, START);
    fleet.report("a", &["sda"], START);
    fleet.writer.write();
    fleet.writer.file = Some(JournalFile::full().unwrap());
    fleet.report("b", &["sda"], START);
    fleet.writer.write();
    assert_eq!(fleet.errors(), 1);
    fleet.report("c", &["sda"], START);
    fleet.writer.write();
    fleet.beat();
    assert_eq!(fleet.errors(), 1);
    let next = Fleet::start(&directory, START + 60_000);
    assert_eq!(next.markers_after(RETURN).len(), 3);
}

#[test]
fn directory_that_rejects_files_costs_only_the_journal() {
    let directory = tempdir().unwrap();
    // As root, the test could write to a read-only directory.
    std::fs::create_dir(directory.path().join("remote_write_agents.new")).unwrap();
    let mut fleet = Fleet::start(&directory, START);
    fleet.report("a", &["sda"], START);
    fleet.beat();
    assert_eq!(fleet.errors(), 2);
    fleet.forwarder().left(&agent_id("a"), INTERVAL, Leave::Ended);
    assert_eq!(fleet.queued_markers(), [marked("a", START + 1, 3)]);
}

#[test]
fn damaged_record_loses_only_what_follows() {
    let directory = tempdir().unwrap();
    let mut fleet = Fleet::start(&directory, START);
    fleet.report("a", &["sda"], START);
    fleet.writer.write();
    let intact = fleet.writer.file.as_ref().unwrap().bytes();
    fleet.report("b", &["sda"], START);
    fleet.writer.write();
    let path = file::path_in(directory.path());
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[usize::try_from(intact).unwrap() + 20] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let next = Fleet::start(&directory, START + 60_000);
    assert_eq!(next.errors(), 1);
    assert_eq!(next.markers_after(RETURN), [marked("a", START + millis(HEARTBEAT), 3)]);
}

#[test]
fn journal_of_another_version_is_set_aside() {
    let directory = tempdir().unwrap();
    let path = file::path_in(directory.path());
    std::fs::write(&path, b"fleetgauge-agents\x09").unwrap();
    let mut fleet = Fleet::start(&directory, START);
    assert_eq!(fleet.errors(), 1);
    let aside = "remote_write_agents.damaged-1800000000";
    assert_eq!(names(&directory), ["remote_write_agents", aside]);
    fleet.report("a", &["sda"], START);
    fleet.beat();
    assert_eq!(Fleet::start(&directory, START + 60_000).markers_after(RETURN).len(), 1);
}

#[test]
fn too_many_changes_to_remember_are_written_as_a_whole() {
    let directory = tempdir().unwrap();
    let mut fleet = Fleet::start(&directory, START);
    fleet.report("a", &["sda"], START);
    *fleet.journal().changes.lock() = Changes { ids: Default::default(), all: true };
    fleet.journal().changed(&agent_id("b"));
    assert!(fleet.journal().changes.lock().ids.is_empty());
    fleet.beat();
    assert_eq!(Fleet::start(&directory, START + 60_000).markers_after(RETURN).len(), 1);
}

#[test]
fn no_journal_is_kept_without_a_size_and_an_old_one_is_removed() {
    let directory = tempdir().unwrap();
    drop(Fleet::start(&directory, START));
    assert_eq!(names(&directory), ["remote_write_agents"]);
    assert!(JournalWriter::open(&collector(&directory, "0B")).is_none());
    assert_eq!(names(&directory), [""; 0]);
}
