//! What is compared: a program at one of its settings, how it is started and how hosts report to it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use hyper::Request;
use tokio::process::Command;

use crate::reading::{self, Reading};

/// A program.
#[derive(Debug)]
pub struct Product {
    /// What people call it.
    pub name: &'static str,
    /// What it is started as.
    pub program: &'static str,
    /// The Debian package it comes in; empty for what needs none.
    pub package: &'static str,
    /// Path that is answered with 200 once it is ready.
    pub ready: &'static str,
    /// Path of the page with the newest values of all hosts, in the Prometheus text format.
    pub page: &'static str,
    /// What the page is, where it is not what Prometheus scrapes.
    pub page_is: &'static str,
    /// Path of an answer in which a host that is there is named, as its users would ask.
    pub look: &'static str,
    /// The gauge on the page that tells which report it is from.
    pub telling: &'static str,
}

/// Intervals after which a host may be taken for gone, where a program can be told.
pub const MISSED: u32 = 3;

/// Where a program runs and for whom.
#[derive(Debug, Clone)]
pub struct Place {
    /// A directory for what it writes.
    pub dir: PathBuf,
    /// For HTTP.
    pub http: SocketAddr,
    /// For reports over plain TCP.
    pub tcp: SocketAddr,
    /// Hosts that will report.
    pub hosts: usize,
    /// Time between the reports of a host.
    pub interval: Duration,
    /// The port on which every host serves its page, each at an address of its own.
    pub targets: u16,
}

/// How a host's reading reaches the program.
#[derive(Clone, Copy)]
pub enum Dialect {
    /// Bytes over TCP that are not answered.
    Stream(fn(&[Reading]) -> Vec<u8>),
    /// An HTTP request that is answered with 2xx. Its URI is a path.
    Request(fn(&[Reading]) -> anyhow::Result<Request<Bytes>>),
    /// A session of fleetgauge's protocol.
    Session,
    /// The program comes and asks.
    Pulled,
}

/// How hosts report.
#[derive(Clone, Copy)]
pub struct Link {
    /// What is said.
    pub dialect: Dialect,
    /// Each host keeps its connection; else it makes one for each report.
    pub kept: bool,
    /// Hosts whose readings travel together, as through a relay; 1 for none.
    pub together: usize,
}

impl Link {
    /// Each host keeps a connection of its own.
    #[must_use]
    pub const fn kept(dialect: Dialect) -> Self {
        Self { dialect, kept: true, together: 1 }
    }

    /// A connection a report.
    #[must_use]
    pub const fn fresh(dialect: Dialect) -> Self {
        Self { dialect, kept: false, together: 1 }
    }
}

/// A program at one of its settings.
pub trait Peer: Send + Sync {
    /// The program.
    fn product(&self) -> &'static Product;

    /// The setting, in a few words.
    fn setting(&self) -> &'static str;

    /// How it is started, given where it was found.
    ///
    /// # Errors
    /// A file that it needs cannot be written.
    fn command(&self, program: &Path, place: &Place) -> anyhow::Result<Command>;

    /// How hosts report to it.
    fn link(&self) -> Link;

    /// Where it is installed.
    ///
    /// # Errors
    /// What to install.
    fn find(&self) -> Result<PathBuf, String> {
        let product = self.product();
        in_path(product.program)
            .ok_or_else(|| format!("not installed: apt-get install {}", product.package))
    }

    /// Whether its cost is measured at this setting: not where only the end of series is another.
    fn is_measured(&self) -> bool {
        true
    }

    /// Whether its page is measured at this setting: once for each program is enough.
    fn is_scraped(&self) -> bool {
        false
    }

    /// What decides how long a vanished host's series are shown; `None` where another setting of the program shows the same.
    fn departure(&self) -> Option<&'static str> {
        None
    }

    /// What names the host in the answer to [`Product::look`].
    fn mark(&self, host: usize) -> String {
        format!("\"{}\"", reading::id(host))
    }
}

/// The program of this name in the search path.
#[must_use]
pub fn in_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}
