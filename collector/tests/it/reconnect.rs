//! Reconnecting fleets: retry slots, and coalesced wake-ups.

use std::time::Duration;

use fleetgauge_proto::Code;

use crate::support::agent::{Agent, identity};
use crate::support::collector::{Collector, config};
use crate::support::eventually;
use crate::support::frames::gauges;

#[test]
fn every_agent_of_a_returning_fleet_gets_its_own_retry_slot() {
    let mut config = config();
    config.bounds.handshakes = 400;
    let collector = Collector::with(config);
    // A welcomed agent keeps its permit for 30 s, a silent connection only for 5 s.
    let open =
        |n| Agent::open(collector.agents, &identity(&format!("first-{n}")), &gauges(&["up"]));
    let first: Vec<_> = (0..400).map(open).collect();
    // More connections than may linger.
    let fleet: Vec<_> = (0..400).map(|_| Agent::connect(collector.agents)).collect();
    let delays: Vec<u32> = fleet
        .into_iter()
        .map(|mut late| late.expect_reject(Code::HandshakesFull).1.unwrap())
        .collect();
    // 400 slots, at 90 % of 5,000 per second. A busy machine is slow enough for the collector to
    // measure a lower rate meanwhile, of at least 100.
    assert!(delays.iter().all(|delay| (1_000..=5_445).contains(delay)), "{delays:?}");
    assert_ne!(delays.iter().min(), delays.iter().max(), "not all at the same moment");
    assert_eq!(collector.metric("fleetgauge_lingers_skipped_total"), 0.0);
    // A slot is at least 1 s ahead, which passes before a very busy machine has read the metric.
    eventually("the metric shows the wait for the next slot", || {
        Agent::connect(collector.agents).expect_reject(Code::HandshakesFull);
        collector.metric("fleetgauge_reconnect_wait_seconds") > 0.0
    });
    drop(first);
    eventually("there is room again", || collector.metric("fleetgauge_connections_open") == 0.0);
    drop(Agent::join(collector.agents, &identity("next"), &gauges(&["up"]), &[1.0]));
}

#[test]
fn coalesced_wake_ups_lose_no_report() {
    let coalesce = Duration::from_millis(20);
    let collector = Collector::with(fleetgauge_collector::Config { coalesce, ..config() });
    let mut agents: Vec<_> = ["a", "b", "c"]
        .map(|id| Agent::join(collector.agents, &identity(id), &gauges(&["up"]), &[0.0]))
        .into();
    for round in 1..=5 {
        for agent in &mut agents {
            agent.report(&[f64::from(round)]);
        }
        for id in ["a", "b", "c"] {
            assert_eq!(collector.page().values_of(id), [f64::from(round)]);
        }
    }
    agents.pop();
    eventually("the session has ended", || !collector.page().shows("c"));
    assert!(collector.page().shows("a"));
}
