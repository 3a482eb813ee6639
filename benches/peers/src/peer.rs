//! A server under comparison: how it is started, and how hosts report to it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use hyper::Request;
use tokio::process::Command;

use crate::fleet_kind::FleetKind;
use crate::reading::{self, Reading};

/// A program that can run as the server.
#[derive(Debug)]
pub struct Product {
    /// Name in the tables.
    pub name: &'static str,
    /// Name of the executable.
    pub program: &'static str,
    /// Debian package; empty if none is needed.
    pub package: &'static str,
    /// Path that returns 200 once the server is ready.
    pub ready: &'static str,
    /// Path of the page with the latest values of all hosts, in the Prometheus text format.
    pub page: &'static str,
    /// Name of that page; empty if it is the one that Prometheus scrapes.
    pub page_name: &'static str,
    /// Path of a page or query that lists the hosts that are present.
    pub presence: &'static str,
    /// Name of the sequence gauge on the page if the page has other names than the hosts.
    pub renamed_gauge: Option<&'static str>,
    /// The program between hosts and server, if there is one.
    pub relay: Option<Relay>,
}

/// A program that scrapes the hosts and forwards their samples to the server. Its usage counts as
/// that of the server.
#[derive(Debug)]
pub struct Relay {
    /// Name of the executable.
    pub program: &'static str,
    /// Path that returns 200 once it is ready.
    pub ready: &'static str,
    /// Counter on its `/metrics` of bytes that it has written to the server.
    pub written: &'static str,
}

/// Missed reports after which a host is gone, for servers where that can be set.
pub const MISSED_INTERVALS: u32 = 3;

/// Directory, addresses and fleet of a running server.
#[derive(Debug, Clone)]
pub struct LaunchOptions {
    /// Working directory, for all files that the server writes.
    pub dir: PathBuf,
    /// Listen address for HTTP.
    pub http: SocketAddr,
    /// Listen address for reports over plain TCP.
    pub tcp: SocketAddr,
    /// Listen address of the relay for HTTP.
    pub relay: SocketAddr,
    /// What the hosts report.
    pub kind: FleetKind,
    /// Number of hosts that will report.
    pub hosts: usize,
    /// Report interval of a host.
    pub interval: Duration,
    /// Port of the pages of pulled hosts; each host has its own address.
    pub target_port: u16,
}

/// How readings reach the server.
#[derive(Clone, Copy)]
pub enum Protocol {
    /// Bytes over TCP, without a response.
    Stream(fn(&[Reading]) -> Vec<u8>),
    /// An HTTP request with a 2xx response. Its URI is a path.
    Request(fn(&[Reading]) -> anyhow::Result<Request<Bytes>>),
    /// A session of the fleetgauge protocol.
    Session,
    /// The server scrapes the hosts.
    Pulled,
}

/// How hosts report.
#[derive(Clone, Copy)]
pub struct ReportMode {
    /// Protocol of the reports.
    pub protocol: Protocol,
    /// Whether a host keeps its connection, or opens one for each report.
    pub keep_alive: bool,
    /// Number of hosts that share a connection and a request, as behind a relay.
    pub batch: usize,
}

impl ReportMode {
    /// Each host keeps its own connection.
    #[must_use]
    pub const fn keep_alive(protocol: Protocol) -> Self {
        Self { protocol, keep_alive: true, batch: 1 }
    }

    /// Each host opens a connection per report.
    #[must_use]
    pub const fn per_report(protocol: Protocol) -> Self {
        Self { protocol, keep_alive: false, batch: 1 }
    }
}

/// A server with one of its settings.
pub trait Peer: Send + Sync {
    /// The program.
    fn product(&self) -> &'static Product;

    /// Short description of the setting.
    fn setting(&self) -> &'static str;

    /// The command that starts this executable.
    ///
    /// # Errors
    /// If a configuration file cannot be written.
    fn command(&self, program: &Path, options: &LaunchOptions) -> anyhow::Result<Command>;

    /// The command that starts the relay. `None` if the product has none.
    ///
    /// # Errors
    /// If a configuration file cannot be written.
    fn relay(&self, _options: &LaunchOptions) -> anyhow::Result<Option<Command>> {
        Ok(None)
    }

    /// How hosts report to it.
    fn report_mode(&self) -> ReportMode;

    /// Finds the executable, and that of the relay.
    ///
    /// # Errors
    /// Says what to install.
    fn find(&self) -> Result<PathBuf, String> {
        let product = self.product();
        let has_relay = product.relay.as_ref().is_none_or(|relay| in_path(relay.program).is_some());
        in_path(product.program)
            .filter(|_| has_relay)
            .ok_or_else(|| format!("not installed: apt-get install {}", product.package))
    }

    /// Whether to measure the cost with this setting. False if it only affects vanished hosts.
    fn is_measured(&self) -> bool {
        true
    }

    /// Whether to measure the page with this setting. Once per program is enough.
    fn is_scraped(&self) -> bool {
        false
    }

    /// The rule that removes the series of a vanished host. `None` if another setting of the
    /// program has the same rule; the test is skipped then.
    fn staleness_rule(&self) -> Option<&'static str> {
        None
    }

    /// Text that identifies the host in the response to [`Product::presence`].
    fn host_marker(&self, host: usize) -> String {
        format!("\"{}\"", reading::id(host))
    }
}

/// Path of the executable in the search path.
#[must_use]
pub fn in_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}
