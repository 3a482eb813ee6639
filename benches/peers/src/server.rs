//! A server under comparison as a child process, with its relay if it has one, in a directory of
//! its own and on free loopback ports.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::fleet_kind::FleetKind;
use crate::http::{self, Page};
use crate::peer::{LaunchOptions, Peer, Product, Relay};
use crate::reading;
use crate::targets::Targets;
use crate::usage::{self, TICK, Usage};

/// Maximum time until a server is ready.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// Attempts to start a server: another program may take its port in the meantime.
pub(crate) const MAX_STARTS: usize = 3;
/// Polling interval until the server is ready.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// A server is idle if it uses at most one tick of CPU time in this time.
const IDLE_PERIOD: Duration = Duration::from_millis(250);
/// Maximum wait for a server to become idle.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// A running server. Dropping it kills its processes.
pub struct Server {
    child: Child,
    relay: Option<Child>,
    product: &'static Product,
    /// Directory, addresses and fleet of the server.
    pub options: LaunchOptions,
    /// Working directory of the server, removed on drop.
    _dir: TempDir,
}

/// The fleet that a server is started for.
#[derive(Debug, Clone, Copy)]
pub struct FleetSettings {
    kind: FleetKind,
    hosts: usize,
    interval: Duration,
    target_port: u16,
}

impl FleetSettings {
    /// Describes a fleet of this size. `targets` are the pages of its hosts if the server pulls.
    #[must_use]
    pub fn new(
        kind: FleetKind,
        hosts: usize,
        interval: Duration,
        targets: Option<&Targets>,
    ) -> Self {
        Self { kind, hosts, interval, target_port: targets.map_or(0, |targets| targets.port) }
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
        let FleetSettings { kind, hosts, interval, target_port } = fleet;
        let [http, tcp, relay] = free_ports()?;
        let dir_path = dir.path().to_owned();
        let options =
            LaunchOptions { dir: dir_path, http, tcp, relay, kind, hosts, interval, target_port };
        let product = peer.product();
        let child =
            start(peer.command(program, &options)?, &options.dir, http, product.ready).await?;
        let mut server = Self { child, relay: None, product, options, _dir: dir };
        if let (Some(command), Some(Relay { program, ready, .. })) =
            (peer.relay(&server.options)?, &product.relay)
        {
            let child = start(command, &server.options.dir, relay, ready).await;
            server.relay = Some(child.with_context(|| format!("starting {program}"))?);
        }
        Ok(server)
    }

    /// Resource usage so far, with that of the relay.
    ///
    /// # Errors
    /// If the server has exited.
    pub fn usage(&self) -> anyhow::Result<Usage> {
        let usage = usage::of(self.child.id().context("the server has exited")?)?;
        let Some(relay) = &self.relay else { return Ok(usage) };
        let relay = usage::of(relay.id().context("the relay has exited")?)?;
        Ok(Usage { cpu: usage.cpu + relay.cpu, resident: usage.resident + relay.resident })
    }

    /// Bytes that the relay has written to the server so far; 0 without a relay.
    ///
    /// # Errors
    /// If the relay does not return its metrics.
    pub async fn relayed(&self) -> anyhow::Result<u64> {
        let Some(relay) = &self.product.relay else { return Ok(0) };
        let page = http::get(self.options.relay, "/metrics", false).await?.text();
        Ok(reading::sum(&page, relay.written).1 as u64)
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

    /// Name of the sequence gauge on the page if the page has other names than the hosts.
    #[must_use]
    pub fn renamed_gauge(&self) -> Option<&'static str> {
        self.product.renamed_gauge
    }

    /// Fetches the list of hosts that are present.
    ///
    /// # Errors
    /// If the connection fails or the status is not 200.
    pub async fn presence(&self) -> anyhow::Result<String> {
        Ok(http::get(self.options.http, self.product.presence, false).await?.text())
    }

    /// Kills the processes and waits for their exit.
    ///
    /// # Errors
    /// If a system call fails.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(mut relay) = self.relay {
            relay.kill().await?;
        }
        Ok(self.child.kill().await?)
    }
}

/// Starts a process and waits until the path `ready` of its HTTP server returns 200.
pub(crate) async fn start(
    mut command: Command,
    dir: &Path,
    http: SocketAddr,
    ready: &str,
) -> anyhow::Result<Child> {
    let log = dir.join(format!("{}.log", http.port()));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?);
    // Its own process group: Ctrl-C must reach only this program, which then kills its children.
    command.process_group(0).kill_on_drop(true).current_dir(dir);
    let mut child = command.spawn()?;
    if let Err(error) = wait_until_ready(&mut child, http, ready).await {
        let log = std::fs::read_to_string(&log).unwrap_or_default();
        bail!("{error:#}; last line of its log: {}", log.lines().last().unwrap_or("none"));
    }
    Ok(child)
}

async fn wait_until_ready(child: &mut Child, http: SocketAddr, ready: &str) -> anyhow::Result<()> {
    let deadline = Instant::now() + START_TIMEOUT;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait()? {
            bail!("the program exited with {status}");
        }
        if http::get(http, ready, false).await.is_ok() {
            return Ok(());
        }
        sleep(POLL_INTERVAL).await;
    }
    bail!("the program is not ready after {} s", START_TIMEOUT.as_secs())
}

/// Returns three addresses whose ports were free a moment ago. Port 0 is no alternative: not all
/// programs print the port that they bound.
pub(crate) fn free_ports() -> anyhow::Result<[SocketAddr; 3]> {
    let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let (first, second, third) = (free()?, free()?, free()?);
    Ok([first.local_addr()?, second.local_addr()?, third.local_addr()?])
}
