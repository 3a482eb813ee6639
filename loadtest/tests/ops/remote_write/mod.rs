//! Remote write to real engines. They must end up with exactly the samples that agents have
//! reported, also of the time in which the engine was down, and the series of an agent must end
//! with its connection.

mod cluster;
mod engine;
mod facts;
mod golden;
mod host;
mod post;
mod real_agents;
mod rolling;
mod router;
mod story;

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::Deref;

use tempfile::NamedTempFile;

use super::programs::{Collector, wait_for};

/// Labels of a series, with its name as `__name__`.
type Labels = BTreeMap<String, String>;

/// Maximum time until an engine has accepted what is queued, in seconds.
const ACCEPT_SECONDS: u64 = 60;

/// A collector that forwards to one destination, named `engine`.
struct Forwarding {
    collector: Collector,
    config: NamedTempFile,
}

/// Address with a free port.
const FREE: &str = "127.0.0.1:0";

fn start(agents: &str, config: &NamedTempFile) -> Collector {
    let path = config.path().to_str().unwrap();
    // The times of reports are a second apart, but tests send them without delay.
    let flags = ["--config", path, "--max-reports-per-interval", "1000"];
    Collector::start_at(agents, FREE, &flags)
}

impl Deref for Forwarding {
    type Target = Collector;

    fn deref(&self) -> &Collector {
        &self.collector
    }
}

impl Forwarding {
    /// Starts a collector that forwards to this URL. `keys` are further lines of the table.
    fn to(url: &str, keys: &str) -> Self {
        let mut config = NamedTempFile::new().unwrap();
        write!(config, "[[remote_write]]\nname = \"engine\"\nurl = \"{url}\"\n{keys}").unwrap();
        Self { collector: start(FREE, &config), config }
    }

    /// Kills the collector, and starts another one at its address.
    fn replace(&mut self) -> Self {
        self.collector.kill();
        let config = std::mem::replace(&mut self.config, NamedTempFile::new().unwrap());
        Self { collector: start(&self.collector.agents, &config), config }
    }

    /// Age of the oldest queued sample, in seconds.
    fn lag(&self) -> f64 {
        self.metric("fleetgauge_remote_write_lag_seconds{")
    }

    /// Returns the sum of the own metrics whose name and labels start with this text.
    fn metric(&self, start: &str) -> f64 {
        let page = self.get("/metrics/self", "");
        let values = page.lines().filter(|line| line.starts_with(start));
        values.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }

    /// Waits until the engine has accepted this number of samples.
    fn wait_accepted(&self, samples: usize) {
        wait_for("samples that the engine has accepted", ACCEPT_SECONDS, || {
            let accepted = self.metric("fleetgauge_remote_write_samples_total{");
            assert!(accepted <= samples as f64, "{accepted} of {samples} samples");
            (accepted == samples as f64).then_some(())
        });
    }

    /// Waits until the engine has accepted or refused this number of samples. It may refuse some
    /// because it has them.
    fn wait_answered(&self, samples: usize) {
        wait_for("answers for all samples", ACCEPT_SECONDS, || {
            let refused = self.metric(
                "fleetgauge_remote_write_samples_dropped_total\
                 {remote_name=\"engine\",reason=\"rejected\"}",
            );
            let stored = self.metric("fleetgauge_remote_write_samples_uncertain_total{");
            let accepted = self.metric("fleetgauge_remote_write_samples_total{");
            (accepted + refused + stored == samples as f64).then_some(())
        });
    }

    fn assert_none_dropped(&self) {
        assert_eq!(self.metric("fleetgauge_remote_write_samples_dropped_total{"), 0.0);
        assert_eq!(self.metric("fleetgauge_remote_write_stale_markers_dropped_total{"), 0.0);
    }
}
