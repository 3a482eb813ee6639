//! History of the demo: an engine to which the demo's collector forwards every sample.

use std::io::Write;
use std::net::SocketAddr;

use anyhow::Context;
use fleetgauge_collector::Config;
use fleetgauge_collector::config::{DestinationSettings, Flags};

use crate::child::prometheus::PrometheusProcess;
use crate::cli::DemoEngine;

/// Range of the graph that the demo shows.
const RANGE: &str = "5m";

/// A running engine.
pub(super) struct History(PrometheusProcess);

impl History {
    /// Starts the engine.
    pub(super) async fn start(engine: DemoEngine) -> anyhow::Result<Self> {
        match engine {
            DemoEngine::Prometheus => {
                let process = PrometheusProcess::start().await;
                Ok(Self(process.context("cannot start the engine of --engine prometheus")?))
            }
        }
    }

    /// Returns the settings with which a collector forwards to the engine.
    pub(super) fn destination(&self) -> anyhow::Result<Vec<DestinationSettings>> {
        let mut file = tempfile::NamedTempFile::new()?;
        write!(
            file,
            "[[remote_write]]\nname = \"prometheus\"\nurl = \"http://{}/api/v1/write\"\n\
             compression = \"snappy\"\n",
            self.0.address()
        )?;
        let flags = Flags::default().with("config", file.path().to_string_lossy());
        Ok(Config::try_new(flags)?.remote_write)
    }

    /// Returns the address of a page with a graph of this metric.
    pub(super) fn graph(&self, metric: &str) -> String {
        graph(self.0.address(), metric)
    }

    /// Ends the engine.
    pub(super) async fn stop(self) {
        self.0.stop().await;
    }
}

fn graph(address: SocketAddr, metric: &str) -> String {
    format!("http://{address}/graph?g0.expr={metric}&g0.tab=0&g0.range_input={RANGE}")
}
