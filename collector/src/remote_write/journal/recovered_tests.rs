use std::time::{Duration, Instant};

use prometheus_client::registry::Registry as MetricsRegistry;
use tempfile::{TempDir, tempdir};

use super::*;
use crate::remote_write::journal::Changes;
use crate::remote_write::journal::test_fleet::{
    Fleet, INTERVAL, Marked, RETURN, START, agent_id, marked,
};
use crate::remote_write::journal::writer::HEARTBEAT_AFTER;
use crate::remote_write::{Leave, RemoteWriteTasks};

/// Starts a collector after one that was killed and had forwarded this agent.
fn after_kill(directory: &TempDir, id: &str) -> Fleet {
    let mut fleet = Fleet::start(directory, START);
    fleet.report(id, &["sda"], START);
    fleet.beat();
    Fleet::start(directory, START + 60_000)
}

/// The markers of that agent.
fn expected(id: &str) -> Marked {
    marked(id, START + millis(HEARTBEAT_AFTER) + millis(HEARTBEAT), 3)
}

#[test]
fn agent_that_returns_and_dies_before_its_log_is_forwarded_is_marked_at_once() {
    let directory = tempdir().unwrap();
    let next = after_kill(&directory, "dies");
    drop(next.enter("dies", 5));
    assert_eq!(next.markers_after(2 * RETURN), [], "it is connected");
    next.forwarder().left(&agent_id("dies"), INTERVAL, Leave::Ended);
    assert_eq!(next.markers_after(Duration::ZERO), [expected("dies")]);
    assert_eq!(next.markers_after(RETURN), []);
}

#[test]
fn agent_that_returns_before_a_second_kill_and_not_after_it_is_marked() {
    let directory = tempdir().unwrap();
    let mut next = after_kill(&directory, "dies");
    next.report("other", &["sda"], START + 60_000);
    drop(next.enter("dies", 5));
    next.beat();
    // Also in a new file.
    *next.journal().changes.lock() = Changes { ids: Default::default(), all: true };
    next.beat();
    let last = Fleet::start(&directory, START + 120_000);
    assert_eq!(last.markers_after(RETURN)[0], expected("dies"));
}

#[test]
fn agent_whose_log_is_forwarded_is_recorded_with_its_new_series() {
    let directory = tempdir().unwrap();
    let mut next = after_kill(&directory, "a");
    drop(next.enter("a", 5));
    next.report("a", &["sda", "sdb"], START + 61_000);
    assert!(!next.forwarder().awaits_agents());
    next.beat();
    next.forwarder().left(&agent_id("a"), INTERVAL, Leave::Ended);
    assert_eq!(next.markers_after(RETURN), [marked("a", START + 61_001, 5)]);
    next.beat();
    assert_eq!(Fleet::start(&directory, START + 120_000).markers_after(RETURN), []);
}

#[test]
fn agent_that_does_not_answer_before_its_log_is_forwarded_is_marked_when_it_expires() {
    let directory = tempdir().unwrap();
    let next = after_kill(&directory, "hangs");
    drop(next.enter("hangs", 5));
    next.forwarder().left(&agent_id("hangs"), INTERVAL, Leave::Asked);
    assert_eq!(next.markers_after(2 * RETURN), [], "it may be at another collector");
    next.forwarder().expire(Instant::now() + 3 * INTERVAL);
    assert_eq!(next.markers_after(Duration::ZERO), [expected("hangs")]);
}

#[test]
fn agent_that_agrees_to_leave_before_its_log_is_forwarded_is_not_marked() {
    let directory = tempdir().unwrap();
    let mut next = after_kill(&directory, "moves");
    drop(next.enter("moves", 5));
    next.forwarder().left(&agent_id("moves"), INTERVAL, Leave::Agreed);
    next.forwarder().expire(Instant::now() + 3 * INTERVAL);
    assert_eq!(next.markers_after(2 * RETURN), []);
    next.beat();
    assert_eq!(Fleet::start(&directory, START + 120_000).markers_after(RETURN), []);
}

#[test]
fn agent_that_agreed_to_leave_and_is_back_is_marked_if_it_dies_with_the_collector() {
    let directory = tempdir().unwrap();
    let mut fleet = Fleet::start(&directory, START);
    fleet.report("back", &["sda"], START);
    fleet.forwarder().left(&agent_id("back"), INTERVAL, Leave::Agreed);
    fleet.writer.write();
    drop(fleet.enter("back", 5));
    fleet.beat();
    let next = Fleet::start(&directory, START + 60_000);
    assert_eq!(next.markers_after(RETURN), [expected("back")]);
}

#[test]
fn agent_that_returns_while_others_are_marked_is_not_marked() {
    let directory = tempdir().unwrap();
    let next = after_kill(&directory, "returns");
    next.collector.clock.advance(RETURN);
    let due = next.journal().recovered.lock().due(next.collector.clock.now());
    assert_eq!(due, [agent_id("returns")]);
    drop(next.enter("returns", 5));
    assert_eq!(next.journal().mark(&due[0], &next.collector, next.forwarder()), None);
    assert_eq!(next.queued_markers(), []);
}

/// The senders of lanes without samples end at once when the collector stops, and those with
/// samples wait for an engine that is away.
#[test]
fn no_agents_are_marked_while_remote_write_stops() {
    let directory = tempdir().unwrap();
    let next = after_kill(&directory, "dies");
    next.report("stays", &["sda"], START + 60_000);
    next.collector.clock.advance(RETURN);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let metrics = Arc::new(MetricsRegistry::default());
    runtime.block_on(async {
        // The tasks first run when `stop` waits for them.
        let tasks = RemoteWriteTasks::start(&next.collector, &metrics, ([127, 0, 0, 1], 1).into());
        tasks.stop(&next.collector, Duration::from_millis(200)).await;
    });
    assert!(next.journal().recovered.lock().contains(&agent_id("dies")));
    assert_eq!(next.journal().metrics.marked.get(), 0);
}
