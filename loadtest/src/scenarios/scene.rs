//! What every scenario does: start a fleet, bring it up, have pages judged, send it home, and say
//! how it was.

use anyhow::Context;
use serde::Serialize;
use serde_json::Value;

use super::args::SceneArgs;
use super::failure::Failure;
use crate::child::Collector;
use crate::fleet::Fleet;
use crate::orders::{Inspected, Numbers, Order};
use crate::plan::Plan;
use crate::results::{Began, Results};
use crate::room;

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

    /// Orders for workers that share the first collector, each simulating some of its agents; by
    /// the same seed.
    pub(super) fn orders(&self) -> anyhow::Result<impl Fn(Numbers) -> Order + use<>> {
        let orders = self.plan.orders(&self.fleet.collectors);
        let all = orders.into_iter().next().context("no collector")?;
        Ok(move |agents: Numbers| Order { agents, marks_from: agents.first, ..all.clone() })
    }

    /// Connects everybody, and waits until they have reported and a page must show them.
    pub(super) async fn bring_up(&mut self, args: &SceneArgs) -> anyhow::Result<()> {
        self.fleet.all_ready().await?;
        self.fleet.bring_up(args.agents, args.ramp).await?;
        self.settle().await?;
        self.fleet.begin_part("testing");
        Ok(())
    }

    /// Waits until a page must show what was reported last.
    pub(super) async fn settle(&mut self) -> anyhow::Result<()> {
        self.fleet.settle().await
    }

    /// Has a page of every worker's collector judged by that worker's ledger; the pages that came,
    /// with their workers. One that does not come is a finding. Workers whose agents the scenario
    /// alone judges are left out.
    pub(super) async fn judge_all(
        &mut self,
        what: &str,
    ) -> anyhow::Result<Vec<(usize, Inspected)>> {
        self.judge(&self.fleet.judged(), what).await
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
        self.fleet.pages().await
    }

    /// Adds what the scenario has found.
    pub(super) fn found(&mut self, when: &str, failures: impl IntoIterator<Item = Failure>) {
        self.fleet.verdict.add(when, failures);
    }

    /// The collectors' processes.
    pub(super) fn pids(&self) -> Vec<Option<u32>> {
        self.fleet.collectors.iter().map(Collector::pid).collect()
    }

    /// Stops everything and sums up.
    pub(super) async fn sum_up(
        mut self,
        settings: Value,
        figures: impl Serialize,
    ) -> anyhow::Result<Results> {
        self.fleet.end().await?;
        let timeline = self.fleet.take_timeline();
        let settings = self.plan.with_settings(settings);
        self.began.results(settings, self.fleet.verdict, figures, timeline)
    }

    /// Sends the fleet home, stops everything and sums up.
    pub(super) async fn finish(
        mut self,
        settings: Value,
        figures: impl Serialize,
    ) -> anyhow::Result<Results> {
        self.fleet.send_home().await?;
        self.sum_up(settings, figures).await
    }
}
