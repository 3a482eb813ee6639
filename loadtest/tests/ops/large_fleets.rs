//! A real Prometheus that scrapes a large fleet in shards, or each agent as a target, with the
//! shipped configuration.
//!
//! Twenty thousand agents need two collectors if a process may open 20,000 files:
//!
//! ```text
//! TEST_AGENTS=20000 TEST_COLLECTORS=2 \
//!     cargo test --release --workspace --test ops -- --ignored every_series_arrives_once
//! ```

use std::collections::BTreeSet;
use std::process::Command;

use super::every_kind;
use super::programs::{Collector, Program, agent, built, wait_for};
use super::prometheus::{Prometheus, shipped};

/// Gauges of each simulated agent.
const SERIES: usize = 6;
/// Selects the gauges of all agents. The job excludes the roster, which also has an `agent` label.
const FLEET: &str = "{job='fleetgauge-agents', agent!=''}";

/// Returns the size in this environment variable, or `small` if it is not set.
fn size(variable: &str, small: usize) -> usize {
    std::env::var(variable).map_or(small, |text| text.parse().unwrap())
}

/// The shipped Prometheus configuration for several collectors.
fn several(collectors: &[Collector]) -> String {
    let addresses: Vec<_> = collectors.iter().map(|collector| &collector.http).collect();
    let mut config = String::new();
    for line in shipped("ADDRESS").lines() {
        let own = line.contains("targets: [\"ADDRESS\"]");
        let each: Vec<_> = addresses.iter().map(|address| format!("\"{address}\"")).collect();
        if own {
            config.push_str(&line.replace("\"ADDRESS\"", &each.join(", ")));
        } else if line.contains("- url: http://ADDRESS/sd?") {
            let more = "\n        refresh_interval: 1s\n";
            let urls: Vec<_> = addresses.iter().map(|one| line.replace("ADDRESS", one)).collect();
            config.push_str(&urls.join(more));
        } else {
            config.push_str(line);
        }
        config.push('\n');
    }
    config
}

fn load(agents: usize, collectors: &[Collector]) -> Program {
    let mut command = Command::new(built("fleetgauge-loadtest"));
    command.args([
        "run",
        "--duration",
        "10m",
        "--interval",
        "15s",
        "--agents",
        &agents.to_string(),
    ]);
    for collector in collectors {
        command.args(["--collector", &collector.agents, "--http", &collector.http]);
    }
    Program::start(command)
}

#[test]
#[ignore = "needs prometheus"]
fn every_series_arrives_once() {
    let agents = size("TEST_AGENTS", 100);
    let collectors = size("TEST_COLLECTORS", 1);
    // The load test scrapes the collectors, too.
    let start = |_| Collector::start(&["--max-scrapes", "16"]);
    let collectors: Vec<_> = (0..collectors).map(start).collect();
    let _load = load(agents, &collectors);
    let prometheus = Prometheus::with(&several(&collectors));
    let one = |query: &str| prometheus.query(query).first().map_or(0.0, |(_, value)| *value);
    let expected = (agents * SERIES) as f64;
    wait_for("every series", 30 + agents as u64 / 100, || {
        (one(&format!("count({FLEET})")) == expected).then_some(())
    });
    let count = |query: &str, expected: usize| {
        assert_eq!(one(query), expected as f64, "{query}");
    };
    count(&format!("count(count by (agent) ({FLEET}) == {SERIES})"), agents);
    count(&format!("count(count by (instance) ({FLEET}) == {SERIES})"), agents);
    // No series has a label for the shard or the collector.
    count("count({agent!='', page_shard!=''}) or vector(0)", 0);
    count("count(up{job='fleetgauge-agents'} == 1)", 4 * collectors.len());
    count("count(count by (page_shard) (up{job='fleetgauge-agents'}))", 4);
}

/// The shipped Prometheus configuration with one target per agent instead of shards.
fn an_agent_a_target(collector: &Collector) -> String {
    let config = shipped(&collector.http);
    let (before, rest) = config.split_once("  - job_name: fleetgauge-agents\n").unwrap();
    let (_, rest) = rest.split_once("\n\n").unwrap();
    let (_, rest) = rest.split_once("  # - job_name: fleetgauge-agent\n").unwrap();
    let (job, after) = rest.split_once("\n\n").unwrap();
    let job: Vec<_> = job.lines().map(|line| line.replacen("# ", "", 1)).collect();
    format!("{before}  - job_name: fleetgauge-agent\n{}\n\n{after}", job.join("\n"))
}

#[test]
#[ignore = "needs prometheus"]
fn every_agent_has_its_own_up() {
    let agents = size("TEST_AGENTS", 30);
    let collector = Collector::start(&[]);
    let id = |n: usize| format!("host-{n}");
    let mut held: Vec<_> =
        (0..agents).map(|n| every_kind::report_as(&id(n), &collector.agents)).collect();
    let _real = agent("real", &collector, "basic");
    let prometheus = Prometheus::with(&an_agent_a_target(&collector));
    let up = || -> BTreeSet<String> {
        prometheus.instances("up{job='fleetgauge-agent'} == 1").into_iter().collect()
    };
    let mut expected: BTreeSet<String> = (0..agents).map(id).chain(["real".to_owned()]).collect();
    wait_for("an up of every agent", 30, || (up() == expected).then_some(()));
    for (labels, _) in prometheus.query("up{instance='host-0'}") {
        assert_eq!(labels["site"], every_kind::AWKWARD);
    }
    let temperature = "sampled_temperature_celsius{room='north'}";
    assert_eq!(prometheus.instances(temperature).len(), agents);
    for (labels, _) in prometheus.query(temperature) {
        assert_eq!(labels["instance"], labels["agent"], "{labels:?}");
    }

    // When its connection ends, the agent first loses its series, then its target and so its `up`.
    held.truncate(agents - 1);
    expected.remove(&id(agents - 1));
    wait_for("the end of a target", 30, || {
        let left = prometheus.instances("up{job='fleetgauge-agent'}");
        (left.len() == expected.len()).then_some(())
    });
    assert_eq!(up(), expected);
    assert_eq!(prometheus.instances(temperature).len(), agents - 1);
}
