//! Measures when the engine learns that a series has ended.

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use fleetgauge_receiver::Ledger;
use serde::Serialize;
use tokio::time::{Instant, sleep, timeout};

use super::args::Plan;
use super::rig::{POLL_INTERVAL, Rig};
use super::sender::Sender;
use crate::reading;

/// Number of hosts of the test.
const HOSTS: usize = 15;
/// Hosts that vanish.
const VANISHING: Range<usize> = 0..5;

/// Time until the engine has the stale markers of all series, in seconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Stale {
    /// After the connections of a host were closed; `None` if there were not all.
    pub vanished: Option<f64>,
    /// After the sender was killed for good; `None` if there were not all.
    pub killed: Option<f64>,
    /// After the sender was killed and the hosts had another one: until the engine had a newer
    /// sample of each host. `None` if hosts cannot have another one, or it did not take over.
    pub taken_over: Option<f64>,
    /// Time that was waited, in seconds.
    pub waited: f64,
}

/// Runs the test with a small fleet.
///
/// # Errors
/// If the sender does not start.
pub(super) async fn measure(
    sender: &Sender,
    program: &Path,
    plan: Plan,
    wait: Duration,
) -> anyhow::Result<Stale> {
    let plan = Plan { hosts: HOSTS, ..plan };
    let mut rig = Rig::start(sender, program, plan, false).await?;
    sleep(plan.interval).await;
    let start = Instant::now();
    rig.vanish(VANISHING);
    let vanished = marked(&rig, VANISHING, start, wait).await;
    let start = Instant::now();
    rig.process.kill().await?;
    let killed = marked(&rig, VANISHING.end..HOSTS, start, wait).await;
    drop(rig);
    let taken_over = match sender.is_scraper() {
        true => None,
        false => taken_over(sender, program, plan, wait).await?,
    };
    Ok(Stale { vanished, killed, taken_over, waited: wait.as_secs_f64() })
}

/// Waits until the engine has the end of all series of these hosts. Returns the seconds since
/// `start`.
async fn marked(rig: &Rig<'_>, hosts: Range<usize>, start: Instant, wait: Duration) -> Option<f64> {
    let account = rig.account();
    let lacks_marker = |ledger: &Ledger| {
        let mut own = ledger.series().filter(|series| {
            account.host_of(series.labels()).is_some_and(|host| hosts.contains(&host))
        });
        own.any(|series| series.is_live())
    };
    rig.receiver.wait_until(wait, |ledger| !lacks_marker(ledger)).await.ok()?;
    let ledger = rig.receiver.ledger();
    let own = ledger.series().filter(|series| {
        account.host_of(series.labels()).is_some_and(|host| hosts.contains(&host))
    });
    let last = own.filter_map(|series| series.marker_arrival()).max()?;
    Some(last.saturating_duration_since(start.into_std()).as_secs_f64())
}

/// Kills the collector of agents that have another one. Returns the seconds until the engine had a
/// newer sample of each.
async fn taken_over(
    sender: &Sender,
    program: &Path,
    plan: Plan,
    wait: Duration,
) -> anyhow::Result<Option<f64>> {
    let mut rig = Rig::start(sender, program, plan, true).await?;
    let (start, killed_ms) = (Instant::now(), reading::unix_ms());
    rig.process.kill().await?;
    let is_newer = |ledger: &Ledger, host| {
        let newest = rig.account().gauge(ledger, host).and_then(|series| {
            series.samples().iter().rev().find(|sample| !sample.is_stale_marker()).copied()
        });
        newest.is_some_and(|sample| sample.unix_ms.cast_unsigned() > killed_ms)
    };
    let all = async {
        while !(0..HOSTS).all(|host| is_newer(&rig.receiver.ledger(), host)) {
            sleep(POLL_INTERVAL).await;
        }
        start.elapsed().as_secs_f64()
    };
    Ok(timeout(wait, all).await.ok())
}
