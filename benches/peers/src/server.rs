//! A program under comparison as a child process, in a directory of its own, on free ports of the loopback.

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
use crate::peer::{Peer, Place, Product};
use crate::targets::Targets;
use crate::usage::{self, TICK, Usage};

/// How long a program may take until it is ready.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// How often one that loses a port to somebody else is started again.
const STARTS: usize = 3;
/// How often it is asked whether it is ready.
const ASK_EVERY: Duration = Duration::from_millis(50);
/// It is at rest once it uses no more than a tick in this time.
const REST: Duration = Duration::from_millis(250);
/// How long coming to rest may take.
const REST_TIMEOUT: Duration = Duration::from_secs(10);

/// A running program. It ends when this is dropped.
pub struct Server {
    child: Child,
    product: &'static Product,
    /// Where it runs.
    pub place: Place,
    /// Removed when this is dropped.
    _dir: TempDir,
}

/// The fleet that a program is started for.
#[derive(Debug, Clone, Copy)]
pub struct Audience {
    hosts: usize,
    interval: Duration,
    targets: u16,
}

impl Audience {
    /// So many hosts; where they are pulled, by their pages.
    #[must_use]
    pub fn new(hosts: usize, interval: Duration, targets: Option<&Targets>) -> Self {
        Self { hosts, interval, targets: targets.map_or(0, |targets| targets.port) }
    }
}

impl Server {
    /// Starts the program and waits until it is ready.
    ///
    /// # Errors
    /// It does not start, with the last line of its log.
    pub async fn start(
        peer: &dyn Peer,
        program: &Path,
        audience: Audience,
    ) -> anyhow::Result<Self> {
        let mut outcome = Self::try_start(peer, program, audience).await;
        for _ in 1..STARTS {
            if outcome.is_ok() {
                break;
            }
            outcome = Self::try_start(peer, program, audience).await;
        }
        outcome.with_context(|| format!("starting {}", program.display()))
    }

    async fn try_start(
        peer: &dyn Peer,
        program: &Path,
        audience: Audience,
    ) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let Audience { hosts, interval, targets } = audience;
        let [http, tcp] = free_ports()?;
        let place = Place { dir: dir.path().to_owned(), http, tcp, hosts, interval, targets };
        let log = dir.path().join("log");
        let mut command = peer.command(program, &place)?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?);
        // Ctrl-C is for this program: it ends its children itself.
        command.process_group(0).kill_on_drop(true).current_dir(dir.path());
        let child = command.spawn()?;
        let mut server = Self { child, product: peer.product(), place, _dir: dir };
        if let Err(error) = server.ready().await {
            let log = std::fs::read_to_string(&log).unwrap_or_default();
            bail!("{error:#}; it said: {}", log.lines().last().unwrap_or("nothing"));
        }
        Ok(server)
    }

    async fn ready(&mut self) -> anyhow::Result<()> {
        let until = Instant::now() + START_TIMEOUT;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait()? {
                bail!("ended with {status}");
            }
            if http::get(self.place.http, self.product.ready, false).await.is_ok() {
                return Ok(());
            }
            sleep(ASK_EVERY).await;
        }
        bail!("not ready within {} s", START_TIMEOUT.as_secs())
    }

    /// What it has used so far.
    ///
    /// # Errors
    /// It has ended.
    pub fn usage(&self) -> anyhow::Result<Usage> {
        usage::of(self.child.id().context("the server has ended")?)
    }

    /// What it has used once it has come to rest, or does not within ten seconds.
    ///
    /// # Errors
    /// It has ended.
    pub async fn rest(&self) -> anyhow::Result<Usage> {
        let until = Instant::now() + REST_TIMEOUT;
        let mut before = self.usage()?;
        loop {
            sleep(REST).await;
            let now = self.usage()?;
            if now.cpu <= before.cpu + TICK || Instant::now() >= until {
                return Ok(now);
            }
            before = now;
        }
    }

    /// Its page, compressed or not.
    ///
    /// # Errors
    /// It does not answer with one.
    pub async fn page(&self, gzip: bool) -> anyhow::Result<Page> {
        http::get(self.place.http, self.product.page, gzip).await
    }

    /// What its users see of who is there.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn look(&self) -> anyhow::Result<String> {
        Ok(http::get(self.place.http, self.product.look, false).await?.text())
    }

    /// Ends it and waits for that.
    ///
    /// # Errors
    /// The system's.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }
}

/// Ports that were free a moment ago: not all programs take port 0 and say what they got.
fn free_ports() -> anyhow::Result<[SocketAddr; 2]> {
    let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let (one, other) = (free()?, free()?);
    Ok([one.local_addr()?, other.local_addr()?])
}
