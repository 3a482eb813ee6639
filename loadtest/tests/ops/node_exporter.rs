//! A real node_exporter, as the reference for the agent's metrics.

use std::process::Command;

use super::http;
use super::programs::{Program, free_address, installed, wait_for};

/// A node_exporter on a free port of 127.0.0.1.
pub(crate) struct NodeExporter {
    pub(crate) address: String,
    _program: Program,
}

impl NodeExporter {
    /// Starts node_exporter with these flags, and without the directory of text files that Debian's
    /// package adds.
    pub(crate) fn start(flags: &[&str]) -> Self {
        let address = free_address();
        let mut command: Command = installed("NODE_EXPORTER", "prometheus-node-exporter");
        command
            .arg(format!("--web.listen-address={address}"))
            .args(["--collector.textfile.directory=", "--log.level=error"])
            .args(flags);
        let program = Program::start(command);
        wait_for("a node_exporter that listens", 10, || http::get(&address, "/", "").ok());
        Self { address, _program: program }
    }

    /// Returns its page.
    pub(crate) fn page(&self) -> String {
        http::get(&self.address, "/metrics", "").unwrap()
    }
}
