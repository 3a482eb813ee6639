//! What every scenario does: start a fleet, bring it up, have pages judged, send it home, and say
//! how it was.

use anyhow::Context;
use serde::Serialize;
use serde_json::Value;

use super::failure::Failure;
use crate::agent_range::AgentRange;
use crate::child::collector::CollectorProcess;
use crate::cli::scenario_args::ScenarioFleetArgs;
use crate::fleet::Fleet;
use crate::plan::Plan;
use crate::preflight;
use crate::results::{Results, ResultsBuilder};
use crate::worker_protocol::{PageResult, WorkerConfig};

/// A scenario under way.
pub(super) struct ScenarioRun {
    pub(super) fleet: Fleet,
    plan: Plan,
    results: ResultsBuilder,
}

impl ScenarioRun {
    /// Starts collectors, and a worker for each.
    pub(super) async fn start(scenario: &'static str, plan: Plan) -> anyhow::Result<Self> {
        let mut run = Self::without_workers(scenario, plan).await?;
        for config in run.plan.worker_configs(&run.fleet.endpoints()) {
            run.fleet.start_worker(&config, &[]).await?;
        }
        Ok(run)
    }

    /// Starts collectors.
    pub(super) async fn without_workers(
        scenario: &'static str,
        plan: Plan,
    ) -> anyhow::Result<Self> {
        let results = ResultsBuilder::start(scenario);
        preflight::raise_file_limit().context("raising the limit on open files")?;
        preflight::check(&plan)?;
        Ok(Self { fleet: Fleet::without_workers(&plan).await?, plan, results })
    }

    /// Orders for workers that share the first collector, each simulating some of its agents; by
    /// the same seed.
    pub(super) fn worker_config(
        &self,
    ) -> anyhow::Result<impl Fn(AgentRange) -> WorkerConfig + use<>> {
        let configs = self.plan.worker_configs(&self.fleet.endpoints());
        let template = configs.into_iter().next().context("no collector")?;
        Ok(move |agents: AgentRange| WorkerConfig {
            agents,
            first_encoded_agent: agents.first,
            ..template.clone()
        })
    }

    /// Connects everybody, and waits until they have reported and a page must show them.
    pub(super) async fn connect_all(&mut self, args: &ScenarioFleetArgs) -> anyhow::Result<()> {
        self.fleet.wait_until_ready().await?;
        self.fleet.connect_all(args.agents, args.ramp).await?;
        self.settle().await?;
        self.fleet.begin_phase("testing");
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
    ) -> anyhow::Result<Vec<(usize, PageResult)>> {
        self.judge_workers(&self.fleet.judged_workers(), what).await
    }

    /// The same of some workers.
    pub(super) async fn judge_workers(
        &mut self,
        workers: &[usize],
        what: &str,
    ) -> anyhow::Result<Vec<(usize, PageResult)>> {
        for worker in workers {
            self.fleet.request_page(*worker, what).await;
        }
        self.fleet.collect_pages().await
    }

    /// Adds what the scenario has found.
    pub(super) fn add_findings(&mut self, when: &str, failures: impl IntoIterator<Item = Failure>) {
        self.fleet.verdict.add(when, failures);
    }

    /// The collectors' processes.
    pub(super) fn collector_pids(&self) -> Vec<Option<u32>> {
        self.fleet.collectors.iter().map(CollectorProcess::pid).collect()
    }

    /// Stops everything and sums up.
    pub(super) async fn finish_connected(
        mut self,
        settings: Value,
        figures: impl Serialize,
    ) -> anyhow::Result<Results> {
        self.fleet.stop().await?;
        let timeline = self.fleet.take_timeline();
        self.results.finish(settings, self.fleet.verdict, figures, timeline)
    }

    /// Sends the fleet home, stops everything and sums up.
    pub(super) async fn finish(
        mut self,
        settings: Value,
        figures: impl Serialize,
    ) -> anyhow::Result<Results> {
        self.fleet.disconnect_all().await?;
        self.finish_connected(settings, figures).await
    }
}
