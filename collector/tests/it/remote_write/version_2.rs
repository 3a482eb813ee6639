//! Remote write 2.0.

use super::samples::dropped;
use super::{Engine, report, series, start_ms};
use crate::support::agent::{Agent, identity};
use crate::support::collector::Collector;
use crate::support::command::Process;
use crate::support::eventually;
use crate::support::frames::{add_disks, disks, gauges};

const VERSION_2: &str = "protocol = \"2.0\"\nlanes = 1";

fn accepted(collector: &Collector) -> f64 {
    collector.metric("fleetgauge_remote_write_samples_total{remote_name=\"engine\"}")
}

fn requests(collector: &Collector, status: &str) -> f64 {
    collector.metric(&format!(
        "fleetgauge_remote_write_requests_total{{remote_name=\"engine\",status=\"{status}\"}}"
    ))
}

#[test]
fn samples_arrive_with_their_metadata() {
    let engine = Engine::start();
    let collector = engine.collector(VERSION_2);
    let mut agents: Vec<_> = ["a", "b"]
        .map(|id| Agent::open(collector.agents, &identity(id), &disks()))
        .into_iter()
        .collect();
    let start = start_ms();
    for (agent, devices) in agents.iter_mut().zip([&["sda", "sdb"], &["sda", "sdc"]]) {
        agent.send(&add_disks(devices));
        for round in 0_i32..3 {
            let time = start + 10 * i64::from(round);
            report(agent, time, &[f64::from(round), 1.0, 2.0, 3.0, 4.0]);
        }
    }
    engine.until(|ledger| ledger.samples_total() == 2 * 3 * 6);
    let load = [(start, 0.0), (start + 10, 1.0), (start + 20, 2.0)];
    for id in ["a", "b"] {
        assert_eq!(engine.values(&series("load", id)), load);
    }
    let of_disk = [("__name__", "used"), ("agent", "b"), ("device", "sdc")];
    assert_eq!(engine.values(&of_disk), [start, start + 10, start + 20].map(|time| (time, 3.0)));
    let ledger = engine.receiver.ledger();
    let kinds = ["fleetgauge_agent_up", "load", "used"].map(|name| ledger.metadata()[name].kind);
    assert_eq!(kinds, [2; 3]);
    drop(ledger);
    eventually("the samples count", || accepted(&collector) == 36.0);
    engine.expect_no_violations();
}

#[test]
fn series_of_an_agent_that_disconnects_end() {
    let engine = Engine::start();
    let collector = engine.collector(VERSION_2);
    let mut agent = Agent::open(collector.agents, &identity("a"), &gauges(&["x"]));
    let start = start_ms();
    report(&mut agent, start, &[1.0]);
    drop(agent);
    engine.until(|ledger| ledger.markers_total() == 2);
    for name in ["x", "fleetgauge_agent_up"] {
        assert_eq!(engine.markers(&series(name, "a")), [start + 1]);
    }
    assert_eq!(engine.receiver.ledger().mixed_requests_total(), 0);
    engine.expect_no_violations();
}

#[test]
fn poisoned_series_is_dropped_alone() {
    let engine = Engine::start();
    engine.receiver.faults().poison(400, |labels| labels.get("__name__") == Some("bad"));
    let collector = engine.collector(VERSION_2);
    let start = start_ms();
    let mut good = Agent::open(collector.agents, &identity("a"), &gauges(&["x"]));
    report(&mut good, start, &[1.0]);
    // From here on, the engine is known to understand the protocol.
    engine.until(|ledger| ledger.samples_total() == 2);
    let names = ["x", "bad", "y"];
    let mut agent = Agent::open(collector.agents, &identity("b"), &gauges(&names));
    report(&mut agent, start, &[1.0, 2.0, 3.0]);
    engine.until(|ledger| ledger.samples_total() == 2 + 3);
    eventually("the sample is counted", || dropped(&collector, "rejected") == 1.0);
    engine.expect_no_violations();
}

/// The first repeat is after 15 to 30 seconds, as this is an error of the operator.
#[test]
fn engine_that_does_not_confirm_gets_the_samples_once_it_does() {
    let status = [204, 400, 415];
    let mut engines = status.map(|status| {
        let engine = Engine::start();
        engine.receiver.faults().no_version_2(status);
        let collector = engine.collector(VERSION_2);
        let mut agent = Agent::open(collector.agents, &identity("a"), &gauges(&["x"]));
        report(&mut agent, start_ms(), &[1.0]);
        (engine, collector, agent)
    });
    for ((engine, collector, _), status) in engines.iter().zip(status) {
        eventually("a request fails", || requests(collector, &status.to_string()) == 1.0);
        assert_eq!((accepted(collector), engine.receiver.ledger().samples_total()), (0.0, 0));
        engine.receiver.faults().clear();
    }
    for (engine, collector, agent) in &mut engines {
        engine.until(|ledger| ledger.samples_total() == 2);
        report(agent, start_ms() + 10, &[2.0]);
        engine.until(|ledger| ledger.samples_total() == 4);
        eventually("the samples count once", || accepted(collector) == 4.0);
        assert_eq!(dropped(collector, "rejected"), 0.0);
        engine.expect_no_violations();
    }
}

#[test]
fn engine_that_does_not_confirm_is_logged() {
    let engine = Engine::start();
    engine.receiver.faults().no_version_2(204);
    let file = engine.settings(VERSION_2);
    let mut process = Process::start(&["--config", file.path().to_str().unwrap()]);
    let mut agent = Agent::open(process.agents, &identity("a"), &gauges(&["x"]));
    report(&mut agent, start_ms(), &[1.0]);
    let line = process.logs("remote write failed");
    assert!(
        line.contains("HTTP status 204: the engine does not confirm remote write 2.0"),
        "{line}"
    );
}
