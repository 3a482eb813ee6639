//! Runs a fleet against one server and measures its cost.
//!
//! ```text
//! start ─ each host reports once ─ idle ─ window ─ idle ─ check page ─ fetch pages ─ stop
//!                                         CPU, bytes  memory            CPU, bytes
//! ```

use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::fleet_kind::FleetKind;
use crate::hosts::{Hosts, Plan};
use crate::page::{PageFigures, page};
use crate::peer::Peer;
use crate::server::{FleetSettings, Server};
use crate::targets::Targets;

/// Report interval in the Hello of fleetgauge agents: the maximum that a collector allows, so that
/// it does not disconnect hosts that are silent between schedules.
const ANNOUNCED_INTERVAL: Duration = Duration::from_secs(300);

/// Resource usage of a server without hosts.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Idle {
    /// CPU time, in milliseconds per second.
    pub cpu_ms: f64,
    /// Resident memory, in bytes.
    pub resident: u64,
}

/// Cost of a fleet to a server. Each host's reading counts as one report, even in a batch.
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    /// Reports accepted in the window.
    pub reports: u64,
    /// Reports per second in the window.
    pub rate: f64,
    /// CPU time per report, in microseconds, without that of the idle server.
    pub cpu_us: f64,
    /// Bytes per report, without protocol overhead.
    pub payload_bytes: f64,
    /// Bytes per report including the protocol above TCP.
    pub sent_bytes: f64,
    /// Resident memory per host, in bytes, without that of the idle server.
    pub memory_bytes: f64,
    /// Cost of the page with the latest values of all hosts, if measured.
    pub page: Option<PageFigures>,
    /// Deviations from the plan.
    pub problems: Vec<String>,
}

/// Runs a fleet against the server with this executable.
///
/// # Errors
/// If the server does not start, or exits early.
pub async fn measure(
    peer: &dyn Peer,
    program: &Path,
    plan: Plan,
    idle: Idle,
) -> anyhow::Result<Figures> {
    let targets = Targets::for_peer(peer, plan.kind, plan.hosts)?;
    let interval = if targets.is_some() { plan.interval() } else { ANNOUNCED_INTERVAL };
    let fleet = FleetSettings::new(plan.kind, plan.hosts, interval, targets.as_ref());
    let server = Server::start(peer, program, fleet).await?;
    let mut group = Hosts::new(targets, peer, &server, plan);
    group.connect(&server, plan).await?;
    let window = group.measure_window(&server, plan).await?;
    let mut problems = window.problems(plan);
    let reporting_hosts = group.newest().len();
    problems.extend(group.check_page(&server, plan).await?);
    let page = if peer.is_scraped() { Some(page(&server, idle).await?) } else { None };
    server.stop().await?;

    let per_report = |amount: u64| amount as f64 / window.outcome.reports.max(1) as f64;
    Ok(Figures {
        reports: window.outcome.reports,
        rate: window.outcome.reports as f64 / window.reporting.as_secs_f64(),
        cpu_us: per_report(idle.subtract_from(window.cpu, window.time).as_micros() as u64),
        payload_bytes: per_report(window.outcome.payload),
        sent_bytes: per_report(window.written),
        memory_bytes: (window.resident as f64 - idle.resident as f64)
            / reporting_hosts.max(1) as f64,
        page,
        problems,
    })
}

/// Measures the server without hosts for this long.
///
/// # Errors
/// If the server does not start, or exits.
pub async fn idle(
    peer: &dyn Peer,
    program: &Path,
    kind: FleetKind,
    time: Duration,
) -> anyhow::Result<Idle> {
    let no_fleet = FleetSettings::new(kind, 0, ANNOUNCED_INTERVAL, None);
    let server = Server::start(peer, program, no_fleet).await?;
    let (before, since) = (server.wait_until_idle().await?, Instant::now());
    sleep(time).await;
    let after = server.usage()?;
    let cpu_ms = (after.cpu - before.cpu).as_secs_f64() * 1e3 / since.elapsed().as_secs_f64();
    server.stop().await?;
    Ok(Idle { cpu_ms, resident: after.resident })
}

impl Idle {
    /// Subtracts the CPU time that the idle server uses in this time.
    #[must_use]
    pub fn subtract_from(self, cpu: Duration, time: Duration) -> Duration {
        cpu.saturating_sub(time.mul_f64(self.cpu_ms / 1e3))
    }
}
