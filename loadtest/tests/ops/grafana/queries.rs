//! Runs every query of the dashboards in a real Prometheus with the shipped configuration.
//!
//! Some queries have data only while something is wrong. So one agent is missing, one flaps, and a
//! client that is not an agent is rejected.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use fleetgauge_loadtest::pki::TestPki;
use fleetgauge_receiver::{Receiver, ReceiverSettings};
use serde_json::Value;

use super::super::http::escape;
use super::super::programs::{Collector, Program, agent_with, repository, wait_for};
use super::super::prometheus::{Prometheus, shipped};
use super::{Dashboard, expressions};

/// Agent that the dashboard of a host shows.
const HOST: &str = "host-1";
/// Agent that is killed and started in turn.
const FLAPPING: &str = "host-2";
/// Agent that is killed. Its alert fires.
const MISSING: &str = "host-3";
/// What an expression has behind it to show 0 instead of nothing. It would hide a mistake.
const OR_ZERO: &str = " or vector(0)";
/// Time in which every query must have returned data once.
const DEADLINE: Duration = Duration::from_secs(120);
/// Maximum time in which Prometheus sees that an agent has gone or come, in seconds.
const CHANGE_SECONDS: u64 = 60;
/// What a user can choose, as variables and values. Scrapes are a second apart.
const CHOICES: [[(&str, &str); 5]; 2] = [
    [
        ("__rate_interval", "15s"),
        ("agent", HOST),
        ("collector", ".+"),
        ("filter", ""),
        ("group", "role"),
    ],
    [
        ("__rate_interval", "1m"),
        ("agent", HOST),
        ("collector", "127.0.0.1:.*"),
        ("filter", "role=\"db\""),
        ("group", "site"),
    ],
];
/// Metrics that a host may lack, and the file that it has if it has them.
const OPTIONAL: [(&str, &str); 1] = [("node_pressure_", "/proc/pressure/cpu")];

/// Adds a collector with TLS on both ports, for the panel about certificates.
const WITH_TLS: &str = "
  - job_name: with-tls
    metrics_path: /metrics/self
    scheme: https
    tls_config: {insecure_skip_verify: true}
    static_configs: [{targets: ['ADDRESS']}]
";

/// Replaces Grafana's variables in an expression.
fn substitute(expression: &str, values: &[(&str, &str)]) -> String {
    let replaced = values.iter().fold(expression.to_owned(), |text, (name, value)| {
        text.replace(&format!("${{{name}:raw}}"), value).replace(&format!("${name}"), value)
    });
    assert!(expressions::variables(&replaced).is_empty(), "{replaced}");
    replaced
}

/// Whether this host has the metrics of an expression.
fn is_possible(expression: &str) -> bool {
    OPTIONAL.iter().all(|(metric, file)| !expression.contains(metric) || Path::new(file).exists())
}

/// Returns the queries to run, each with its panel and its last error.
fn all_queries() -> BTreeMap<String, (String, String)> {
    let dashboards = Dashboard::all();
    let queries = dashboards.iter().flat_map(Dashboard::queries);
    let queries = queries.filter(|query| is_possible(query.expression));
    let with_choices = queries.flat_map(|query| {
        let expression = query.expression.strip_suffix(OR_ZERO).unwrap_or(query.expression);
        let unanswered = (query.panel, "no data".to_owned());
        CHOICES.map(|values| (substitute(expression, &values), unanswered.clone()))
    });
    with_choices.collect()
}

/// Whether a query has returned a number for at least one series.
fn has_data(answer: &Value) -> bool {
    let series = answer["data"]["result"].as_array();
    series.is_some_and(|series| series.iter().any(|one| one["value"][1] != "NaN"))
}

fn flags_of_tls(pki: &TestPki) -> Vec<String> {
    // Without the authority of clients: Prometheus has no certificate.
    let own = pki.flags().into_iter().filter(|flag| !flag.contains("client-ca"));
    own.flat_map(|flag| [flag.replace("--tls-", "--http-tls-"), flag]).collect()
}

fn start_agent(id: &str, collector: &Collector) -> Program {
    let flags = ["--interval", "1s", "--label", "role=db", "--label", "site=fra"];
    agent_with(id, collector, &flags)
}

/// Kills the agent that flaps, or starts it. Returns when Prometheus has seen it.
fn flap(agent: &mut Option<Program>, collector: &Collector, prometheus: &Prometheus) {
    *agent = match agent.take() {
        Some(running) => {
            drop(running);
            None
        }
        None => Some(start_agent(FLAPPING, collector)),
    };
    let expected = f64::from(u8::from(agent.is_some()));
    let query = format!("fleetgauge_agent_up{{agent=\"{FLAPPING}\"}}");
    wait_for("an agent that Prometheus sees leave or return", CHANGE_SECONDS, || {
        let samples = prometheus.query(&query);
        samples.iter().any(|(_, value)| *value == expected).then_some(())
    });
}

/// Starts an agent, and kills it when it is connected.
fn lose(collector: &Collector) {
    let _agent = start_agent(MISSING, collector);
    wait_for("an agent on the roster", CHANGE_SECONDS, || {
        collector.get("/metrics/roster", "").contains(MISSING).then_some(())
    });
}

/// Sends what no agent sends.
fn be_rejected(collector: &Collector) {
    let mut stream = TcpStream::connect(&collector.agents).unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
}

/// Starts a Prometheus that scrapes both collectors, with alerts that fire after a second.
fn start_prometheus(collector: &Collector, with_tls: &Collector) -> Prometheus {
    let config = shipped(&collector.http) + &WITH_TLS.replace("ADDRESS", &with_tls.http);
    let rules = std::fs::read_to_string(repository("deploy/prometheus/rules.yml")).unwrap();
    Prometheus::with_files(&config, &[("rules.yml", &rules.replace("for: 1m", "for: 1s"))])
}

#[test]
#[ignore = "needs prometheus"]
fn every_query_of_every_panel_returns_data() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _entered = runtime.enter();
    let engine = Receiver::start(ReceiverSettings::default()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let settings = directory.path().join("collector.toml");
    let table = format!("[[remote_write]]\nname = \"engine\"\nurl = \"{}\"\n", engine.url());
    std::fs::write(&settings, table).unwrap();
    let state = directory.path().to_str().unwrap();
    let flags = ["--config", settings.to_str().unwrap(), "--state-dir", state];
    let collector = Collector::start(&flags);
    let pki = TestPki::new().unwrap();
    let flags = flags_of_tls(&pki);
    let with_tls = Collector::start(&flags.iter().map(String::as_str).collect::<Vec<_>>());
    let prometheus = start_prometheus(&collector, &with_tls);
    let _host = start_agent(HOST, &collector);
    lose(&collector);
    let mut flapping = None;

    let mut queries = all_queries();
    let count = queries.len();
    let until = Instant::now() + DEADLINE;
    while !queries.is_empty() && Instant::now() < until {
        flap(&mut flapping, &collector, &prometheus);
        be_rejected(&collector);
        queries.retain(|query, (_, problem)| {
            let answer = prometheus.try_get(&format!("/api/v1/query?query={}", escape(query)));
            answer.map_or_else(
                |error| {
                    *problem = error.to_string();
                    true
                },
                |answer| !has_data(&answer),
            )
        });
    }
    let lines: Vec<_> = queries
        .iter()
        .map(|(query, (panel, problem))| format!("{panel}: {problem}: {query}"))
        .collect();
    let lines = lines.join("\n");
    assert!(queries.is_empty(), "{} of {count} queries return no data:\n{lines}", queries.len());
}
