//! The Python server that fleetgauge replaces: a thread and a connection per host, JSON messages.

use std::path::{Path, PathBuf};
use std::process::{Command as StdCommand, Stdio};

use serde::Serialize;
use tokio::process::Command;

use crate::peer::{LaunchOptions, Peer, Product, Protocol, ReportMode, in_path};
use crate::reading::Reading;

static PRODUCT: Product = Product {
    name: "the old Python server",
    program: "python3",
    package: "python3-prometheus-client",
    ready: "/metrics",
    page: "/metrics",
    page_name: "",
    presence: "/metrics",
    renamed_gauge: Some("ram_used"),
    relay: None,
};

const SCRIPT: &str = include_str!("../../old_server.py");
/// Number of the first host. The old clients sent their port instead.
const FIRST_CLIENT: usize = 10_000;

/// The old server, which prints every record unless it is quiet.
pub(super) struct OldServer {
    /// Whether to print nothing.
    pub(super) quiet: bool,
}

#[derive(Serialize)]
struct Record {
    cpu: f64,
    ram: f64,
    disk: f64,
    ram_total: f64,
    ram_available: f64,
    ram_used: f64,
    client_no: usize,
}

fn record(readings: &[Reading]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for reading in readings {
        let [cpu, ram, disk, ram_total, ram_available, ram_used] = reading.gauges();
        let record = Record {
            cpu: 100.0 * cpu,
            ram: 100.0 * ram,
            disk: 100.0 * disk,
            ram_total,
            ram_available,
            ram_used,
            client_no: FIRST_CLIENT + reading.host,
        };
        let written = serde_json::to_writer(&mut bytes, &record);
        debug_assert!(written.is_ok(), "{written:?}");
    }
    bytes
}

/// Whether this Python has the `prometheus_client` package.
fn has_client_library(python: &Path) -> bool {
    let mut command = StdCommand::new(python);
    command.args(["-c", "import prometheus_client"]).stdin(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

impl Peer for OldServer {
    fn product(&self) -> &'static Product {
        &PRODUCT
    }

    fn setting(&self) -> &'static str {
        if self.quiet { "quiet" } else { "original: prints each record (to /dev/null)" }
    }

    fn find(&self) -> Result<PathBuf, String> {
        // Debian's package is for Debian's Python, which may not be the first in the path.
        let pythons = [in_path("python3"), Some("/usr/bin/python3".into())];
        pythons.into_iter().flatten().find(|python| has_client_library(python)).ok_or_else(|| {
            format!(
                "not installed: apt-get install {}, or pip install prometheus-client",
                PRODUCT.package
            )
        })
    }

    fn command(&self, program: &Path, options: &LaunchOptions) -> anyhow::Result<Command> {
        let mut command = Command::new(program);
        command.args([
            "-c",
            SCRIPT,
            &options.tcp.port().to_string(),
            &options.http.port().to_string(),
        ]);
        if self.quiet {
            command.arg("--quiet");
        }
        Ok(command)
    }

    fn report_mode(&self) -> ReportMode {
        ReportMode::keep_alive(Protocol::Stream(record))
    }

    fn is_scraped(&self) -> bool {
        self.quiet
    }

    fn staleness_rule(&self) -> Option<&'static str> {
        self.quiet.then_some("nothing: they stay")
    }

    fn host_marker(&self, host: usize) -> String {
        format!("\"{}\"", FIRST_CLIENT + host)
    }
}
