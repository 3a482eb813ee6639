//! A run: connect a fleet, let it report, judge pages meanwhile, send it home, judge once more.

use std::time::Duration;

use anyhow::Context;
use serde_json::json;
use tokio::time::Instant;

use crate::cli::FleetArgs;
use crate::finding::Finding;
use crate::fleet::Fleet;
use crate::orders::{Command, Inspected, Retry};
use crate::parts::SOME;
use crate::plan::Plan;
use crate::progress::Progress;
use crate::results::{Began, Results};
use crate::room;
use crate::summary::Summary;
use crate::tally::Tally;
use crate::usage::Usage;

/// Between two checkpoints of a collector, or so long for each of many collectors; in a short run
/// a quarter of it,
/// and never less than a second.
const CHECKPOINT_PERIOD: Duration = Duration::from_secs(5);
const CHECKPOINT_PERIOD_EACH: Duration = Duration::from_millis(250);
/// How long collectors get to give memory back when all have left; in a short run as long as that lasted.
const GIVE_BACK: Duration = Duration::from_secs(10);
/// What was measured between the beginning and the end of a part of the run.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Mark {
    pub(crate) at: Duration,
    pub(crate) reports: u64,
    pub(crate) collectors: Option<Usage>,
    pub(crate) workers: Option<Usage>,
}

/// A run that is under way, and what it has measured.
pub(crate) struct Run<'a> {
    pub(crate) args: &'a FleetArgs,
    /// Percent of the agents that leave in a second.
    pub(crate) churn: f64,
    pub(crate) fleet: Fleet,
    pub(crate) collectors: usize,
    /// Agents that had reported after the ramp.
    pub(crate) agents_connected: u32,
    /// Before the first agent.
    pub(crate) before: Mark,
    /// When every agent that would had reported.
    pub(crate) connected: Mark,
    /// The steady part.
    pub(crate) steady: (Mark, Mark),
    /// What was counted in it.
    pub(crate) in_steady: Tally,
    /// When all had left and collectors had had the time to give memory back.
    pub(crate) gone: Mark,
    /// Pages judged while the fleet was reporting.
    pub(crate) checkpoints: Vec<Inspected>,
}

/// Does it all. `churn` is the percentage of agents that leaves in a second.
///
/// # Errors
/// What keeps a run from being made: no room, no collector, a worker that ended. What is wrong with a run that was
/// made is in the results' verdict.
pub async fn run(scenario: &'static str, args: &FleetArgs, churn: f64) -> anyhow::Result<Results> {
    let began = Began::now(scenario);
    room::raise_file_limit().context("raising the limit on open files")?;
    let plan = Plan::new(args, Retry::Quick)?;
    room::check(&plan)?;
    let mut run = Run::new(args, churn, Fleet::start(&plan).await?);
    run.connect().await?;
    run.report().await?;
    run.leave().await?;
    run.fleet.end().await?;
    let (figures, timeline) = (Summary::of(&run), run.fleet.take_timeline());
    let settings = plan.with_settings(settings(args, churn));
    began.results(settings, run.fleet.verdict, figures, timeline)
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
            collectors: fleet.workers(),
            fleet,
            agents_connected: 0,
            before: Mark::default(),
            connected: Mark::default(),
            steady: Default::default(),
            in_steady: Tally::default(),
            gone: Mark::default(),
            checkpoints: Vec::new(),
        };
        run.before = run.mark();
        run
    }

    fn mark(&self) -> Mark {
        Mark {
            at: self.fleet.now(),
            reports: self.fleet.total.reports,
            collectors: self.fleet.collectors_usage(),
            workers: self.fleet.workers_usage(),
        }
    }

    async fn connect(&mut self) -> anyhow::Result<()> {
        self.before.at = self.fleet.now();
        self.fleet.bring_up(self.args.agents, self.args.ramp()).await?;
        self.connected = self.mark();
        self.agents_connected = self.fleet.reporting();
        self.fleet.settle().await?;
        // What the last handshakes left behind has been put away by now.
        let settled = self.mark();
        (self.connected.collectors, self.connected.workers) = (settled.collectors, settled.workers);
        Ok(())
    }

    async fn report(&mut self) -> anyhow::Result<()> {
        self.fleet.progress = Some(Progress::of_time("reporting", self.args.duration));
        let share_per_second = self.churn / 100.0;
        self.fleet.begin_part("reporting");
        self.fleet.end_part("before the steady part").await?;
        self.fleet.tell_all(&Command::Churn { share_per_second }).await;
        self.fleet.note("all are there");
        self.steady.0 = self.mark();
        let began = Instant::now();
        for (after, worker, round) in checkpoints(self.args.duration, self.fleet.workers()) {
            self.fleet.until(began + after, |_| false).await?;
            self.fleet.inspect(worker, &format!("checkpoint {round}")).await;
        }
        self.fleet.tell_all(&Command::Churn { share_per_second: 0.0 }).await;
        let pages = self.fleet.pages().await?;
        let all_there = "while all were there";
        self.in_steady = self.fleet.end_measured_part(all_there, SOME).await?;
        self.fleet.find_no_returns(all_there, self.churn, &self.in_steady);
        self.steady.1 = self.mark();
        let mut judged = vec![false; self.fleet.workers()];
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
        self.fleet.send_home().await?;
        self.fleet.begin_part("waiting for memory to be given back");
        self.fleet.wait(GIVE_BACK.min(self.args.duration)).await?;
        self.gone = self.mark();
        Ok(())
    }
}

/// When which worker's page is judged, from the beginning of the steady part, and in which round: spread so that
/// collectors are not scraped together.
fn checkpoints(duration: Duration, workers: usize) -> Vec<(Duration, usize, u32)> {
    let workers = u32::try_from(workers).unwrap_or(u32::MAX);
    let period = CHECKPOINT_PERIOD.max(CHECKPOINT_PERIOD_EACH * workers);
    let period = period.min(duration / 4).max(Duration::from_secs(1));
    let rounds = duration.as_nanos().div_ceil(period.as_nanos());
    let rounds = 1..=u32::try_from(rounds).unwrap_or(u32::MAX);
    let at = |round: u32, worker: u32| period * (round - 1) + period * (worker + 1) / workers;
    let every = rounds.flat_map(|round| (0..workers).map(move |worker| (round, worker)));
    every.map(|(round, worker)| (at(round, worker).min(duration), worker as usize, round)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_judged_every_five_seconds_and_at_the_end() {
        let at: Vec<_> = checkpoints(Duration::from_secs(61), 1).iter().map(|at| at.0).collect();
        let expected: Vec<_> = (1..=12).map(|n| Duration::from_secs(5 * n)).collect();
        assert_eq!(at[..12], expected);
        assert_eq!(at[12..], [Duration::from_secs(61)]);
    }

    #[test]
    fn many_collectors_are_scraped_one_after_the_other() {
        let at = checkpoints(Duration::from_secs(300), 56);
        assert_eq!(at.len(), 22 * 56);
        assert!(at.is_sorted());
        for pair in at[..21 * 56].windows(2) {
            assert_eq!(pair[1].0 - pair[0].0, Duration::from_millis(250));
        }
        let last = &at[at.len() - 56..];
        assert!(last.iter().map(|checkpoint| checkpoint.1).eq(0..56));
    }

    #[test]
    fn a_short_run_is_judged_too() {
        for (seconds, workers) in [(1, 1), (1, 3), (4, 2)] {
            let at = checkpoints(Duration::from_secs(seconds), workers);
            assert_eq!(at.len(), seconds as usize * workers);
        }
    }
}
