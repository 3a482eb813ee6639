//! Remote write: a collector, test agents, and a receiver that accounts for every sample.

mod checkpoints;
mod hostile_logs;
mod journal;
mod outages;
mod own_metrics;
mod refusals;
mod replays;
mod samples;
mod stale_markers;
mod version_2;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fleetgauge_collector::Config;
use fleetgauge_collector::config::Flags;
use fleetgauge_proto::Message;
use fleetgauge_proto::message::Report;
use fleetgauge_proto::report::EncodedValues;
use fleetgauge_receiver::{Ledger, Receiver, ReceiverSettings};
use tempfile::NamedTempFile;
use tokio::runtime::Runtime;

use crate::support::TEST_TIMEOUT;
use crate::support::agent::Agent;
use crate::support::collector::Collector;
use crate::support::frames::frame;

/// An engine with the runtime that it runs on.
struct Engine {
    receiver: Receiver,
    runtime: Runtime,
}

impl Engine {
    fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let receiver = {
            let _context = runtime.enter();
            Receiver::start(ReceiverSettings::default()).unwrap()
        };
        Self { receiver, runtime }
    }

    /// Starts a collector that forwards to this engine. `keys` are further keys of the table.
    fn collector(&self, keys: &str) -> Collector {
        Collector::with(self.config(keys))
    }

    fn config(&self, keys: &str) -> Config {
        let file = self.settings(keys);
        let flags = Flags::default()
            .with("listen", "127.0.0.1:0")
            .with("http_listen", "127.0.0.1:0")
            .with("drain_timeout", "0s")
            .with("config", file.path().to_str().unwrap());
        Config::try_new(flags).unwrap()
    }

    /// Writes a settings file with the table.
    fn settings(&self, keys: &str) -> NamedTempFile {
        let table = format!(
            "[[remote_write]]\nurl = \"{}\"\n{keys}\n{}\n",
            self.receiver.url(),
            if keys.contains("name = ") { "" } else { "name = \"engine\"" }
        );
        let file = NamedTempFile::new().unwrap();
        std::fs::write(file.path(), table).unwrap();
        file
    }

    /// Waits until the condition holds.
    fn until(&self, condition: impl FnMut(&Ledger) -> bool) {
        self.runtime.block_on(self.receiver.wait_until(TEST_TIMEOUT, condition)).unwrap();
    }

    /// Returns times and values of a series, without stale markers.
    fn values(&self, labels: &[(&str, &str)]) -> Vec<(i64, f64)> {
        let ledger = self.receiver.ledger();
        let Some(series) = ledger.find(labels) else { return Vec::new() };
        let samples = series.samples().iter().filter(|sample| !sample.is_stale_marker());
        samples.map(|sample| (sample.unix_ms, sample.value())).collect()
    }

    /// Returns the times of the stale markers of a series.
    fn markers(&self, labels: &[(&str, &str)]) -> Vec<i64> {
        let ledger = self.receiver.ledger();
        let Some(series) = ledger.find(labels) else { return Vec::new() };
        let markers = series.samples().iter().filter(|sample| sample.is_stale_marker());
        markers.map(|sample| sample.unix_ms).collect()
    }

    /// Fails if a request broke the protocol.
    fn expect_no_violations(&self) {
        let ledger = self.receiver.ledger();
        assert_eq!(ledger.findings().violations(), 0, "{:?}", ledger.findings());
    }
}

/// A time some seconds ago, in unix milliseconds. Reports of a test have times from here on, so
/// that none is ahead of the collector's clock.
fn start_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() - Duration::from_secs(300);
    i64::try_from(now.as_millis()).unwrap()
}

/// Sends a report of all values, of columns without decimal places, and waits until it is stored.
fn report(agent: &mut Agent, unix_ms: i64, values: &[f64]) {
    agent.sequence += 1;
    let decimals = vec![0; values.len()];
    let mut encoded = EncodedValues::default();
    encoded.encode_all(values, [(1, &*decimals)].into_iter());
    let (sequence, unix_ms) = (agent.sequence, u64::try_from(unix_ms).unwrap());
    let report = Report { stream: 0, sequence, unix_ms, values: encoded.values() };
    agent.send(&frame(&Message::Report(report)));
    agent.settle();
}

/// Returns the labels of a series of an agent.
fn series<'a>(name: &'a str, agent: &'a str) -> [(&'a str, &'a str); 2] {
    [("__name__", name), ("agent", agent)]
}
