//! Scenario `soak`: a long run with churn and scrapes. Every page must be exact, and memory and
//! open files must not grow.

use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use tokio::time::Instant;

use super::failure::Failure;
use super::scenario_run::ScenarioRun;
use super::trend::linear_rise;
use crate::cli::scenario_args::SoakArgs;
use crate::fleet::phases::MIN_ANSWERS;
use crate::plan::Plan;
use crate::progress::Progress;
use crate::results::Results;
use crate::results::quantiles::Quantiles;
use crate::tally::Tally;
use crate::usage;
use crate::worker_protocol::{BackoffPolicy, Command};

/// Interval between two judged pages of each collector.
const JUDGE_INTERVAL: Duration = Duration::from_secs(5);
/// Maximum growth of resident memory over the second half of the test, as a ratio.
const MAX_GROWTH_RATIO: f64 = 0.05;
/// Growth in bytes that is allowed even if it exceeds [`MAX_GROWTH_RATIO`].
const MAX_GROWTH_BYTES: f64 = 4.0 * 1024.0 * 1024.0;
/// Maximum increase of the number of open files since before the first agent; allows for scrapes
/// that have just ended.
const MAX_EXTRA_FILES: usize = 8;
/// How long the collector may take to close ended connections.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// Outcome of the scenario.
#[derive(Debug, Serialize)]
pub struct Soak {
    /// Sessions begun, and how they ended.
    pub sessions: Sessions,
    /// Time from the due time of a report until the collector had processed it, during churn.
    pub lag: Quantiles,
    /// Resources of each collector.
    pub collectors: Vec<CollectorUsage>,
}

/// Counts of sessions and their reports.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Sessions {
    pub begun: u64,
    pub ended_by_bye: u64,
    pub ended_by_reset: u64,
    pub reports: u64,
    pub late: u64,
}

/// Resources of a collector.
#[derive(Debug, Clone, Default, Serialize)]
pub struct CollectorUsage {
    /// Mean resident memory over the second half.
    pub resident_bytes: f64,
    /// Growth of resident memory over the second half, according to a fitted line.
    pub rise_bytes: f64,
    /// Open files before the first agent; `None` if unknown.
    pub files_before: Option<usize>,
    /// Open files after the last agent; `None` if unknown.
    pub files_after: Option<usize>,
    /// Seconds since the start of the test, and resident memory in bytes.
    #[serde(skip)]
    points: Vec<(f64, f64)>,
}

/// Runs the scenario.
///
/// # Errors
/// If the machine is too small, or a process does not start or exits.
pub async fn soak(args: &SoakArgs) -> anyhow::Result<Results> {
    let plan =
        Plan::for_scenario(&args.fleet, args.collectors, BackoffPolicy::Quick, args.fleet.flags());
    let mut run = ScenarioRun::start("soak", plan).await?;
    let files = |pid: Option<u32>| pid.and_then(usage::files);
    let of = |pid| CollectorUsage { files_before: files(pid), ..CollectorUsage::default() };
    let mut usages: Vec<_> = run.collector_pids().into_iter().map(of).collect();
    run.connect_all(&args.fleet).await?;
    run.judge_all("before").await?;
    let soaking = soak_for(&mut run, args, &mut usages).await?;
    judge_memory(&mut run, &mut usages);
    run.fleet.disconnect_all().await?;
    judge_files(&mut run, &mut usages).await?;
    let total = &run.fleet.total;
    let soak = Soak {
        sessions: Sessions {
            begun: total.welcomed,
            ended_by_bye: total.byes,
            ended_by_reset: total.resets,
            reports: total.reports,
            late: soaking.late,
        },
        lag: Quantiles::from(&soaking.times.lag),
        collectors: usages,
    };
    let settings = json!({
        "agents": args.fleet.agents,
        "collectors": args.collectors,
        "interval_seconds": args.fleet.interval().as_secs_f64(),
        "duration_seconds": args.duration.as_secs_f64(),
        "churn_percent_per_second": args.churn,
    });
    run.finish_connected(settings, soak).await
}

