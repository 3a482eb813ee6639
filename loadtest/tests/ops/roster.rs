//! Tests that the shipped alert reports agents that are missing after the collector was killed and
//! restarted.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use super::programs::{Collector, Program, agent_with, free_address, wait_for};
use super::prometheus::{Prometheus, shipped, shipped_as_it_is};

/// Maximum time from the restart until every missing agent is reported.
const ALERT_TIMEOUT: Duration = Duration::from_secs(120);
/// Maximum time to start a fleet on a small machine.
const START_SECONDS: u64 = 120;

/// Size of the test: the fleet, its report interval, and the configuration of the programs.
struct Size {
    agents: usize,
    killed: usize,
    interval: &'static str,
    flags: &'static [&'static str],
    configuration: fn(&str) -> String,
}

/// Returns a small fleet with short intervals. If `FULL_SIZE` is set, returns a thousand agents
/// with default intervals.
fn size() -> Size {
    if std::env::var_os("FULL_SIZE").is_some() {
        let configuration = shipped_as_it_is;
        Size { agents: 1_000, killed: 50, interval: "15s", flags: &[], configuration }
    } else {
        let flags = &["--return-timeout", "10s", "--state-interval", "1s"];
        Size { agents: 100, killed: 5, interval: "1s", flags, configuration: shipped }
    }
}

/// Returns the agents whose `FleetgaugeAgentDown` alert is in this state. Panics if another alert
/// is firing.
fn down(prometheus: &Prometheus, wanted: &str) -> BTreeSet<String> {
    let alerts = prometheus.alerts().into_iter();
    let down = alerts.filter(|[.., state]| state == wanted).map(|[name, agent, state]| {
        assert!(name == "FleetgaugeAgentDown" || state == "pending", "{name} is {state}");
        (name, agent)
    });
    down.filter(|(name, _)| name == "FleetgaugeAgentDown").map(|(_, agent)| agent).collect()
}

fn id(number: usize) -> String {
    format!("host-{number:04}")
}

/// Waits until all agents are connected and the collector's state file lists them as connected.
fn all_are_known(collector: &Collector, size: &Size, state: &Path) {
    wait_for("all agents on the roster", START_SECONDS, || {
        let page = collector.get("/metrics/roster", "");
        (page.matches("\"} 1\n").count() == size.agents).then_some(())
    });
    wait_for("all agents in the state file", 60, || {
        let file = std::fs::read_to_string(state.join("roster.jsonl")).ok()?;
        (file.matches("{\"connected\":").count() == size.agents).then_some(())
    });
}

#[test]
#[ignore = "needs prometheus"]
fn alerts_name_exactly_the_missing_agents_after_a_restart() {
    let size = size();
    let state = tempfile::tempdir().unwrap();
    let (agents, http) = (free_address(), free_address());
    let flags = [&["--state-dir", state.path().to_str().unwrap()], size.flags].concat();
    let mut collector = Collector::start_at(&agents, &http, &flags);
    let join = |number| agent_with(&id(number), &collector, &["--interval", size.interval]);
    let mut fleet: Vec<Program> = (0..size.agents).map(join).collect();
    all_are_known(&collector, &size, state.path());
    let prometheus = Prometheus::with(&(size.configuration)(&http));
    wait_for("all agents up", 60, || {
        let up = prometheus.query("count(fleetgauge_agent_up == 1)");
        up.first().is_some_and(|(_, count)| *count == size.agents as f64).then_some(())
    });

    collector.kill();
    // Every n-th agent, so that they are in all shards and were started at different times.
    let every = size.agents / size.killed;
    for agent in fleet.iter_mut().step_by(every) {
        agent.kill();
    }
    let missing: BTreeSet<_> = (0..size.agents).step_by(every).map(id).collect();
    assert_eq!(missing.len(), size.killed);
    let _collector = Collector::start_at(&agents, &http, &flags);
    let back = Instant::now();

    wait_for("the alerts of all that are missing", ALERT_TIMEOUT.as_secs(), || {
        let alerting = down(&prometheus, "firing");
        assert!(alerting.is_subset(&missing), "{alerting:?}");
        (alerting == missing).then_some(())
    });
    eprintln!(
        "{} of {} agents missing: all reported {:.0} s after the restart",
        size.killed,
        size.agents,
        back.elapsed().as_secs_f64()
    );
    wait_for("no pending alert", 60, || down(&prometheus, "pending").is_empty().then_some(()));
    assert_eq!(down(&prometheus, "firing"), missing);
    let ever = "count(count by (agent) (count_over_time(\
                ALERTS{alertname='FleetgaugeAgentDown', alertstate='firing'}[1h])))";
    assert_eq!(prometheus.query(ever)[0].1, size.killed as f64, "another agent was reported");
}
