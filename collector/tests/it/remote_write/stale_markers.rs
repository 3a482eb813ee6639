//! When series end.

use fleetgauge_proto::report::ABSENT;

use super::{Engine, report, series, start_ms};
use crate::support::agent::{Agent, Received, identity};
use crate::support::frames::{add_disks, bye, change, disks, gauges, gauges_in, rows};

#[test]
fn series_of_an_agent_that_disconnects_end_right_after_their_last_sample() {
    let engine = Engine::start();
    let collector = engine.collector("");
    let mut agent = Agent::open(collector.agents, &identity("a"), &gauges(&["x", "y"]));
    let mut other = Agent::open(collector.agents, &identity("b"), &gauges(&["x", "y"]));
    let start = start_ms();
    report(&mut agent, start, &[1.0, ABSENT]);
    report(&mut other, start, &[1.0, 2.0]);
    drop(agent);
    engine.until(|ledger| ledger.markers_total() == 2);
    for name in ["x", "fleetgauge_agent_up"] {
        assert_eq!(engine.markers(&series(name, "a")), [start + 1]);
    }
    // Never had a sample.
    assert!(engine.markers(&series("y", "a")).is_empty());
    report(&mut other, start + 10, &[1.0, 2.0]);
    engine.until(|ledger| ledger.samples_total() == 2 + 3 + 2 + 3);
    assert!(engine.receiver.ledger().is_live(&series("x", "b")));
    engine.expect_no_violations();
}

/// A collector that is killed after the engine has accepted a report cannot send markers for what
/// the report lacks, and nothing sends them later.
#[test]
fn engine_has_the_markers_before_the_report_that_lacks_the_series() {
    let engine = Engine::start();
    let collector = engine.collector("agent_up = false\nmax_samples = 1");
    let mut agent = Agent::open(collector.agents, &identity("a"), &gauges(&["x", "y"]));
    let start = start_ms();
    report(&mut agent, start, &[1.0, 2.0]);
    report(&mut agent, start + 10, &[3.0, ABSENT]);
    engine.until(|ledger| ledger.samples_total() == 2 + 1 + 1);
    let ledger = engine.receiver.ledger();
    let (x, y) = (series("x", "a"), series("y", "a"));
    let marked = ledger.find(&y).unwrap().marker_arrival().unwrap();
    assert!(marked < ledger.find(&x).unwrap().last_arrival());
}

/// An engine that has newer samples from another collector refuses the markers, not samples.
#[test]
fn markers_of_agents_that_have_left_are_in_requests_of_their_own() {
    let engine = Engine::start();
    let collector = engine.collector("");
    for id in ["a", "b", "c"] {
        let mut agent = Agent::open(collector.agents, &identity(id), &gauges(&["x"]));
        report(&mut agent, start_ms(), &[1.0]);
        agent.send(&bye());
        assert_eq!(agent.receive(), Received::Closed);
    }
    engine.until(|ledger| ledger.markers_total() == 6);
    assert_eq!(engine.receiver.ledger().mixed_requests_total(), 0);
}

#[test]
fn series_whose_value_becomes_absent_ends_and_can_return() {
    let engine = Engine::start();
    let collector = engine.collector("agent_up = false");
    let mut agent = Agent::open(collector.agents, &identity("a"), &gauges(&["x", "y"]));
    let start = start_ms();
    report(&mut agent, start, &[1.0, 1.0]);
    report(&mut agent, start + 10, &[2.0, ABSENT]);
    report(&mut agent, start + 20, &[3.0, 3.0]);
    engine.until(|ledger| ledger.samples_total() == 6 && ledger.markers_total() == 1);
    assert_eq!(engine.markers(&series("y", "a")), [start + 1]);
    assert_eq!(engine.values(&series("y", "a")), [(start, 1.0), (start + 20, 3.0)]);
    assert!(engine.markers(&series("x", "a")).is_empty());
    engine.expect_no_violations();
}

#[test]
fn series_of_a_row_that_disappears_end() {
    let engine = Engine::start();
    let collector = engine.collector("agent_up = false");
    let mut agent = Agent::open(collector.agents, &identity("a"), &disks());
    agent.send(&add_disks(&["sda", "sdb"]));
    let start = start_ms();
    report(&mut agent, start, &[0.0, 1.0, 2.0, 3.0, 4.0]);
    agent.send(&rows(&[change(0, 1, &[0], &["sdc"])]));
    report(&mut agent, start + 10, &[0.0, 3.0, 4.0, 5.0, 6.0]);
    engine.until(|ledger| ledger.samples_total() == 5 + 2 + 5);
    let of = |name, device| [("__name__", name), ("agent", "a"), ("device", device)];
    for name in ["used", "size"] {
        assert_eq!(engine.markers(&of(name, "sda")), [start + 1]);
        assert!(engine.markers(&of(name, "sdb")).is_empty());
    }
    assert_eq!(engine.values(&of("used", "sdb")), [(start, 3.0), (start + 10, 3.0)]);
    assert_eq!(engine.values(&of("used", "sdc")), [(start + 10, 5.0)]);
}

#[test]
fn series_that_a_new_catalog_lacks_end() {
    let engine = Engine::start();
    let collector = engine.collector("agent_up = false");
    let mut agent = Agent::open(collector.agents, &identity("a"), &gauges(&["x", "y"]));
    let start = start_ms();
    report(&mut agent, start, &[1.0, 2.0]);
    agent.send(&gauges_in(0, &["y", "z"]).bytes);
    report(&mut agent, start + 10, &[3.0, 4.0]);
    engine.until(|ledger| ledger.samples_total() == 2 + 1 + 2);
    assert_eq!(engine.markers(&series("x", "a")), [start + 1]);
    assert_eq!(engine.values(&series("y", "a")), [(start, 2.0), (start + 10, 3.0)]);
    engine.expect_no_violations();
}

/// The agent's process was restarted, and its new connection takes over before the end of the old
/// one was noticed.
#[test]
fn takeover_ends_only_the_series_that_the_new_process_lacks() {
    let engine = Engine::start();
    let collector = engine.collector("agent_up = false");
    let mut old = Agent::open(collector.agents, &identity("a"), &gauges(&["x", "y"]));
    let start = start_ms();
    report(&mut old, start, &[1.0, 2.0]);
    let mut new = Agent::open(collector.agents, &identity("a"), &gauges(&["y"]));
    report(&mut new, start + 10, &[3.0]);
    engine.until(|ledger| ledger.samples_total() == 2 + 1 + 1);
    drop(old);
    report(&mut new, start + 20, &[4.0]);
    engine.until(|ledger| ledger.samples_total() == 2 + 1 + 1 + 1);
    assert_eq!(engine.markers(&series("x", "a")), [start + 1]);
    assert!(engine.markers(&series("y", "a")).is_empty());
}
