//! Queries of dashboards and rules that were written for node_exporter, run by a real Prometheus.
//!
//! The queries are the work of others and not part of this repository: the variable
//! `NODE_EXPORTER_QUERIES` names a file with them.

mod queries;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::http::{self, escape};
use super::node_exporter::{NodeExporter, TextFiles};
use super::programs::{Collector, agent_with, built, wait_for};
use super::prometheus::{Prometheus, shipped_file};
use queries::{Check, Queries};

/// Id of the agent, which is the `instance` of all queries.
const ID: &str = "host-1";
/// Collectors that some queries need and that are off by default.
const OPTIONAL: [&str; 3] = ["interrupts", "processes", "tcpstat"];
/// Such a collector that the agent only has if it was built with the feature of this name.
const SYSTEMD: &str = "systemd";
/// Time in which every query must have returned data once. Rules need some evaluations.
const DEADLINE: Duration = Duration::from_secs(90);
/// Interval between two attempts.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);

/// Attempts in a row in which a query must find data of a node_exporter, for the agent to need the
/// same. Some series last only for a moment, such as states of connections.
const STEADY: u32 = 5;

/// Scrapes a node_exporter as the queries expect it.
const REFERENCE: &str = "
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [rules.yml]
scrape_configs:
  - job_name: node
    static_configs: [{targets: ['ADDRESS'], labels: {instance: host-1}}]
";

/// A Prometheus, and what its queries returned.
struct Server {
    name: &'static str,
    prometheus: Prometheus,
    /// Attempts in a row that must return data.
    attempts: u32,
    results: BTreeMap<String, Results>,
}

/// What a query returned.
#[derive(Default)]
struct Results {
    /// Number of series of the last attempt.
    series: usize,
    /// Number of the last attempts in a row that returned data.
    attempts: u32,
    /// Error of the last attempt.
    error: Option<String>,
}

impl Server {
    fn start(name: &'static str, config: &str, rules: &str, attempts: u32) -> Self {
        let config = config.replace("_interval: 15s", "_interval: 1s");
        let config = config.replace("rules.yml", "recorded.yml");
        let prometheus = Prometheus::with_files(&config, &[("recorded.yml", rules)]);
        Self { name, prometheus, attempts, results: BTreeMap::new() }
    }

    fn series(&self, query: &str) -> usize {
        self.results.get(query).map_or(0, |results| results.series)
    }

    /// Whether a query returned data often enough.
    fn has(&self, query: &str) -> bool {
        self.results.get(query).is_some_and(|results| results.attempts >= self.attempts)
    }

    /// Runs the queries that have not returned data often enough.
    fn run(&mut self, checks: &[Check]) {
        for Check { query, .. } in checks {
            if self.has(query) {
                continue;
            }
            let results = self.results.entry(query.clone()).or_default();
            let answer = self.prometheus.try_get(&format!("/api/v1/query?query={}", escape(query)));
            results.series = answer.as_ref().map_or(0, |answer| series(&answer["data"]));
            results.attempts = if results.series > 0 { results.attempts + 1 } else { 0 };
            results.error = answer.err().map(|error| error.to_string());
        }
    }

    /// Returns a line for each row that lacks data.
    fn failures(&self, checks: &[Check], reference: &Self) -> BTreeSet<String> {
        let lacks = |check: &&Check| {
            (check.always || reference.has(&check.query)) && !self.has(&check.query)
        };
        let line = |check: &Check| {
            let error = self.results.get(&check.query).and_then(|results| results.error.as_deref());
            let problem = error.unwrap_or("no data");
            format!("{}: {problem}: {} [{}]", self.name, check.query, check.row)
        };
        checks.iter().filter(lacks).map(line).collect()
    }
}

/// Returns the number of series of a query's result. A scalar is one, if it is a number.
fn series(data: &Value) -> usize {
    match data["resultType"].as_str() {
        Some("scalar") => usize::from(data["result"][1] != "NaN"),
        _ => data["result"].as_array().map_or(0, Vec::len),
    }
}

/// Prints what was not judged, and where a node_exporter has more series.
fn print(checks: &[Check], servers: &[Server], reference: &Server) {
    let (judged, skipped): (Vec<_>, Vec<_>) =
        checks.iter().partition(|check| check.always || reference.has(&check.query));
    for check in skipped {
        println!("not judged, a node_exporter has no steady data: {}", check.query);
    }
    for server in servers {
        for check in &judged {
            let [own, other] = [server, reference].map(|server| server.series(&check.query));
            if (1..other).contains(&own) {
                println!("{}: {own} series instead of {other}: {}", server.name, check.query);
            }
        }
    }
    println!("{} of {} queries judged", judged.len(), checks.len());
}

fn has_systemd() -> bool {
    let mut agent = Command::new(built("fleetgauge-agent"));
    agent.args(["--id", ID, "--metrics", "node", "--collectors", SYSTEMD, "--check"]);
    agent.output().unwrap().status.success()
}

/// Starts a node_exporter with the collectors of the agent.
fn node_exporter(text_files: &TextFiles, optional: &[&str]) -> NodeExporter {
    let mut flags: Vec<_> = optional.iter().map(|name| format!("--collector.{name}")).collect();
    if !optional.contains(&SYSTEMD) {
        flags.push(format!("--no-collector.{SYSTEMD}"));
    }
    NodeExporter::start(text_files, &flags.iter().map(String::as_str).collect::<Vec<_>>())
}

/// `-- --ignored --nocapture` prints what was not judged.
#[test]
#[ignore = "needs prometheus, prometheus-node-exporter and a file of queries"]
fn queries_of_dashboards_and_rules_return_data() {
    let queries = Queries::read();
    let (checks, rules) = (queries.checks(), queries.rules());

    let collector = Collector::start(&[]);
    let mut optional = OPTIONAL.to_vec();
    optional.extend(has_systemd().then_some(SYSTEMD));
    let collectors = format!("default,+{}", optional.join(",+"));
    let text_files = TextFiles::new();
    let settings = text_files.settings();
    let flags = ["--config", &settings, "--interval", "1s"];
    let flags = [&flags[..], &["--metrics", "node", "--collectors", &collectors]].concat();
    let _agent = agent_with(ID, &collector, &flags);
    wait_for("the agent's page", 20, || {
        http::get(&collector.http, &format!("/metrics/agents/{ID}"), "").ok()
    });

    let node_exporter = node_exporter(&text_files, &optional);
    let config = REFERENCE.replace("ADDRESS", &node_exporter.address);
    let mut reference = Server::start("node_exporter", &config, &rules, STEADY);
    let mut servers = ["node-page.yml", "node-targets.yml"]
        .map(|name| Server::start(name, &shipped_file(name, &collector.http, 3), &rules, 1));

    let until = Instant::now() + DEADLINE;
    for attempt in 1.. {
        for server in servers.iter_mut().chain([&mut reference]) {
            server.run(&checks);
        }
        let lacking: Vec<_> =
            servers.iter().flat_map(|server| server.failures(&checks, &reference)).collect();
        if lacking.is_empty() && attempt > STEADY || Instant::now() > until {
            print(&checks, &servers, &reference);
            let count = lacking.len();
            assert!(lacking.is_empty(), "{count} queries lack data:\n{}", lacking.join("\n"));
            return;
        }
        std::thread::sleep(RETRY_INTERVAL);
    }
}
