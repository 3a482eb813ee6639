//! Steps that all scenarios share: start a fleet, connect it, judge pages, disconnect it and return
//! the results.

use anyhow::Context;
use fleetgauge_common::file_limit;
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

/// The fleet, plan and results of a running scenario.
pub(super) struct ScenarioRun {
    pub(super) fleet: Fleet,
    plan: Plan,
    results: ResultsBuilder,
}

impl ScenarioRun {
    /// Starts the collectors, and a worker for each.
    pub(super) async fn start(scenario: &'static str, plan: Plan) -> anyhow::Result<Self> {
        let mut run = Self::without_workers(scenario, plan).await?;
        for config in run.plan.worker_configs(&run.fleet.endpoints()) {
            run.fleet.start_worker(&config, &[]).await?;
        }
        Ok(run)
    }

    /// Starts the collectors, but no workers.
    pub(super) async fn without_workers(
        scenario: &'static str,
        plan: Plan,
    ) -> anyhow::Result<Self> {
        let results = ResultsBuilder::start(scenario);
        file_limit::raise().context("cannot raise the limit on open files")?;
        preflight::check(&plan)?;
        Ok(Self { fleet: Fleet::without_workers(&plan).await?, plan, results })
    }

    /// Returns a function that configures a worker of the first collector for a range of agents;
    /// all with the same seed.
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

    /// Connects all agents, and waits long enough that every page must show all of them.
    pub(super) async fn connect_all(&mut self, args: &ScenarioFleetArgs) -> anyhow::Result<()> {
        self.fleet.wait_until_ready().await?;
        self.fleet.connect_all(args.agents, args.ramp).await?;
        self.settle().await?;
        self.fleet.begin_phase("testing");
        Ok(())
    }

    /// Waits long enough that every page must show the latest reports.
    pub(super) async fn settle(&mut self) -> anyhow::Result<()> {
        self.fleet.settle().await
    }

    /// Has each judged worker judge a page of its collector. Returns the pages that arrived, with
    /// their workers; a missing page is a finding.
    pub(super) async fn judge_all(
        &mut self,
        what: &str,
    ) -> anyhow::Result<Vec<(usize, PageResult)>> {
        self.judge_workers(&self.fleet.judged_workers(), what).await
    }

    /// Like [`judge_all`](Self::judge_all), for the given workers.
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

    /// Asks each judged worker to judge a page of its collector, and does not wait for it.
    pub(super) async fn request_all(&mut self, what: &str) {
        for worker in self.fleet.judged_workers() {
            self.fleet.request_page(worker, what).await;
        }
    }

    /// Adds failed checks of the scenario to the findings.
    pub(super) fn add_findings(&mut self, when: &str, failures: impl IntoIterator<Item = Failure>) {
        self.fleet.verdict.add(when, failures);
    }

    /// Process ids of the collectors; `None` for one whose process has exited.
    pub(super) fn collector_pids(&self) -> Vec<Option<u32>> {
        self.fleet.collectors.iter().map(CollectorProcess::pid).collect()
    }

    /// Stops all processes and returns the results. Does not disconnect the agents first.
    pub(super) async fn finish_connected(
        mut self,
        settings: Value,
        figures: impl Serialize,
    ) -> anyhow::Result<Results> {
        self.fleet.stop().await?;
        let timeline = self.fleet.take_timeline();
        let settings = self.plan.with_settings(settings);
        self.results.finish(settings, self.fleet.verdict, figures, timeline)
    }

    /// Disconnects the fleet, stops all processes and returns the results.
    pub(super) async fn finish(
        mut self,
        settings: Value,
        figures: impl Serialize,
    ) -> anyhow::Result<Results> {
        self.fleet.disconnect_all().await?;
        self.finish_connected(settings, figures).await
    }
}
