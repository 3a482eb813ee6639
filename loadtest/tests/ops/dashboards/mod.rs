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
    /// Number of series by query. A query is not repeated after it has returned some.
    found: BTreeMap<String, usize>,
    /// The last error of a query.
    errors: BTreeMap<String, String>,
}

impl Server {
    fn start(name: &'static str, config: &str, rules: &str) -> Self {
        let config = config.replace("_interval: 15s", "_interval: 1s");
        let config = config.replace("rules.yml", "recorded.yml");
        let prometheus = Prometheus::with_files(&config, &[("recorded.yml", rules)]);
        Self { name, prometheus, found: BTreeMap::new(), errors: BTreeMap::new() }
    }

    fn series(&self, query: &str) -> usize {
        self.found.get(query).copied().unwrap_or_default()
    }

    /// Runs the queries that have not returned data yet.
    fn run<'a>(&mut self, queries: impl Iterator<Item = &'a str>) {
        for query in queries {
            if self.series(query) > 0 {
                continue;
            }
            match self.prometheus.try_get(&format!("/api/v1/query?query={}", escape(query))) {
                Ok(answer) => {
                    self.found.insert(query.to_owned(), series(&answer["data"]));
                    self.errors.remove(query);
                }
                Err(error) => {
                    self.errors.insert(query.to_owned(), error.to_string());
                }
            }
        }
    }

    /// Returns a line for each row that lacks data.
    fn failures(&self, checks: &[Check], reference: &Self) -> BTreeSet<String> {
        let lacks = |check: &&Check| {
            let is_needed = check.always || reference.series(&check.query) > 0;
            is_needed && self.series(&check.query) == 0
        };
        let line = |check: &Check| {
            let error = self.errors.get(&check.query).map_or("no data", String::as_str);
            format!("{}: {error}: {} [{}]", self.name, check.query, check.row)
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
        checks.iter().partition(|check| check.always || reference.series(&check.query) > 0);
    for check in skipped {
        println!("not judged, this host's node_exporter has no data: {}", check.query);
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
    let mut reference = Server::start("node_exporter", &config, &rules);
    let mut servers = ["node-page.yml", "node-targets.yml"]
        .map(|name| Server::start(name, &shipped_file(name, &collector.http, 3), &rules));

    let until = Instant::now() + DEADLINE;
    loop {
        for server in servers.iter_mut().chain([&mut reference]) {
            server.run(checks.iter().map(|check| check.query.as_str()));
        }
        let lacking: Vec<_> =
            servers.iter().flat_map(|server| server.failures(&checks, &reference)).collect();
        if lacking.is_empty() || Instant::now() > until {
            print(&checks, &servers, &reference);
            let count = lacking.len();
            assert!(lacking.is_empty(), "{count} queries lack data:\n{}", lacking.join("\n"));
            return;
        }
        std::thread::sleep(RETRY_INTERVAL);
    }
}
