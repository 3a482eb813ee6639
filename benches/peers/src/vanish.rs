//! How long the series of a vanished host are still shown.
//!
//! In three parts of a small fleet hosts stay, are killed (their connections end) and are cut off (their connections
//! stay and nothing comes any more). All programs are watched at the same time: it is mostly waiting.

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use anyhow::ensure;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::fleet::{Fleet, Schedule};
use crate::peer::Peer;
use crate::server::{Audience, Server};
use crate::targets::Targets;

/// Hosts of each part.
const PART: usize = 5;
const STAYING: Range<usize> = 0..PART;
const KILLED: Range<usize> = PART..2 * PART;
const CUT_OFF: Range<usize> = 2 * PART..3 * PART;
/// Reports a host before the others vanish: enough for a program that learns the usual time between them.
const ROUNDS: u64 = 4;
/// How often it is looked who is there.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long it may take until a server begins to pull.
const PULL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long it may take until those who report are shown.
const SHOWN_TIMEOUT: Duration = Duration::from_secs(60);

/// How a fleet is watched.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Plan {
    /// Seconds between the reports of a host.
    pub interval: f64,
    /// Seconds to wait for series to be gone.
    pub wait: f64,
}

/// When the series of those who vanished were gone, in seconds; `None`: not within the wait.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Gone {
    /// Of the killed.
    pub killed: Option<f64>,
    /// Of those cut off.
    pub cut_off: Option<f64>,
}

/// Lets hosts vanish from the program that was found there, and watches.
///
/// # Errors
/// The program does not start, or does not show who is there.
pub async fn watch(peer: &dyn Peer, program: &Path, plan: Plan) -> anyhow::Result<Gone> {
    let hosts = CUT_OFF.end;
    let targets = Targets::wanted(peer, hosts)?;
    let interval = Duration::from_secs_f64(plan.interval);
    let audience = Audience::new(hosts, interval, targets.as_ref());
    let server = Server::start(peer, program, audience).await?;
    let watcher = Watcher { peer, server: &server, plan };
    let gone = match targets {
        Some(targets) => {
            sleep(PULL_TIMEOUT + interval * ROUNDS as u32).await;
            ensure!(watcher.all(&server.look().await?, 0..hosts), "it does not show all it pulls");
            targets.depart(KILLED, CUT_OFF);
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
        let part = |hosts| Fleet::new(self.peer.link(), &self.server.place, hosts);
        let [mut staying, mut killed, mut cut_off] = [STAYING, KILLED, CUT_OFF].map(part);
        let rate = PART as f64 / self.plan.interval;
        let schedule = |rounds| Schedule { rate, rounds, within: Duration::MAX };
        tokio::join!(
            staying.drive(schedule(ROUNDS)),
            killed.drive(schedule(ROUNDS)),
            cut_off.drive(schedule(ROUNDS)),
        );
        let until = Instant::now() + SHOWN_TIMEOUT;
        while !self.all(&self.server.look().await?, 0..CUT_OFF.end) {
            ensure!(Instant::now() < until, "it does not show all who report");
            let once = schedule(1);
            tokio::join!(staying.drive(once), killed.drive(once), cut_off.drive(once));
        }
        let stay_on = async {
            staying.drive(schedule(u64::MAX)).await;
        };
        tokio::pin!(stay_on);
        tokio::select! {
            () = &mut stay_on => anyhow::bail!("those who stay have ended"),
            gone = async {
                drop(killed);
                self.gone().await
            } => gone,
        }
    }

    /// Waits until those who have vanished just now are no longer shown.
    async fn gone(&self) -> anyhow::Result<Gone> {
        let since = Instant::now();
        let mut gone = Gone { killed: None, cut_off: None };
        while since.elapsed().as_secs_f64() < self.plan.wait
            && (gone.killed.is_none() || gone.cut_off.is_none())
        {
            sleep(LOOK_EVERY).await;
            let page = self.server.look().await?;
            for (hosts, when) in [(KILLED, &mut gone.killed), (CUT_OFF, &mut gone.cut_off)] {
                if when.is_none() && self.none(&page, hosts) {
                    *when = Some(since.elapsed().as_secs_f64());
                }
            }
        }
        let page = self.server.look().await?;
        ensure!(self.all(&page, STAYING), "it no longer shows those who stay");
        Ok(gone)
    }

    fn all(&self, page: &str, mut hosts: Range<usize>) -> bool {
        hosts.all(|host| page.contains(&self.peer.mark(host)))
    }

    fn none(&self, page: &str, mut hosts: Range<usize>) -> bool {
        !hosts.any(|host| page.contains(&self.peer.mark(host)))
    }
}
