//! What every scenario does: start a fleet, bring it up, have pages judged, send it home, and say how it was.

use std::time::Duration;

use anyhow::Context;
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;

use super::args::SceneArgs;
use super::failure::Failure;
use crate::child::Collector;
use crate::finding::Finding;
use crate::fleet::Fleet;
use crate::judge::{GONE_HERD, SETTLED};
use crate::orders::{Command, Inspected, Numbers, Order};
use crate::plan::Plan;
use crate::progress::Progress;
use crate::results::{Began, Results};
use crate::room;
use crate::tally::Causes;

/// How long agents may take to connect and report after the last one was started.
const PATIENCE: Duration = Duration::from_secs(30);
/// On top of what the judge grants, so that a page is judged to the full.
const MARGIN: Duration = Duration::from_millis(100);
/// How long a page may take to come, or agents to leave: longer than a scrape.
const OVERDUE: Duration = Duration::from_secs(20);

/// A scenario under way.
pub(super) struct Scene {
    pub(super) fleet: Fleet,
    plan: Plan,
    began: Began,
}

impl Scene {
    /// Starts collectors, and a worker for each.
    pub(super) async fn start(scenario: &'static str, plan: Plan) -> anyhow::Result<Self> {
        let mut scene = Self::without_workers(scenario, plan).await?;
        for order in scene.plan.orders(&scene.fleet.collectors) {
            scene.fleet.hire(&order, &[]).await?;
        }
        Ok(scene)
    }

    /// Starts collectors.
    pub(super) async fn without_workers(
        scenario: &'static str,
        plan: Plan,
    ) -> anyhow::Result<Self> {
        let began = Began::now(scenario);
        room::raise_file_limit().context("raising the limit on open files")?;
        room::check(&plan)?;
        Ok(Self { fleet: Fleet::without_workers(&plan).await?, plan, began })
    }

    /// Orders for workers that share the first collector, each simulating some of its agents; by the same seed.
    pub(super) fn orders(&self) -> anyhow::Result<impl Fn(Numbers) -> Order + use<>> {
        let orders = self.plan.orders(&self.fleet.collectors);
        let all = orders.into_iter().next().context("no collector")?;
        Ok(move |agents: Numbers| Order { agents, marks_from: agents.first, ..all.clone() })
    }

    /// Connects everybody, and waits until they have reported and a page must show them.
    pub(super) async fn bring_up(&mut self, args: &SceneArgs) -> anyhow::Result<()> {
        self.fleet.all_ready().await?;
        self.fleet.note("agents come");
        self.fleet.progress = Some(Progress::of_ramp(args.agents));
        let per_second = args.ramp / self.fleet.workers() as f64;
        self.fleet.tell_all(&Command::Ramp { per_second }).await;
        let ramp = Duration::from_secs_f64(f64::from(args.agents) / args.ramp);
        let (agents, deadline) = (args.agents, Instant::now() + ramp + PATIENCE);
        if !self.fleet.until(deadline, |fleet| fleet.reporting() >= agents).await? {
            let missing = agents.saturating_sub(self.fleet.reporting());
            let finding = Finding::NotConnected { agents: missing, of: agents };
            self.fleet.verdict.add("after the ramp", [finding]);
        }
        self.settle().await
    }

    /// Waits until a page must show what was reported last.
    pub(super) async fn settle(&mut self) -> anyhow::Result<()> {
        self.fleet.wait(SETTLED + MARGIN).await
    }

    /// Has a page of every worker's collector judged; the pages that came, with their workers. One that does not
    /// come is a finding.
    pub(super) async fn judge_all(
        &mut self,
        what: &str,
    ) -> anyhow::Result<Vec<(usize, Inspected)>> {
        let working = |worker: &usize| !self.fleet.is_dismissed(*worker);
        let workers: Vec<_> = (0..self.fleet.workers()).filter(working).collect();
        self.judge(&workers, what).await
    }

    /// The same of some workers.
    pub(super) async fn judge(
        &mut self,
        workers: &[usize],
        what: &str,
    ) -> anyhow::Result<Vec<(usize, Inspected)>> {
        for worker in workers {
            self.fleet.inspect(*worker, what).await;
        }
        let none = |fleet: &Fleet| !fleet.awaits_pages();
        self.fleet.until(Instant::now() + OVERDUE, none).await?;
        let mut came = Vec::new();
        for (worker, page) in std::mem::take(&mut self.fleet.inspected) {
            if let Some(why) = page.error {
                self.fleet.verdict.add("scraping", [Finding::ScrapeFailed { why }]);
            } else {
                came.push((worker, page));
            }
        }
        Ok(came)
    }

    /// Adds what the scenario has found.
    pub(super) fn found(&mut self, when: &str, failures: impl IntoIterator<Item = Failure>) {
        self.fleet.verdict.add(when, failures);
    }

    /// Whatever sessions the collectors have ended since there were so many is a finding.
    pub(super) fn find_ended_since(&mut self, when: &str, before: &Causes) {
        let own_lag_ms = self.fleet.total.times.own_lag.longest_ms();
        for (why, sessions) in self.fleet.total.ended.clone() {
            let sessions = sessions - before.get(&why).copied().unwrap_or(0);
            if sessions > 0 {
                let finding = Finding::SessionsEnded { sessions, why, own_lag_ms };
                self.fleet.verdict.add(when, [finding]);
            }
        }
    }

    /// The collectors' processes.
    pub(super) fn pids(&self) -> Vec<Option<u32>> {
        self.fleet.collectors.iter().map(Collector::pid).collect()
    }

    /// Sends the fleet home and has the empty pages judged.
    pub(super) async fn leave(&mut self) -> anyhow::Result<()> {
        self.fleet.note("agents leave");
        self.fleet.progress = Some(Progress::of_time("leaving", Duration::ZERO));
        self.fleet.tell_all(&Command::Finish).await;
        let left = |fleet: &Fleet| (0..fleet.workers()).all(|worker| fleet.has_left(worker));
        self.fleet.until(Instant::now() + OVERDUE, left).await?;
        self.fleet.wait(GONE_HERD + MARGIN).await?;
        self.judge_all("after all have left").await?;
        self.fleet.progress = None;
        Ok(())
    }

    /// Stops everything and sums up.
    pub(super) async fn sum_up(
        mut self,
        settings: Value,
        figures: impl Serialize,
    ) -> anyhow::Result<Results> {
        self.fleet.end().await;
        let timeline = self.fleet.take_timeline();
        self.began.results(settings, self.fleet.verdict, figures, timeline)
    }

    /// Both.
    pub(super) async fn finish(
        mut self,
        settings: Value,
        figures: impl Serialize,
    ) -> anyhow::Result<Results> {
        self.leave().await?;
        self.sum_up(settings, figures).await
    }
}
