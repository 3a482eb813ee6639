//! A run: connects a fleet, lets it report, judges pages meanwhile, disconnects it, and judges
//! again.

mod summarize;
pub mod summary;

use std::time::Duration;

use anyhow::Context;
use fleetgauge_common::file_limit;
use serde_json::json;
use tokio::time::Instant;

use crate::cli::FleetArgs;
use crate::fleet::Fleet;
use crate::fleet::phases::MIN_ANSWERS;
use crate::judge::finding::Finding;
use crate::plan::Plan;
use crate::preflight;
use crate::progress::Progress;
use crate::results::{Results, ResultsBuilder};
use crate::scrape::SERIES_TIME;
use crate::tally::Tally;
use crate::usage::Usage;
use crate::worker_protocol::{BackoffPolicy, Command, PageResult};
use summary::Summary;

/// Interval between two checkpoints (judged pages) of a collector. With many collectors or large
/// pages it is extended to the time that fetching all pages takes, one after another. In a short
/// run it is a quarter of the run, but at least one second.
const CHECKPOINT_PERIOD: Duration = Duration::from_secs(5);
/// Time between the checkpoints of two collectors.
const CHECKPOINT_PERIOD_EACH: Duration = Duration::from_millis(250);
/// How long collectors get to release memory after all agents have disconnected. In a short run it
/// is the duration of the run.
const MEMORY_RELEASE_TIME: Duration = Duration::from_secs(10);
/// Resource usage at the boundary of two phases.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct UsageSnapshot {
    pub(crate) at: Duration,
    pub(crate) reports: u64,
    pub(crate) collectors: Option<Usage>,
    pub(crate) workers: Option<Usage>,
}

/// A run in progress, and its measurements.
pub(crate) struct Run<'a> {
    pub(crate) args: &'a FleetArgs,
    /// Percentage of the agents that disconnects per second.
    pub(crate) churn: f64,
    pub(crate) fleet: Fleet,
    pub(crate) collectors: usize,
    /// Number of agents that had reported by the end of the ramp.
    pub(crate) agents_connected: u32,
    /// Usage before the first agent connected.
    pub(crate) before: UsageSnapshot,
    /// Usage when every agent had connected and reported.
    pub(crate) connected: UsageSnapshot,
    /// Usage at the beginning and at the end of the steady phase.
    pub(crate) steady: (UsageSnapshot, UsageSnapshot),
    /// Counts of events in the steady phase.
    pub(crate) in_steady: Tally,
    /// Usage after all agents have disconnected and the collectors have released memory.
    pub(crate) gone: UsageSnapshot,
    /// Pages judged in the steady phase.
    pub(crate) checkpoints: Vec<PageResult>,
}

/// Runs a fleet. `churn` is the percentage of agents that disconnect per second.
///
/// # Errors
/// If the machine is too small, or a process does not start or exits. Failed checks are in the
/// verdict of the results.
pub async fn run(scenario: &'static str, args: &FleetArgs, churn: f64) -> anyhow::Result<Results> {
    let results = ResultsBuilder::start(scenario);
    file_limit::raise().context("cannot raise the limit on open files")?;
    let plan = Plan::new(args, BackoffPolicy::Quick);
    preflight::check(&plan)?;
    let mut run = Run::new(args, churn, Fleet::start(&plan).await?);
    run.connect().await?;
    run.report().await?;
    run.leave().await?;
    run.fleet.stop().await?;
    let (figures, timeline) = (Summary::of(&run), run.fleet.take_timeline());
    let settings = plan.with_settings(settings(args, churn));
    results.finish(settings, run.fleet.verdict, figures, timeline)
}

fn settings(args: &FleetArgs, churn: f64) -> serde_json::Value {
    json!({
        "agents": args.agents,
        "collectors": args.collectors.max(args.collector.len()),
        "interval_seconds": args.interval.as_secs_f64(),
        "duration_seconds": args.duration.as_secs_f64(),
        "ramp_per_second": args.ramp(),
        "churn_percent_per_second": churn,
    })
}

impl<'a> Run<'a> {
    fn new(args: &'a FleetArgs, churn: f64, fleet: Fleet) -> Self {
        let mut run = Self {
            args,
            churn,
            collectors: fleet.worker_count(),
            fleet,
            agents_connected: 0,
            before: UsageSnapshot::default(),
            connected: UsageSnapshot::default(),
            steady: Default::default(),
            in_steady: Tally::default(),
            gone: UsageSnapshot::default(),
            checkpoints: Vec::new(),
        };
        run.before = run.snapshot();
        run
    }

    fn snapshot(&self) -> UsageSnapshot {
        UsageSnapshot {
            at: self.fleet.now(),
            reports: self.fleet.total.reports,
            collectors: self.fleet.collectors_usage(),
            workers: self.fleet.workers_usage(),
        }
    }

    async fn connect(&mut self) -> anyhow::Result<()> {
        self.before.at = self.fleet.now();
        self.fleet.connect_all(self.args.agents, self.args.ramp()).await?;
        self.connected = self.snapshot();
        self.agents_connected = self.fleet.reporting();
        self.fleet.settle().await?;
        // By now the memory of the last handshakes has been freed.
        let settled = self.snapshot();
        (self.connected.collectors, self.connected.workers) = (settled.collectors, settled.workers);
        Ok(())
    }

