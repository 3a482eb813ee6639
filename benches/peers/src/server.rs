//! A server under comparison as a child process, in its own directory, on free loopback ports.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tempfile::TempDir;
use tokio::process::Child;
use tokio::time::{Instant, sleep};

use crate::http::{self, Page};
use crate::peer::{LaunchOptions, Peer, Product};
use crate::targets::Targets;
use crate::usage::{self, TICK, Usage};

/// Maximum time until a server is ready.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// Attempts to start a server: another program may take its port in the meantime.
const MAX_STARTS: usize = 3;
/// Polling interval until the server is ready.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// A server is idle if it uses at most one tick of CPU time in this time.
const IDLE_PERIOD: Duration = Duration::from_millis(250);
/// Maximum wait for a server to become idle.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// A running server. Dropping it kills the process.
pub struct Server {
    child: Child,
    product: &'static Product,
    /// Directory, addresses and fleet of the server.
    pub options: LaunchOptions,
    /// Working directory of the server, removed on drop.
    _dir: TempDir,
}

/// The fleet that a server is started for.
#[derive(Debug, Clone, Copy)]
pub struct FleetSettings {
    hosts: usize,
    interval: Duration,
    target_port: u16,
}

impl FleetSettings {
    /// Describes a fleet of this size. `targets` are the pages of its hosts if the server pulls.
    #[must_use]
    pub fn new(hosts: usize, interval: Duration, targets: Option<&Targets>) -> Self {
        Self { hosts, interval, target_port: targets.map_or(0, |targets| targets.port) }
    }
}

impl Server {
    /// Starts the server and waits until it is ready.
    ///
    /// # Errors
    /// If it does not start, with the last line of its log.
    pub async fn start(
        peer: &dyn Peer,
        program: &Path,
        fleet: FleetSettings,
    ) -> anyhow::Result<Self> {
        let mut outcome = Self::try_start(peer, program, fleet).await;
        for _ in 1..MAX_STARTS {
            if outcome.is_ok() {
                break;
            }
            outcome = Self::try_start(peer, program, fleet).await;
        }
        outcome.with_context(|| format!("starting {}", program.display()))
    }

    async fn try_start(
        peer: &dyn Peer,
        program: &Path,
        fleet: FleetSettings,
    ) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let FleetSettings { hosts, interval, target_port } = fleet;
        let [http, tcp] = free_ports()?;
        let options =
            LaunchOptions { dir: dir.path().to_owned(), http, tcp, hosts, interval, target_port };
        let log = dir.path().join("log");
        let mut command = peer.command(program, &options)?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?);
        // Its own process group: Ctrl-C must reach only this program, which then kills its
        // children.
        command.process_group(0).kill_on_drop(true).current_dir(dir.path());
        let child = command.spawn()?;
        let mut server = Self { child, product: peer.product(), options, _dir: dir };
        if let Err(error) = server.ready().await {
            let log = std::fs::read_to_string(&log).unwrap_or_default();
            bail!("{error:#}; last line of its log: {}", log.lines().last().unwrap_or("none"));
        }
        Ok(server)
    }

    async fn ready(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                bail!("the server exited with {status}");
            }
            if http::get(self.options.http, self.product.ready, false).await.is_ok() {
                return Ok(());
            }
            sleep(POLL_INTERVAL).await;
        }
        bail!("the server is not ready after {} s", START_TIMEOUT.as_secs())
    }

    /// Resource usage so far.
    ///
    /// # Errors
    /// If the server has exited.
    pub fn usage(&self) -> anyhow::Result<Usage> {
        usage::of(self.child.id().context("the server has exited")?)
    }

    /// Waits until the server is idle, for at most ten seconds. Returns its resource usage.
    ///
    /// # Errors
    /// If the server has exited.
    pub async fn wait_until_idle(&self) -> anyhow::Result<Usage> {
        let deadline = Instant::now() + IDLE_TIMEOUT;
        let mut before = self.usage()?;
        loop {
            sleep(IDLE_PERIOD).await;
            let now = self.usage()?;
            if now.cpu <= before.cpu + TICK || Instant::now() >= deadline {
                return Ok(now);
            }
            before = now;
        }
    }

    /// Fetches the page with the latest values of all hosts.
    ///
    /// # Errors
    /// If the connection fails or the status is not 200.
    pub async fn page(&self, gzip: bool) -> anyhow::Result<Page> {
        http::get(self.options.http, self.product.page, gzip).await
    }

    /// Fetches the list of hosts that are present.
    ///
    /// # Errors
    /// If the connection fails or the status is not 200.
    pub async fn presence(&self) -> anyhow::Result<String> {
        Ok(http::get(self.options.http, self.product.presence, false).await?.text())
    }

    /// Kills the process and waits for its exit.
    ///
    /// # Errors
    /// If a system call fails.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }
}

/// Returns two addresses whose ports were free a moment ago. Port 0 is no alternative: not all
/// programs print the port that they bound.
fn free_ports() -> anyhow::Result<[SocketAddr; 2]> {
    let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let (one, other) = (free()?, free()?);
    Ok([one.local_addr()?, other.local_addr()?])
}
