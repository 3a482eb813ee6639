//! Engines as separate processes, which can be stopped and started again with their data.

use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::super::http;
use super::super::programs::{Program, free_address, installed, wait_for};
use super::host::History;

/// Maximum time until an engine is ready, in seconds.
const START_SECONDS: u64 = 60;
/// Maximum time until an engine has stopped, in seconds.
const STOP_SECONDS: u64 = 60;

/// What runs as the engine.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// Prometheus, with these lines in addition to the global part of its configuration.
    Prometheus(&'static str),
    VictoriaMetrics,
}

/// Configuration of Prometheus with a window for samples out of order.
pub(super) const OUT_OF_ORDER: &str = "storage: {tsdb: {out_of_order_time_window: 30m}}\n";

/// An engine and its data.
pub(super) struct Engine {
    kind: Kind,
    address: String,
    directory: TempDir,
    program: Option<Program>,
}

impl Engine {
    pub(super) fn start(kind: Kind) -> Self {
        let config = match kind {
            Kind::Prometheus(lines) => lines,
            Kind::VictoriaMetrics => "",
        };
        Self::with_config(kind, config)
    }

    /// Starts an engine with this configuration file.
    pub(super) fn with_config(kind: Kind, config: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("config.yml"), config).unwrap();
        let mut engine = Self { kind, address: free_address(), directory, program: None };
        engine.resume();
        engine
    }

    /// Host and port.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// URL path for remote write.
    pub(super) fn path(&self) -> &'static str {
        "/api/v1/write"
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}{}", self.address, self.path())
    }

    /// Stops the engine as an operator does. Its data stays.
    pub(super) fn stop(&mut self) {
        let mut program = self.program.take().unwrap();
        program.signal(Signal::TERM);
        assert!(program.wait(STOP_SECONDS), "the engine does not stop");
    }

    /// Starts the engine at the same address with the same data.
    pub(super) fn resume(&mut self) {
        let command = match self.kind {
            Kind::Prometheus(_) => self.prometheus(),
            Kind::VictoriaMetrics => self.victoria_metrics(),
        };
        self.program = Some(Program::start(command));
        let ready = match self.kind {
            Kind::Prometheus(_) => "/-/ready",
            Kind::VictoriaMetrics => "/health",
        };
        wait_for("an engine that is ready", START_SECONDS, || {
            http::get(&self.address, ready, "").ok()
        });
    }

    fn prometheus(&self) -> Command {
        let directory = self.directory.path();
        let mut command = installed("PROMETHEUS", "prometheus");
        command
            .arg(format!("--config.file={}", directory.join("config.yml").display()))
            .arg(format!("--storage.tsdb.path={}", directory.join("data").display()))
            .arg(format!("--web.listen-address={}", self.address))
            .args(["--web.enable-remote-write-receiver", "--log.level=warn"]);
        command
    }

    fn victoria_metrics(&self) -> Command {
        let data = self.directory.path().join("data");
        let mut command = installed("VICTORIA_METRICS", "victoria-metrics");
        command
            .arg(format!("-storageDataPath={}", data.display()))
            .arg(format!("-httpListenAddr={}", self.address))
            // A request of the collector that is sent again has identical samples.
            .args(["-dedup.minScrapeInterval=1ms", "-retentionPeriod=100y"])
            .args(["-loggerLevel=WARN", "-search.disableCache"]);
        command
    }

    /// Returns the result of a query of the API, or its error.
    fn try_result(&self, path: &str) -> std::io::Result<Vec<Value>> {
        let answer = http::get(&self.address, path, "")?;
        let answer: Value = serde_json::from_str(&answer).map_err(std::io::Error::other)?;
        Ok(answer["data"]["result"].as_array().cloned().unwrap_or_default())
    }

    /// Returns the series of an instant query at this moment, with their values.
    pub(super) fn now(&self, query: &str) -> History {
        // VictoriaMetrics hides the newest 30 seconds otherwise.
        let path = format!("/api/v1/query?nocache=1&query={}", http::escape(query));
        self.try_result(&path).unwrap().iter().map(|series| history(series, "value")).collect()
    }

    /// Returns the series of an instant query at a time in unix milliseconds, with their values.
    pub(super) fn at(&self, query: &str, unix_ms: i64) -> History {
        let path = format!(
            "/api/v1/query?nocache=1&query={}&time={}",
            http::escape(query),
            unix_ms as f64 / 1_000.0
        );
        self.try_result(&path).unwrap().iter().map(|series| history(series, "value")).collect()
    }

    /// Returns all samples of series in the ten minutes until a time in unix milliseconds.
    pub(super) fn samples(&self, selector: &str, until_ms: i64) -> History {
        let query = http::escape(&format!("{selector}[10m]"));
        let path =
            format!("/api/v1/query?nocache=1&query={query}&time={}", until_ms as f64 / 1_000.0);
        self.try_result(&path).unwrap().iter().map(|series| history(series, "values")).collect()
    }

    /// Returns the values of a range query at every step between two times in unix milliseconds.
    pub(super) fn range(&self, query: &str, from_ms: i64, to_ms: i64, step_ms: i64) -> History {
        let seconds = |ms: i64| ms as f64 / 1_000.0;
        let path = format!(
            "/api/v1/query_range?nocache=1&query={}&start={}&end={}&step={}",
            http::escape(query),
            seconds(from_ms),
            seconds(to_ms),
            seconds(step_ms),
        );
        self.try_result(&path).unwrap().iter().map(|series| history(series, "values")).collect()
    }
}

/// Time after which an engine shows what it has accepted. VictoriaMetrics shows new samples after a
/// second.
pub(super) const VISIBLE: Duration = Duration::from_secs(30);

/// Reads a series of an answer: its labels, and its one sample or all of them.
fn history(series: &Value, samples: &str) -> (super::Labels, Vec<(i64, f64)>) {
    let labels = series["metric"].as_object().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let labels = labels.iter().map(|(name, value)| (name.clone(), text(value))).collect();
    let sample = |sample: &Value| {
        let unix_ms = (sample[0].as_f64().unwrap() * 1_000.0).round() as i64;
        (unix_ms, text(&sample[1]).parse().unwrap())
    };
    let samples = match samples {
        "value" => vec![sample(&series[samples])],
        // Only VictoriaMetrics shows stale markers here.
        _ => series[samples]
            .as_array()
            .unwrap()
            .iter()
            .map(sample)
            .filter(|(_, value): &(i64, f64)| !value.is_nan())
            .collect(),
    };
    (labels, samples)
}
