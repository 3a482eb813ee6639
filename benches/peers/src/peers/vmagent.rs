//! vmagent, which scrapes every host and forwards the samples to VictoriaMetrics.

use std::path::Path;

use tokio::process::Command;

use super::{prometheus, victoria};
use crate::peer::{LaunchOptions, Peer, Product, Protocol, Relay, ReportMode};

const RELAY: Relay = Relay {
    program: "vmagent",
    ready: "/health",
    written: "vmagent_remotewrite_conn_bytes_written_total",
};

static PRODUCT: Product =
    Product { name: "vmagent and VictoriaMetrics", relay: Some(RELAY), ..victoria::PRODUCT };

/// vmagent and VictoriaMetrics, both with default settings.
pub(super) struct Vmagent;

impl Peer for Vmagent {
    fn product(&self) -> &'static Product {
        &PRODUCT
    }

    fn setting(&self) -> &'static str {
        "default: scrapes, a target per host; both programs"
    }

    fn command(&self, program: &Path, options: &LaunchOptions) -> anyhow::Result<Command> {
        Ok(victoria::start(program, options))
    }

    fn relay(&self, options: &LaunchOptions) -> anyhow::Result<Option<Command>> {
        let file = options.dir.join("vmagent.yml");
        // JSON is valid YAML.
        std::fs::write(&file, prometheus::scrape_config(options).to_string())?;
        let mut command = Command::new(RELAY.program);
        command.arg(format!("-promscrape.config={}", file.display()));
        command.arg(format!("-httpListenAddr={}", options.relay));
        command.arg(format!("-remoteWrite.url=http://{}/api/v1/write", options.http));
        command.arg(format!("-remoteWrite.tmpDataPath={}", options.dir.join("queue").display()));
        Ok(Some(command))
    }

    fn report_mode(&self) -> ReportMode {
        ReportMode::keep_alive(Protocol::Pulled)
    }

    fn staleness_rule(&self) -> Option<&'static str> {
        Some("the first failed scrape, and `-search.latencyOffset`, 30 s by default")
    }
}
