//! A real Prometheus with the shipped configuration.

use std::collections::BTreeMap;
use std::io;

use serde_json::Value;
use tempfile::TempDir;

use super::every_kind;
use super::http;
use super::programs::{Collector, Program, agent, free_address, installed, repository, wait_for};

pub(crate) struct Prometheus {
    address: String,
    _program: Program,
    _directory: TempDir,
}

/// A sample of an instant query: labels and value.
pub(crate) type Sample = (BTreeMap<String, String>, f64);

impl Prometheus {
    /// Starts Prometheus with the configuration of `deploy/`, except for the collector's address
    /// and the intervals.
    fn start(collector: &Collector) -> Self {
        Self::with(&shipped(&collector.http))
    }

    /// Starts Prometheus with this configuration.
    pub(crate) fn with(config: &str) -> Self {
        Self::with_files(config, &[])
    }

    /// Starts Prometheus with this configuration, and with files beside it.
    pub(crate) fn with_files(config: &str, files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let rules = repository("deploy/prometheus/rules.yml");
        std::fs::copy(rules, directory.path().join("rules.yml")).unwrap();
        for (name, text) in files {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        std::fs::write(directory.path().join("prometheus.yml"), config).unwrap();
        let address = free_address();
        let mut command = installed("PROMETHEUS", "prometheus");
        command
            .arg(format!("--config.file={}", directory.path().join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", directory.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=warn");
        let program = Program::start(command);
        wait_for("a Prometheus that is ready", 30, || http::get(&address, "/-/ready", "").ok());
        Self { address, _program: program, _directory: directory }
    }

    pub(crate) fn query(&self, query: &str) -> Vec<Sample> {
        let answer = self.get(&format!("/api/v1/query?query={}", http::escape(query)));
        let result = answer["data"]["result"].as_array().unwrap();
        result.iter().map(sample).collect()
    }

    /// Number of targets that are up, by job.
    pub(crate) fn jobs_up(&self) -> BTreeMap<String, f64> {
        let up = self.query("sum by (job) (up)");
        up.into_iter().map(|(labels, up)| (labels["job"].clone(), up)).collect()
    }

    /// Name, `agent` label and state of all alerts.
    pub(crate) fn alerts(&self) -> Vec<[String; 3]> {
        let answer = self.get("/api/v1/alerts");
        let alerts = answer["data"]["alerts"].as_array().unwrap();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let one = |alert: &Value| {
            let labels = &alert["labels"];
            [&labels["alertname"], &labels["agent"], &alert["state"]].map(text)
        };
        alerts.iter().map(one).collect()
    }

    /// Returns the answer of the API.
    pub(crate) fn get(&self, path: &str) -> Value {
        self.try_get(path).unwrap()
    }

    /// Returns the answer of the API, or its error.
    pub(crate) fn try_get(&self, path: &str) -> io::Result<Value> {
        Ok(serde_json::from_str(&http::get(&self.address, path, "")?).unwrap())
    }

    /// Sorted `instance` labels of the metric's current series.
    pub(crate) fn instances(&self, metric: &str) -> Vec<String> {
        let mut instances: Vec<_> =
            self.query(metric).into_iter().map(|(labels, _)| labels["instance"].clone()).collect();
        instances.sort();
        instances
    }

    /// Waits until a query returns exactly one sample. Returns its value.
    pub(crate) fn value(&self, query: &str) -> f64 {
        wait_for(query, 20, || match self.query(query).as_slice() {
            [(_, value)] => Some(*value),
            _ => None,
        })
    }
}

fn sample(of: &Value) -> Sample {
    let labels = of["metric"].as_object().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let labels = labels.iter().map(|(name, value)| (name.clone(), text(value))).collect();
    (labels, text(&of["value"][1]).parse().unwrap())
}

/// The Prometheus configuration of `deploy/` for this collector, with intervals of a second.
pub(crate) fn shipped(collector: &str) -> String {
    shipped_as_it_is(collector).replace("_interval: 15s", "_interval: 1s")
}

/// The Prometheus configuration of `deploy/` for this collector, otherwise unchanged.
pub(crate) fn shipped_as_it_is(collector: &str) -> String {
    shipped_file("prometheus.yml", collector, 4)
}

/// A configuration of `deploy/`, which names the collector `count` times, for this collector.
pub(crate) fn shipped_file(name: &str, collector: &str, count: usize) -> String {
    let path = repository("deploy/prometheus").join(name);
    let config = std::fs::read_to_string(&path).unwrap();
    for (text, count) in [("127.0.0.1:1234", count), ("_interval: 15s", count)] {
        assert_eq!(config.matches(text).count(), count, "{text} in {}", path.display());
    }
    config.replace("127.0.0.1:1234", collector)
}

/// Kills one of two agents. Its series must end at once, and those of the other must continue.
fn kill_one_of_two(metric: &str, set: &str, collector: &Collector) {
    let mut doomed = agent("web-1", collector, set);
    let _other = agent("web-2", collector, set);
    let prometheus = Prometheus::start(collector);
    wait_for("series of both agents", 30, || {
        (prometheus.instances(metric) == ["web-1", "web-2"]).then_some(())
    });
    for (labels, value) in prometheus.query(metric) {
        assert_eq!(labels["instance"], labels["agent"], "{labels:?}");
        assert_eq!(labels["job"], "fleetgauge-agents");
        assert_eq!(labels.contains_key("client_no"), set == "classic", "{labels:?}");
        assert!(value > 0.0, "{labels:?} {value}");
    }
    wait_for("four parts of the page, the roster and the collector's own", 15, || {
        (prometheus.instances("up == 1") == [collector.http.as_str(); 6]).then_some(())
    });

    doomed.kill();
    // Without staleness markers, Prometheus would return the series for five more minutes.
    wait_for("the end of the killed agent's series", 15, || {
        let left = prometheus.instances(metric);
        assert!(left.contains(&"web-2".to_owned()), "{left:?}");
        (left == ["web-2"]).then_some(())
    });
    let newest = format!("timestamp({metric})");
    let then = prometheus.value(&newest);
    wait_for("a newer sample of the other agent", 15, || {
        assert_eq!(prometheus.instances(metric), ["web-2"]);
        (prometheus.value(&newest) > then).then_some(())
    });
    prometheus.value("fleetgauge_agents_connected == 1");
}

#[test]
#[ignore = "needs prometheus"]
fn series_of_a_killed_agent_end() {
    kill_one_of_two("host_memory_used_bytes", "basic", &Collector::start(&[]));
}

#[test]
#[ignore = "needs prometheus"]
fn series_of_a_killed_agent_end_with_classic_names() {
    kill_one_of_two("ram_used", "classic", &Collector::start(&["--classic"]));
}

/// Prometheus asks for OpenMetrics. It must store what was reported.
#[test]
#[ignore = "needs prometheus"]
fn prometheus_stores_every_metric_kind() {
    let collector = Collector::start(&[]);
    let _held = every_kind::report_to(&collector.agents);
    let prometheus = Prometheus::start(&collector);
    for (query, expected) in [
        ("sampled_temperature_celsius{room='north'}", 21.5),
        ("sampled_temperature_celsius{room='odd'}", f64::NEG_INFINITY),
        ("sampled_sent_bytes_total", 1e15),
        ("sampled_wait_seconds_bucket{le='0.1'}", 3.0),
        ("sampled_wait_seconds_bucket{le='+Inf'}", 7.0),
        ("sampled_wait_seconds_count", 7.0),
        ("sampled_wait_seconds_sum", 12.5),
        ("histogram_quantile(0.5, sampled_wait_seconds_bucket)", 0.325),
        ("sampled_answer_seconds{quantile='0.99'}", 0.9),
        ("sampled_answer_seconds_count", 40.0),
        ("sampled_answer_seconds_sum", 9.75),
        ("sampled_build_info{release='7.1',colour='green'}", 1.0),
        ("sampled_oddity", 0.125),
    ] {
        assert_eq!(prometheus.value(query), expected, "{query}");
    }
    assert_eq!(prometheus.query("sampled_temperature_celsius{room='none'}"), []);
    let mut rooms: Vec<_> = prometheus
        .query("sampled_temperature_celsius")
        .into_iter()
        .inspect(|(labels, _)| assert_eq!(labels["site"], every_kind::AWKWARD))
        .map(|(labels, _)| labels["room"].clone())
        .collect();
    rooms.sort();
    assert_eq!(rooms, [every_kind::AWKWARD, "north", "odd"]);
}
