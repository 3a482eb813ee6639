//! Programs that are stopped and continued.

use std::collections::BTreeMap;
use std::time::Duration;

use rustix::process::Signal;

use crate::programs::{Collector, Program, agent};

use super::{shows, until, value};

/// How long the collector is frozen.
const MINUTE: Duration = Duration::from_secs(60);

/// Ids of connected agents, with the start time of each connection.
fn since(collector: &Collector) -> BTreeMap<String, u64> {
    let page: serde_json::Value = serde_json::from_str(&collector.get("/api/agents", "")).unwrap();
    let agents = page["agents"].as_array().unwrap();
    let one = |agent: &serde_json::Value| {
        (agent["id"].as_str().unwrap().to_owned(), agent["since"].as_u64().unwrap())
    };
    agents.iter().map(one).collect()
}

#[test]
#[ignore = "needs the programs, and a minute"]
fn collector_frozen_for_a_minute_loses_no_agent() {
    let collector = Collector::start(&[]);
    let fleet: Vec<Program> =
        (0..10).map(|n| agent(&format!("cold-{n}"), &collector, "basic")).collect();
    until("all of the fleet", 10, || since(&collector).len() == fleet.len());
    let before = since(&collector);
    let reports = || value(&collector.get("/metrics/self", ""), "fleetgauge_reports_total");
    let counted = reports();

    collector.program.signal(Signal::STOP);
    std::thread::sleep(MINUTE);
    collector.program.signal(Signal::CONT);

    // The collector must process all reports that were sent while it was frozen. After three more
    // intervals the same sessions must remain.
    let caught_up = until("what was sent meanwhile", 10, || reports() >= counted + 600.0);
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(since(&collector), before);
    let own = collector.get("/metrics/self", "");
    let frozen = value(&own, "fleetgauge_frozen_seconds_total");
    assert!((59.0..62.0).contains(&frozen), "{frozen}");
    println!("{} agents kept; {frozen} s frozen, caught up in {caught_up:?}", before.len());
}

#[test]
#[ignore = "needs the programs"]
fn frozen_agent_is_removed_after_three_intervals_and_returns() {
    let collector = Collector::start(&[]);
    let agent = agent("stiff", &collector, "basic");
    let shown = || shows(&collector.get("/metrics/agents", ""), "stiff");
    until("the agent on the page", 10, shown);
    agent.signal(Signal::STOP);
    let gone = until("the agent taken off the page", 5, || !shown());
    assert!(gone > Duration::from_secs(1), "its connection still stands: {gone:?}");
    agent.signal(Signal::CONT);
    let back = until("the agent back on the page", 10, shown);
    println!("gone after {gone:?}, back {back:?} after it went on");
}
