//! The fleetgauge collector: this executable, started with `collector`.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::peer::{LaunchOptions, Peer, Product, Protocol, ReportMode};

/// First argument with which this executable runs the collector.
pub const COLLECTOR: &str = "collector";

static PRODUCT: Product = Product {
    name: "fleetgauge",
    program: "fleetgauge-collector",
    package: "",
    ready: "/readyz",
    page: "/metrics/agents",
    page_name: "",
    presence: "/metrics/agents",
    renamed_gauge: None,
    relay: None,
};

/// The collector; each host has a session.
pub(super) struct Fleetgauge {
    /// Whether to read reports in batches, at most every 10 ms.
    pub(super) coalescing: bool,
}

impl Peer for Fleetgauge {
    fn product(&self) -> &'static Product {
        &PRODUCT
    }

    fn setting(&self) -> &'static str {
        if self.coalescing { "`--coalesce-delay 10ms`" } else { "default" }
    }

    fn find(&self) -> Result<PathBuf, String> {
        std::env::current_exe()
            .map_err(|error| format!("cannot find the path of this executable: {error}"))
    }

    fn command(&self, program: &Path, options: &LaunchOptions) -> anyhow::Result<Command> {
        let mut command = Command::new(program);
        command.arg(COLLECTOR);
        let [agents, http] = [options.tcp, options.http].map(|address| address.to_string());
        command.args(["--listen", &agents, "--http-listen", &http]);
        if self.coalescing {
            command.args(["--coalesce-delay", "10ms"]);
        }
        Ok(command)
    }

    fn report_mode(&self) -> ReportMode {
        ReportMode::keep_alive(Protocol::Session)
    }

    fn is_scraped(&self) -> bool {
        !self.coalescing
    }

    fn staleness_rule(&self) -> Option<&'static str> {
        let decided_by = "the end of the connection, else three intervals";
        (!self.coalescing).then_some(decided_by)
    }
}
