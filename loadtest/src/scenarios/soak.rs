//! A long run with churn and scrapes: every page exact, memory that does not grow, no file left
//! open.

use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use tokio::time::Instant;

use super::args::SoakArgs;
use super::failure::Failure;
use super::scene::Scene;
use super::trend::rise;
use crate::orders::{Command, Retry};
use crate::parts::SOME;
use crate::progress::Progress;
use crate::results::Results;
use crate::summary::Quantiles;
use crate::tally::Tally;
use crate::usage;

/// Between two pages that are judged of each collector.
const JUDGED_EVERY: Duration = Duration::from_secs(5);
/// What memory may grow by over the second half: this share of what it is, or so many bytes.
const GROWTH: f64 = 0.05;
const GROWTH_BYTES: f64 = 4.0 * 1024.0 * 1024.0;
/// Files that may be open beyond those before the first agent: those of scrapes that have just
/// ended.
const FILES: usize = 8;
/// How long connections that have ended may take to be put away.
const FILES_WITHIN: Duration = Duration::from_secs(10);

/// What a long run was like.
#[derive(Debug, Serialize)]
pub struct Soak {
    /// Sessions begun, and how they ended.
    pub sessions: Sessions,
    /// From when a report was due to when the collector had taken it in, while agents came and
    /// went.
    pub lag: Quantiles,
    /// What each collector had.
    pub collectors: Vec<Held>,
}

/// Sessions of a soak.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Sessions {
    pub begun: u64,
    pub ended_by_bye: u64,
    pub ended_by_reset: u64,
    pub reports: u64,
    pub late: u64,
}

/// What a collector held.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Held {
    /// Resident memory, on average over the second half.
    pub resident_bytes: f64,
    /// By how much the line through it rises over the second half.
    pub rise_bytes: f64,
    /// Files open before the first agent, if the system says so.
    pub files_before: Option<usize>,
    /// Files open after the last agent, if the system says so.
    pub files_after: Option<usize>,
    /// Resident memory, by seconds from the beginning.
    #[serde(skip)]
    points: Vec<(f64, f64)>,
}

/// Does it all.
///
/// # Errors
/// What keeps it from being done: no room, no collector, a worker that ended.
pub async fn soak(args: &SoakArgs) -> anyhow::Result<Results> {
    let plan = args.fleet.plan(args.spread.collectors, Retry::Quick, args.fleet.flags());
    let mut scene = Scene::start("soak", plan).await?;
    let files = |pid: Option<u32>| pid.and_then(usage::files);
    let of = |pid| Held { files_before: files(pid), ..Held::default() };
    let mut held: Vec<_> = scene.pids().into_iter().map(of).collect();
    scene.bring_up(&args.fleet).await?;
    scene.judge_all("before").await?;
    let soaking = soak_for(&mut scene, args, &mut held).await?;
    judge_memory(&mut scene, &mut held);
    scene.fleet.send_home().await?;
    judge_files(&mut scene, &mut held).await?;
    let total = &scene.fleet.total;
    let soak = Soak {
        sessions: Sessions {
            begun: total.welcomed,
            ended_by_bye: total.byes,
            ended_by_reset: total.resets,
            reports: total.reports,
            late: soaking.late,
        },
        lag: Quantiles::from(&soaking.times.lag),
        collectors: held,
    };
    let settings = json!({
        "agents": args.fleet.agents,
        "collectors": args.spread.collectors,
        "interval_seconds": args.fleet.interval().as_secs_f64(),
        "duration_seconds": args.duration.as_secs_f64(),
        "churn_percent_per_second": args.churn,
    });
    scene.sum_up(settings, soak).await
}

async fn soak_for(scene: &mut Scene, args: &SoakArgs, held: &mut [Held]) -> anyhow::Result<Tally> {
    scene.fleet.note("churn");
    scene.fleet.begin_part("soaking");
    scene.fleet.progress = Some(Progress::of_time("soaking", args.duration));
    scene.fleet.end_part("before soaking").await?;
    let share_per_second = args.churn / 100.0;
    scene.fleet.tell_all(&Command::Churn { share_per_second }).await;
    let until = Instant::now() + args.duration;
    let every = JUDGED_EVERY.min(args.duration / 8);
    let mut next = Instant::now();
    while next < until {
        next = (next + every).min(until);
        scene.fleet.until(next, |_| false).await?;
        scene.judge_all("soaking").await?;
        let now = scene.fleet.now().as_secs_f64();
        for (held, pid) in held.iter_mut().zip(scene.pids()) {
            let usage = pid.and_then(usage::of);
            held.points.extend(usage.map(|usage| (now, usage.resident as f64)));
        }
    }
    scene.fleet.tell_all(&Command::Churn { share_per_second: 0.0 }).await;
    let counts = scene.fleet.end_measured_part("soaking", SOME).await?;
    scene.fleet.find_no_returns("soaking", args.churn, &counts);
    Ok(counts)
}

fn judge_memory(scene: &mut Scene, held: &mut [Held]) {
    for (collector, held) in held.iter_mut().enumerate() {
        let half = &held.points[held.points.len() / 2..];
        if half.is_empty() {
            scene.found("memory", [Failure::NothingMeasured { what: "memory" }]);
            continue;
        }
        held.resident_bytes = half.iter().map(|point| point.1).sum::<f64>() / half.len() as f64;
        held.rise_bytes = rise(half);
        let bound_bytes = GROWTH_BYTES.max(held.resident_bytes * GROWTH);
        let rise_bytes = held.rise_bytes;
        if rise_bytes > bound_bytes {
            let grows = Failure::MemoryGrows { collector, rise_bytes, bound_bytes };
            scene.found("memory", [grows]);
        }
        scene.fleet.verdict.checked("memory trends", 1);
    }
}

/// After all have left.
async fn judge_files(scene: &mut Scene, held: &mut [Held]) -> anyhow::Result<()> {
    scene.fleet.begin_part("waiting for files to be closed");
    let until = Instant::now() + FILES_WITHIN;
    for (collector, held) in held.iter_mut().enumerate() {
        loop {
            let pid = scene.fleet.collectors[collector].pid();
            held.files_after = pid.and_then(usage::files);
            match files_left(collector, held) {
                Err(Failure::FilesLeak { .. }) if Instant::now() < until => {}
                Ok(()) => break scene.fleet.verdict.checked("open files", 1),
                Err(failure) => break scene.found("files", [failure]),
            }
            scene.fleet.wait(Duration::from_millis(250)).await?;
        }
    }
    Ok(())
}

/// Whether a collector has closed the files of its agents. It is not known without both counts.
fn files_left(collector: usize, held: &Held) -> Result<(), Failure> {
    let Some((before, after)) = held.files_before.zip(held.files_after) else {
        return Err(Failure::NothingMeasured { what: "open files" });
    };
    let leak = Failure::FilesLeak { collector, before, after };
    if after > before + FILES { Err(leak) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_files_that_nobody_can_count_are_no_success() {
        let left = |before, after| {
            let held = Held { files_before: before, files_after: after, ..Held::default() };
            files_left(0, &held)
        };
        assert_eq!(left(Some(5), Some(5 + FILES)), Ok(()));
        assert!(matches!(left(Some(5), Some(6 + FILES)), Err(Failure::FilesLeak { .. })));
        for (before, after) in [(None, Some(5)), (Some(5), None), (None, None)] {
            assert!(matches!(left(before, after), Err(Failure::NothingMeasured { .. })));
        }
    }
}
