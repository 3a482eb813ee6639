//! Scenario `forward`: a fleet reports to collectors, which forward to an engine, while engine,
//! collectors and network fail. The engine must get every sample of every report exactly, and the
//! end of every series.
//!
//! The engine is a receiver in this process that keeps all samples. The agents keep logs, and their
//! values are functions of agent and sequence number. So every expected sample can be computed from
//! the times of the reports.

mod backlog;
mod cpu_meter;
mod engine;
mod expected;
mod failure;
mod figures;
mod lag;
mod operator;
mod pages;
mod restarts;
mod roster;
mod troubles;
mod verdict;

use std::time::Duration;

use clap::ValueEnum;
use serde_json::json;
use tokio::time::Instant;

use super::scenario_run::ScenarioRun;
use crate::agent_range::AgentRange;
use crate::cli::forward_args::{ForwardArgs, Trouble};
use crate::fault::judge_fault::JudgeFault;
use crate::plan::Plan;
use crate::progress::Progress;
use crate::results::Results;
use crate::worker_protocol::{
    AfterDisconnect, AgentSelector, BackoffPolicy, Command, DisconnectKind,
};
use cpu_meter::CpuMeter;
use engine::Engine;
use failure::ForwardFailure;
use figures::Figures;
use lag::{Clocks, LagMeter};
use roster::RosterFigures;
use verdict::{Judged, Rules};

/// Interval between two comparisons while the engine lacks something.
const JUDGE_INTERVAL: Duration = Duration::from_millis(500);
/// Time without a request after which the engine has everything that collectors have to send: more
/// than their maximum delay.
const QUIET: Duration = Duration::from_secs(1);

/// Ways in which agents leave.
const DEATHS: [DisconnectKind; 3] =
    [DisconnectKind::Bye, DisconnectKind::Fin, DisconnectKind::Reset];

/// A run of the scenario.
struct ForwardRun {
    run: ScenarioRun,
    engine: Engine,
    cpu: CpuMeter,
    clocks: Clocks,
    /// From the rolling restart, if there was one.
    roster: Option<RosterFigures>,
}

/// Runs the scenario.
///
/// # Errors
/// If the machine is too small, or a process does not start or exits.
pub async fn forward(args: &ForwardArgs) -> anyhow::Result<Results> {
    let engine = Engine::start(args).await?;
    let mut flags = args.fleet.flags();
    flags.extend(engine.flags());
    let plan = Plan::for_scenario(&args.fleet, args.collectors, BackoffPolicy::Quick, flags);
    let plan = Plan { keeps_log: true, forward: args.needs(), ..plan };
    let run = ScenarioRun::start("forward", plan).await?;
    let (cpu, clocks) = (CpuMeter::default(), Clocks::now());
    let mut test = ForwardRun { run, engine, cpu, clocks, roster: None };
    let mut backlog = None;
    if args.backlog.is_some() {
        backlog = Some(test.catch_up_backlog(args).await?);
        test.run.settle().await?;
        test.run.fleet.begin_phase("testing");
    } else {
        test.run.connect_all(&args.fleet).await?;
    }
    test.run.judge_all("before").await?;
    let mut figures = test.forward_through_troubles(args).await?;
    figures.backlog = backlog;
    test.catch_up(args).await?;
    if args.has(Trouble::CollectorsRestarted) && args.judge_fault != Some(JudgeFault::NoDrain) {
        test.check_pages(args).await?;
    }
    figures.roster = test.roster;
    test.let_agents_leave(args).await?;
    let judged = test.let_all_leave(args).await?;
    test.run.fleet.verdict.checked("series", judged.series);
    test.run.fleet.verdict.checked("samples", judged.samples);
    figures.markers(&judged.marker_delays);
    figures.replayed = test.run.fleet.total.replayed;
    test.run.finish_connected(settings(args), figures).await
}

fn settings(args: &ForwardArgs) -> serde_json::Value {
    let faults = args.faults.iter().filter_map(ValueEnum::to_possible_value);
    let faults: Vec<_> = faults.map(|fault| fault.get_name().to_owned()).collect();
    json!({
        "agents": args.fleet.agents,
        "collectors": args.collectors,
        "interval_seconds": args.fleet.interval().as_secs_f64(),
        "duration_seconds": args.duration.as_secs_f64(),
        "faults": faults.join(", "),
        "fault_time_seconds": args.fault_time.as_secs_f64(),
        "clock_offset_seconds": args.clock_offset.unwrap_or_default().as_secs_f64(),
        "backlog_seconds": args.backlog.unwrap_or_default().as_secs_f64(),
        "compression": format!("{:?}", args.compression).to_lowercase(),
        "out_of_order": args.out_of_order,
        "in_order_only": args.in_order_only,
    })
}

