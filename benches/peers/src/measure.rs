//! Runs a fleet through one program and reads what that cost it.
//!
//! ```text
//! start ─ all hosts report once ─ rest ─ the window ─ rest ─ is all shown? ─ pages ─ stop
//!                                        CPU, bytes   memory                CPU, bytes
//! ```

use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::crowd::{Crowd, Plan};
use crate::page::{PageFigures, page};
use crate::peer::Peer;
use crate::server::{Audience, Server};
use crate::targets::Targets;

/// What hosts promise as the time between reports, so that they are not taken for dead while they stand still: the
/// longest that a collector grants.
const PROMISED: Duration = Duration::from_secs(300);

/// What a program uses without hosts.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Idle {
    /// CPU time, in milliseconds a second.
    pub cpu_ms: f64,
    /// Resident bytes.
    pub resident: u64,
}

/// What running a fleet through a program cost it. A report is one host's.
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    /// Reports taken in the window.
    pub reports: u64,
    /// Reports a second in the window.
    pub rate: f64,
    /// CPU time a report, in microseconds, that of idling taken off.
    pub cpu_us: f64,
    /// Bytes of a report.
    pub payload_bytes: f64,
    /// Bytes of a report and of the protocol around it, above TCP.
    pub sent_bytes: f64,
    /// Resident bytes a host, those of the program without hosts taken off.
    pub memory_bytes: f64,
    /// The page with all hosts' newest values, where it was measured.
    pub page: Option<PageFigures>,
    /// What did not go as it should.
    pub flaws: Vec<String>,
}

/// Runs a fleet through the program that was found there.
///
/// # Errors
/// The program does not start, or ends early.
pub async fn measure(
    peer: &dyn Peer,
    program: &Path,
    plan: Plan,
    idle: Idle,
) -> anyhow::Result<Figures> {
    let targets = Targets::wanted(peer, plan.hosts)?;
    let interval = if targets.is_some() { plan.interval() } else { PROMISED };
    let audience = Audience::new(plan.hosts, interval, targets.as_ref());
    let server = Server::start(peer, program, audience).await?;
    let mut crowd = Crowd::new(targets, peer, &server, plan);
    crowd.come(&server, plan).await?;
    let window = crowd.window(&server, plan).await?;
    let mut flaws = window.flaws(plan);
    let came = crowd.newest().len();
    flaws.extend(crowd.shown(&server, peer.product().telling, plan).await?);
    let page = if peer.is_scraped() { Some(page(&server, idle).await?) } else { None };
    server.stop().await?;

    let each = |amount: u64| amount as f64 / window.outcome.reports.max(1) as f64;
    Ok(Figures {
        reports: window.outcome.reports,
        rate: window.outcome.reports as f64 / window.reporting.as_secs_f64(),
        cpu_us: each(idle.taken_off(window.cpu, window.time).as_micros() as u64),
        payload_bytes: each(window.outcome.payload),
        sent_bytes: each(window.written),
        memory_bytes: (window.resident as f64 - idle.resident as f64) / came.max(1) as f64,
        page,
        flaws,
    })
}

/// Watches the program without hosts for this long.
///
/// # Errors
/// It does not start, or ends.
pub async fn idle(peer: &dyn Peer, program: &Path, time: Duration) -> anyhow::Result<Idle> {
    let nobody = Audience::new(0, PROMISED, None);
    let server = Server::start(peer, program, nobody).await?;
    let (before, since) = (server.rest().await?, Instant::now());
    sleep(time).await;
    let after = server.usage()?;
    let cpu_ms = (after.cpu - before.cpu).as_secs_f64() * 1e3 / since.elapsed().as_secs_f64();
    server.stop().await?;
    Ok(Idle { cpu_ms, resident: after.resident })
}

impl Idle {
    /// CPU time that was used in this time, without that of idling.
    #[must_use]
    pub fn taken_off(self, cpu: Duration, time: Duration) -> Duration {
        cpu.saturating_sub(time.mul_f64(self.cpu_ms / 1e3))
    }
}
