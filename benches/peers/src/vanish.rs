//! Measures how long a server shows the series of vanished hosts.
//!
//! A small fleet has three groups: hosts that stay, hosts that are killed (their connections close)
//! and hosts that are cut off (their connections stay open and silent).

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use anyhow::ensure;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::fleet::{Fleet, Schedule};
use crate::fleet_kind::FleetKind;
use crate::peer::Peer;
use crate::server::{FleetSettings, Server};
use crate::targets::Targets;

/// Number of hosts in each group.
const GROUP_SIZE: usize = 5;
const STAYING: Range<usize> = 0..GROUP_SIZE;
const KILLED: Range<usize> = GROUP_SIZE..2 * GROUP_SIZE;
const CUT_OFF: Range<usize> = 2 * GROUP_SIZE..3 * GROUP_SIZE;
/// Reports per host before hosts vanish: enough for a server that learns the report interval.
const ROUNDS: u64 = 4;
/// Polling interval of the list of hosts.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// Time given to a server to start pulling, always waited in full.
const PULL_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum time until the server shows all reporting hosts.
const PRESENCE_TIMEOUT: Duration = Duration::from_secs(60);

/// Settings of the test.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Plan {
    /// What the hosts report.
    pub kind: FleetKind,
    /// Report interval of a host, in seconds.
    pub interval: f64,
    /// Maximum wait for series to be gone, in seconds.
    pub wait: f64,
}

/// Time until the series of vanished hosts were gone, in seconds; `None` if they stayed.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Gone {
    /// Seconds until the series of killed hosts were gone.
    pub killed: Option<f64>,
    /// Seconds until the series of hosts that were cut off were gone.
    pub cut_off: Option<f64>,
}

/// Starts the server with this executable, lets hosts vanish and waits for their series to be gone.
///
/// # Errors
/// If the server does not start, or does not show the hosts that are present.
pub async fn watch(peer: &dyn Peer, program: &Path, plan: Plan) -> anyhow::Result<Gone> {
    let hosts = CUT_OFF.end;
    let targets = Targets::for_peer(peer, plan.kind, hosts)?;
    let interval = Duration::from_secs_f64(plan.interval);
    let fleet = FleetSettings::new(plan.kind, hosts, interval, targets.as_ref());
    let server = Server::start(peer, program, fleet).await?;
    let watcher = Watcher { peer, server: &server, plan };
    let gone = match targets {
        Some(targets) => {
            sleep(PULL_TIMEOUT + interval * ROUNDS as u32).await;
            let deadline = Instant::now() + PRESENCE_TIMEOUT;
            while !watcher.all(&server.presence().await?, 0..hosts) {
                ensure!(
                    Instant::now() < deadline,
                    "the server does not show all hosts that it pulls"
                );
                sleep(POLL_INTERVAL).await;
            }
            targets.vanish(KILLED, CUT_OFF);
            watcher.gone().await?
        }
        None => watcher.reporting().await?,
    };
    server.stop().await?;
    Ok(gone)
}

struct Watcher<'a> {
    peer: &'a dyn Peer,
    server: &'a Server,
    plan: Plan,
}

impl Watcher<'_> {
    async fn reporting(&self) -> anyhow::Result<Gone> {
        let group = |hosts| Fleet::new(self.peer.report_mode(), &self.server.options, hosts);
        let [mut staying, mut killed, mut cut_off] = [STAYING, KILLED, CUT_OFF].map(group);
        let rate = GROUP_SIZE as f64 / self.plan.interval;
        let schedule = |rounds| Schedule { rate, rounds, within: Duration::MAX };
        tokio::join!(
            staying.drive(schedule(ROUNDS)),
            killed.drive(schedule(ROUNDS)),
            cut_off.drive(schedule(ROUNDS)),
        );
        let deadline = Instant::now() + PRESENCE_TIMEOUT;
        while !self.all(&self.server.presence().await?, 0..CUT_OFF.end) {
            ensure!(Instant::now() < deadline, "the server does not show all reporting hosts");
            let once = schedule(1);
            tokio::join!(staying.drive(once), killed.drive(once), cut_off.drive(once));
        }
        let stay_on = async {
            staying.drive(schedule(u64::MAX)).await;
        };
        tokio::pin!(stay_on);
        tokio::select! {
            () = &mut stay_on => anyhow::bail!("the hosts that stay have stopped reporting"),
            gone = async {
                drop(killed);
                self.gone().await
            } => gone,
        }
    }

    /// Waits until the hosts that have just vanished are no longer shown.
    async fn gone(&self) -> anyhow::Result<Gone> {
        let since = Instant::now();
        let mut gone = Gone { killed: None, cut_off: None };
        while since.elapsed().as_secs_f64() < self.plan.wait
            && (gone.killed.is_none() || gone.cut_off.is_none())
        {
            sleep(POLL_INTERVAL).await;
            let page = self.server.presence().await?;
            for (hosts, when) in [(KILLED, &mut gone.killed), (CUT_OFF, &mut gone.cut_off)] {
                if when.is_none() && self.none(&page, hosts) {
                    *when = Some(since.elapsed().as_secs_f64());
                }
            }
        }
        let page = self.server.presence().await?;
        ensure!(self.all(&page, STAYING), "the server no longer shows the hosts that stay");
        Ok(gone)
    }

    fn all(&self, page: &str, mut hosts: Range<usize>) -> bool {
        hosts.all(|host| page.contains(&self.peer.host_marker(host)))
    }

    fn none(&self, page: &str, mut hosts: Range<usize>) -> bool {
        !hosts.any(|host| page.contains(&self.peer.host_marker(host)))
    }
}
