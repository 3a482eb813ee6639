//! Measures what it costs a sender to forward.

use std::path::Path;
use std::time::Duration;

use fleetgauge_receiver::Ledger;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::args::Plan;
use super::process::Process;
use super::rig::Rig;
use super::sender::Sender;
use crate::measure::Idle;

/// Time that a program without hosts gets to start.
const IDLE_START: Duration = Duration::from_secs(2);
/// Share of the samples below which the measurement is a problem.
const MIN_SHARE: f64 = 0.95;

/// What it costs to forward. Samples that the sender adds for each host count.
#[derive(Debug, Clone, Serialize)]
pub struct Cost {
    /// Samples that the engine received in the window.
    pub samples: u64,
    /// Samples per second.
    pub rate: f64,
    /// CPU time of the sender per sample, in microseconds, without that of the idle program.
    pub cpu_us: f64,
    /// Bytes of the compressed requests per sample.
    pub bytes: f64,
    /// Samples per request.
    pub samples_per_request: f64,
    /// Peak of the resident memory up to the end of the window, in bytes.
    pub peak_bytes: f64,
    /// Resident memory at the end of the window per series, without that of the idle program.
    pub bytes_per_series: f64,
    /// Deviations from the plan.
    pub problems: Vec<String>,
}

/// What the engine has received.
#[derive(Debug, Clone, Copy, Default)]
struct Received {
    samples: u64,
    bytes: u64,
    requests: u64,
}

impl Received {
    fn of(ledger: &Ledger) -> Self {
        let stored = ledger.samples_total().saturating_sub(ledger.markers_total());
        let samples = stored.saturating_add(ledger.repeated_total());
        Self { samples, bytes: ledger.bytes_total(), requests: ledger.requests_total() }
    }
}

/// Measures the program without hosts for this long.
///
/// # Errors
/// If it does not start.
pub(super) async fn idle(
    sender: &Sender,
    program: &Path,
    plan: Plan,
    time: Duration,
) -> anyhow::Result<Idle> {
    // Nothing listens there, and there is nothing to forward.
    let url = "http://127.0.0.1:9/api/v1/write";
    let process = Process::start(sender, program, Plan { hosts: 0, ..plan }, 0, url).await?;
    sleep(IDLE_START).await;
    let (before, since) = (process.usage()?, Instant::now());
    sleep(time).await;
    let after = process.usage()?;
    let cpu = after.cpu.saturating_sub(before.cpu);
    let cpu_ms = cpu.as_secs_f64() * 1e3 / since.elapsed().as_secs_f64();
    Ok(Idle { cpu_ms, resident: after.resident })
}

/// Measures a running sender.
///
/// # Errors
/// If it has exited.
pub(super) async fn cost(rig: &Rig<'_>, idle: Idle) -> anyhow::Result<Cost> {
    let plan = rig.plan;
    let received = || Received::of(&rig.receiver.ledger());
    let (before, used, since) = (received(), rig.process.usage()?, Instant::now());
    sleep(plan.window).await;
    let (after, usage, time) = (received(), rig.process.usage()?, since.elapsed());
    let samples = after.samples - before.samples;
    let per_sample = |amount: f64| amount / samples.max(1) as f64;
    let cpu = idle.subtract_from(usage.cpu.saturating_sub(used.cpu), time);
    let requests = (after.requests - before.requests).max(1);
    let expected = plan.series() as f64 * time.as_secs_f64() / plan.interval.as_secs_f64();
    let mut problems = Vec::new();
    if (samples as f64) < MIN_SHARE * expected {
        problems.push(format!("{samples} samples of {expected:.0} in the window"));
    }
    Ok(Cost {
        samples,
        rate: samples as f64 / time.as_secs_f64(),
        cpu_us: per_sample(cpu.as_secs_f64() * 1e6),
        bytes: per_sample((after.bytes - before.bytes) as f64),
        samples_per_request: samples as f64 / requests as f64,
        peak_bytes: rig.process.peak()? as f64,
        bytes_per_series: (usage.resident as f64 - idle.resident as f64)
            / plan.series().max(1) as f64,
        problems,
    })
}