async fn soak_for(
    run: &mut ScenarioRun,
    args: &SoakArgs,
    usages: &mut [CollectorUsage],
) -> anyhow::Result<Tally> {
    run.fleet.record_event("churn");
    run.fleet.begin_phase("soaking");
    run.fleet.progress = Some(Progress::running("soaking", args.duration));
    run.fleet.end_phase("before soaking").await?;
    let share_per_second = args.churn / 100.0;
    run.fleet.send_all(&Command::Churn { share_per_second }).await;
    let until = Instant::now() + args.duration;
    let every = JUDGE_INTERVAL.min(args.duration / 8);
    let mut next = Instant::now();
    while next < until {
        next = (next + every).min(until);
        run.fleet.wait_until(next, |_| false).await?;
        run.judge_all("soaking").await?;
        let now = run.fleet.now().as_secs_f64();
        for (usages, pid) in usages.iter_mut().zip(run.collector_pids()) {
            let usage = pid.and_then(usage::of);
            usages.points.extend(usage.map(|usage| (now, usage.resident as f64)));
        }
    }
    run.fleet.send_all(&Command::Churn { share_per_second: 0.0 }).await;
    let counts = run.fleet.end_measured_phase("soaking", MIN_ANSWERS).await?;
    run.fleet.check_returns("soaking", args.churn, &counts);
    Ok(counts)
}

fn judge_memory(run: &mut ScenarioRun, usages: &mut [CollectorUsage]) {
    for (collector, usages) in usages.iter_mut().enumerate() {
        let half = &usages.points[usages.points.len() / 2..];
        if half.is_empty() {
            run.add_findings("memory", [Failure::NothingMeasured { what: "memory" }]);
            continue;
        }
        usages.resident_bytes = half.iter().map(|point| point.1).sum::<f64>() / half.len() as f64;
        usages.rise_bytes = linear_rise(half);
        let bound_bytes = MAX_GROWTH_BYTES.max(usages.resident_bytes * MAX_GROWTH_RATIO);
        let rise_bytes = usages.rise_bytes;
        if rise_bytes > bound_bytes {
            let grows = Failure::MemoryGrows { collector, rise_bytes, bound_bytes };
            run.add_findings("memory", [grows]);
        }
        run.fleet.verdict.checked("memory trends", 1);
    }
}

/// Checks open files after all agents have disconnected.
async fn judge_files(run: &mut ScenarioRun, usages: &mut [CollectorUsage]) -> anyhow::Result<()> {
    run.fleet.begin_phase("waiting for files to be closed");
    let until = Instant::now() + CLOSE_TIMEOUT;
    for (collector, usages) in usages.iter_mut().enumerate() {
        loop {
            let pid = run.fleet.collectors[collector].pid();
            usages.files_after = pid.and_then(usage::files);
            match files_left(collector, usages) {
                Err(Failure::FilesLeak { .. }) if Instant::now() < until => {}
                Ok(()) => break run.fleet.verdict.checked("open files", 1),
                Err(failure) => break run.add_findings("files", [failure]),
            }
            run.fleet.wait(Duration::from_millis(250)).await?;
        }
    }
    Ok(())
}

/// Checks that a collector has closed the files of its agents. An unknown count is a finding.
fn files_left(collector: usize, usages: &CollectorUsage) -> Result<(), Failure> {
    let Some((before, after)) = usages.files_before.zip(usages.files_after) else {
        return Err(Failure::NothingMeasured { what: "open files" });
    };
    let leak = Failure::FilesLeak { collector, before, after };
    if after > before + MAX_EXTRA_FILES { Err(leak) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_open_files_are_a_finding() {
        let left = |before, after| {
            let usages = CollectorUsage {
                files_before: before,
                files_after: after,
                ..CollectorUsage::default()
            };
            files_left(0, &usages)
        };
        assert_eq!(left(Some(5), Some(5 + MAX_EXTRA_FILES)), Ok(()));
        assert!(matches!(left(Some(5), Some(6 + MAX_EXTRA_FILES)), Err(Failure::FilesLeak { .. })));
        for (before, after) in [(None, Some(5)), (Some(5), None), (None, None)] {
            assert!(matches!(left(before, after), Err(Failure::NothingMeasured { .. })));
        }
    }
}