impl ForwardRun {
    /// Causes the troubles and measures meanwhile.
    async fn forward_through_troubles(&mut self, args: &ForwardArgs) -> anyhow::Result<Figures> {
        self.run.fleet.begin_phase("forwarding");
        self.run.fleet.progress = Some(Progress::running("forwarding", args.duration));
        let (fleet, ledger) = (&args.fleet, self.engine.receiver.shared_ledger());
        let lag = LagMeter::start(ledger, fleet.agents, fleet.labels, fleet.hosts.profile);
        self.cpu = CpuMeter::start(&self.run);
        let before = figures::Received::of(&self.engine.receiver.ledger());
        let begun = Instant::now();
        self.cause_troubles(args).await?;
        let took = begun.elapsed();
        let received = figures::Received::of(&self.engine.receiver.ledger());
        let cpu = self.cpu.total(&self.run);
        let (received, lag) = (received.since(before), lag.times());
        let figures = Figures::new(args, received, cpu, &lag, &self.run, took);
        self.run.fleet.progress = None;
        Ok(figures)
    }

    /// Waits until the collectors have acknowledged all but the latest reports.
    async fn catch_up(&mut self, args: &ForwardArgs) -> anyhow::Result<()> {
        self.run.fleet.begin_phase("catching up");
        let (agents, within) = (args.fleet.agents, args.recovery_timeout);
        let done = |fleet: &crate::fleet::Fleet| fleet.present() == agents && fleet.behind() == 0;
        // The counts are of the last second.
        self.run.fleet.wait(2 * QUIET).await?;
        if !self.run.fleet.wait_until(Instant::now() + within, done).await? {
            let behind = self.run.fleet.behind().max(agents.abs_diff(self.run.fleet.present()));
            let failure = ForwardFailure::NotAcknowledged { agents: behind, of: agents, within };
            self.run.fleet.verdict.add("after the troubles", [failure]);
        }
        self.run.fleet.close_phase().await?;
        Ok(())
    }

    /// Lets half of the agents leave, and compares what the engine has.
    async fn let_agents_leave(&mut self, args: &ForwardArgs) -> anyhow::Result<()> {
        self.run.fleet.begin_phase("leaving");
        let half = args.fleet.agents / 2;
        for (part, kind) in (0..).zip(DEATHS) {
            let first = |part: u32| half * part / DEATHS.len() as u32;
            let range = AgentRange { first: first(part), count: first(part + 1) - first(part) };
            let (agents, after) = (AgentSelector::Range(range), AfterDisconnect::StayAway);
            self.run.fleet.record_event(&format!("{} agents leave: {kind:?}", range.count));
            for worker in 0..self.run.fleet.worker_count() {
                self.run.fleet.disconnect(worker, agents, kind, after).await?;
            }
        }
        let judged = self.judge(args).await?;
        self.run.fleet.verdict.add("after half have left", judged.failures);
        Ok(())
    }

    /// Lets all agents leave, and compares what the engine has. Returns the comparison.
    async fn let_all_leave(&mut self, args: &ForwardArgs) -> anyhow::Result<Judged> {
        self.run.fleet.begin_phase("disconnecting");
        let (agents, after) = (AgentSelector::All, AfterDisconnect::StayAway);
        for worker in 0..self.run.fleet.worker_count() {
            self.run.fleet.disconnect(worker, agents, DisconnectKind::Fin, after).await?;
            self.run.fleet.send(worker, &Command::Finish).await;
        }
        let mut judged = self.judge(args).await?;
        let failures = std::mem::take(&mut judged.failures);
        self.run.fleet.verdict.add("after all have left", failures);
        Ok(judged)
    }

    /// Compares what the engine has with what the agents did, until it has everything and no more
    /// arrives, or the time is over.
    async fn judge(&mut self, args: &ForwardArgs) -> anyhow::Result<Judged> {
        let rules = Rules {
            hosts: args.fleet.hosts.model(args.fleet.interval()),
            static_labels: args.fleet.labels,
            is_poisoned: args.has(Trouble::PoisonedSeries),
            may_be_out_of_order: args.has(Trouble::AgentsMoved) || args.out_of_order,
            max_gap: args.has(Trouble::CollectorsRestarted).then(|| args.max_gap()),
            max_marker_delay: args.max_marker_delay + args.fleet.tolerance,
            clocks: self.clocks,
        };
        let until = Instant::now() + args.recovery_timeout.min(QUIET * 10) + args.fleet.tolerance;
        let accounts = self.run.fleet.take_accounts().await?;
        loop {
            let requests = self.engine.receiver.ledger().requests_total();
            self.run.fleet.wait(QUIET).await?;
            let is_quiet = self.engine.receiver.ledger().requests_total() == requests;
            let is_last = Instant::now() > until;
            let judged = verdict::judge(&self.engine.receiver.shared_ledger(), &accounts, rules);
            // Agents that are present go on to report.
            let is_complete = is_quiet || self.run.fleet.present() > 0;
            if is_last || (judged.failures.is_empty() && is_complete) {
                return Ok(judged);
            }
            self.run.fleet.wait(JUDGE_INTERVAL).await?;
        }
    }
}