    async fn report(&mut self) -> anyhow::Result<()> {
        self.fleet.progress = Some(Progress::running("reporting", self.args.duration));
        let share_per_second = self.churn / 100.0;
        self.fleet.begin_phase("reporting");
        self.fleet.end_phase("before the steady phase").await?;
        self.fleet.send_all(&Command::Churn { share_per_second }).await;
        self.fleet.record_event("all connected");
        self.steady.0 = self.snapshot();
        let began = Instant::now();
        let workers = self.fleet.worker_count();
        let series = self.args.agents as usize / workers * self.args.hosts.profile.series();
        let page = SERIES_TIME * u32::try_from(series).unwrap_or(u32::MAX);
        for (after, worker, round) in checkpoints(self.args.duration, workers, page) {
            self.fleet.wait_until(began + after, |_| false).await?;
            self.fleet.request_page(worker, &format!("checkpoint {round}")).await;
        }
        self.fleet.send_all(&Command::Churn { share_per_second: 0.0 }).await;
        let pages = self.fleet.collect_pages().await?;
        let steady = "in the steady phase";
        self.in_steady = self.fleet.end_measured_phase(steady, MIN_ANSWERS).await?;
        self.fleet.check_returns(steady, self.churn, &self.in_steady);
        self.steady.1 = self.snapshot();
        let mut judged = vec![false; self.fleet.worker_count()];
        for (worker, page) in pages {
            judged[worker] = true;
            self.checkpoints.push(page);
        }
        if judged.contains(&false) {
            self.fleet.verdict.add("at the end", [Finding::NoCheckpoint]);
        }
        Ok(())
    }

    async fn leave(&mut self) -> anyhow::Result<()> {
        self.fleet.disconnect_all().await?;
        self.fleet.begin_phase("waiting for memory to be released");
        self.fleet.wait(MEMORY_RELEASE_TIME.min(self.args.duration)).await?;
        self.gone = self.snapshot();
        Ok(())
    }
}

/// Schedules the checkpoints: time since the start of the steady phase, worker and round of each.
/// Spreads them evenly, so that collectors are not scraped at the same time.
/// `page` is the time to fetch and judge a page.
fn checkpoints(duration: Duration, workers: usize, page: Duration) -> Vec<(Duration, usize, u32)> {
    let workers = u32::try_from(workers).unwrap_or(u32::MAX);
    let period = CHECKPOINT_PERIOD.max(CHECKPOINT_PERIOD_EACH.max(page) * workers);
    let period = period.min(duration / 4).max(Duration::from_secs(1));
    // An incomplete last round fetches its remaining pages together, at the end. Skip it for large
    // pages: they would exceed the scrape timeout.
    let rounds = if page > CHECKPOINT_PERIOD_EACH {
        duration.as_nanos() / period.as_nanos()
    } else {
        duration.as_nanos().div_ceil(period.as_nanos())
    };
    let rounds = 1..=u32::try_from(rounds).unwrap_or(u32::MAX);
    let at = |round: u32, worker: u32| period * (round - 1) + period * (worker + 1) / workers;
    let every = rounds.flat_map(|round| (0..workers).map(move |worker| (round, worker)));
    every.map(|(round, worker)| (at(round, worker).min(duration), worker as usize, round)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: Duration = Duration::from_millis(90);

    #[test]
    fn large_pages_are_fetched_one_after_another() {
        let page = Duration::from_secs(8);
        let at = checkpoints(Duration::from_secs(300), 6, page);
        assert_eq!(at.len(), 6 * 6);
        for pair in at.windows(2) {
            assert_eq!(pair[1].0 - pair[0].0, page);
        }
    }

    #[test]
    fn checkpoints_are_every_five_seconds_and_at_the_end() {
        let at: Vec<_> =
            checkpoints(Duration::from_secs(61), 1, PAGE).iter().map(|at| at.0).collect();
        let expected: Vec<_> = (1..=12).map(|n| Duration::from_secs(5 * n)).collect();
        assert_eq!(at[..12], expected);
        assert_eq!(at[12..], [Duration::from_secs(61)]);
    }

    #[test]
    fn checkpoints_of_many_collectors_are_staggered() {
        let at = checkpoints(Duration::from_secs(300), 56, PAGE);
        assert_eq!(at.len(), 22 * 56);
        assert!(at.is_sorted());
        for pair in at[..21 * 56].windows(2) {
            assert_eq!(pair[1].0 - pair[0].0, Duration::from_millis(250));
        }
        let last_sample = &at[at.len() - 56..];
        assert!(last_sample.iter().map(|checkpoint| checkpoint.1).eq(0..56));
    }

    #[test]
    fn a_short_run_has_checkpoints_too() {
        for (seconds, workers) in [(1, 1), (1, 3), (4, 2)] {
            let at = checkpoints(Duration::from_secs(seconds), workers, PAGE);
            assert_eq!(at.len(), seconds as usize * workers);
        }
    }
}
