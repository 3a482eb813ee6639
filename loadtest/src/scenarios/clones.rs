//! Scenario `clones`: two hosts claim the same id. Clones of connected hosts must be rejected with
//! `id_conflict` and affect no other agent. A rebooted host must be welcomed, whether its previous
//! connection is closed or silent.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use tokio::time::Instant;

use super::failure::Failure;
use super::scenario_run::ScenarioRun;
use crate::agent_range::AgentRange;
use crate::cli::scenario_args::ClonesArgs;
use crate::fleet::phases::MIN_ANSWERS;
use crate::plan::Plan;
use crate::progress::Progress;
use crate::results::Results;
use crate::results::quantiles::Quantiles;
use crate::tally::Times;
use crate::worker_protocol::{
    AfterDisconnect, AgentSelector, BackoffPolicy, Command, DisconnectKind, WorkerConfig,
};

/// Reject code for a clone.
const ID_CONFLICT: &str = "id_conflict";
/// Maximum time until all clones are rejected. Shorter than the time that a rejected clone waits
/// before its next attempt, so that each clone tries once.
const REFUSED_WITHIN: Duration = Duration::from_secs(20);
/// Maximum time until a rebooted host is welcomed: 5 s for the challenge of the current holder of
/// the id, 0.25 s until the collector checks its deadlines, and a margin.
const READMITTED_WITHIN: Duration = Duration::from_millis(6_500);
/// How long the scenario waits until rebooted hosts are welcomed.
const READMISSION_TIMEOUT: Duration = Duration::from_secs(9);
/// Interval between two judged pages while clones try.
const JUDGE_INTERVAL: Duration = Duration::from_millis(500);

/// Outcome of the scenario.
#[derive(Debug, Serialize)]
pub struct Clones {
    /// Answers to clones of connected hosts.
    pub clones: Refusals,
    /// Time until rebooted hosts were welcomed, by the state of the old connection. It starts at
    /// the end of the old connection, or at the first attempt to connect if that connection is
    /// silent.
    pub readmitted: BTreeMap<&'static str, Quantiles>,
}

/// Number of clones that tried to connect, and the collector's answers.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Refusals {
    pub tried: u32,
    pub welcomed: u64,
    pub refused: BTreeMap<String, u64>,
}

/// The agents of each role.
struct ClonePlan {
    /// Agents that stay connected. The first of them are cloned, and rebooted later.
    originals: AgentRange,
    /// Agents that are frozen, and rebooted in another process.
    frozen: AgentRange,
    cloned: AgentRange,
    all: AgentRange,
}

/// Indices of the workers, in the order in which they are started.
const ORIGINALS: usize = 0;
const FROZEN: usize = 1;
const CLONES: usize = 2;
const REBOOTED: usize = 3;

impl ClonePlan {
    fn new(args: &ClonesArgs) -> Self {
        let agents = args.fleet.agents;
        let cloned = ((f64::from(agents) * args.share / 100.0).round() as u32).clamp(1, agents / 2);
        Self {
            originals: AgentRange { first: 0, count: agents - cloned },
            frozen: AgentRange { first: agents - cloned, count: cloned },
            cloned: AgentRange { first: 0, count: cloned },
            all: AgentRange { first: 0, count: agents },
        }
    }
}

/// Runs the scenario.
///
/// # Errors
/// If the machine is too small, or a process does not start or exits.
pub async fn clones(args: &ClonesArgs) -> anyhow::Result<Results> {
    let plan = Plan::for_scenario(&args.fleet, 1, BackoffPolicy::Agent, args.fleet.flags());
    let mut run = ScenarioRun::without_workers("clones", plan).await?;
    let (plan, config) = (ClonePlan::new(args), run.worker_config()?);
    for agents in [plan.originals, plan.frozen] {
        run.fleet.start_worker(&config(agents), &[]).await?;
    }
    run.connect_all(&args.fleet).await?;
    run.judge_all("before").await?;
    let clones = run_clones(&mut run, &plan, config(plan.cloned)).await?;
    let closed = reboot_closed(&mut run, &plan).await?;
    // A rebooted host may be rejected while its former session exists, and replaces a frozen former
    // session. No other session may end.
    run.fleet.end_reboot_phase("reboots with a closed connection").await?;
    let silent = reboot_silent(&mut run, config(plan.frozen)).await?;
    run.fleet.end_reboot_phase("reboots with a silent connection").await?;
    run.settle().await?;
    run.judge_all("after the reboots").await?;
    run.fleet.end_reboot_phase("after the reboots").await?;
    run.fleet.kill_worker(FROZEN).await?;
    let readmitted = [("connection closed", closed), ("connection silent", silent)];
    let readmitted = readmitted.map(|(how, times)| (how, Quantiles::from(&times)));
    let settings = json!({
        "agents": args.fleet.agents,
        "interval_seconds": args.fleet.interval().as_secs_f64(),
        "cloned_percent": args.share,
    });
    run.finish(settings, Clones { clones, readmitted: readmitted.into() }).await
}

/// Starts clones of connected hosts. Each tries to connect once.
async fn run_clones(
    run: &mut ScenarioRun,
    plan: &ClonePlan,
    config: WorkerConfig,
) -> anyhow::Result<Refusals> {
    run.fleet.record_event("clones");
    run.fleet.begin_phase("clones");
    run.fleet.progress = Some(Progress::running("clones", REFUSED_WITHIN));
    // The clones' values encode agents that do not exist, so that a clone on a page is found.
    let first_encoded_agent = plan.all.count;
    let config = WorkerConfig { first_encoded_agent, seed: !config.seed, ..config };
    let worker = run.fleet.start_worker(&config, &[]).await?;
    run.fleet.exclude(worker);
    run.fleet.wait_until_ready().await?;
    debug_assert_eq!(worker, CLONES, "workers are started in this order");
    let tried = plan.cloned.count;
    run.fleet.send(CLONES, &Command::Ramp { per_second: f64::from(tried.max(10)) }).await;
    let until = Instant::now() + REFUSED_WITHIN;
    loop {
        let next = until.min(Instant::now() + JUDGE_INTERVAL);
        run.fleet.wait_until(next, |_| false).await?;
        run.judge_all("while clones try").await?;
        let counts = run.fleet.counts(CLONES);
        let answered = counts.welcomed + counts.refused.values().sum::<u64>();
        if answered >= u64::from(tried) || Instant::now() >= until {
            break;
        }
    }
    let counts = run.fleet.counts(CLONES).clone();
    run.fleet.kill_worker(CLONES).await?;
    // A rejected clone must not affect other agents.
    run.fleet.end_measured_phase("while clones try", MIN_ANSWERS).await?;
    let named = counts.refused.get(ID_CONFLICT).copied().unwrap_or(0);
    if counts.welcomed > 0 {
        run.add_findings("clones", [Failure::CloneAdmitted { clones: counts.welcomed }]);
    }
    if named != u64::from(tried) {
        run.add_findings("clones", [Failure::CloneNotRejected { named, of: tried.into() }]);
    }
    run.fleet.verdict.checked("clones", tried.into());
    Ok(Refusals { tried, welcomed: counts.welcomed, refused: counts.refused })
}

/// Resets the connections of some hosts. These reconnect at once as another boot.
async fn reboot_closed(run: &mut ScenarioRun, plan: &ClonePlan) -> anyhow::Result<Times> {
    run.fleet.record_event("reboots, closed");
    run.fleet.begin_phase("reboots, closed");
    let before = run.fleet.counts(ORIGINALS).times.away.clone();
    let (agents, of) = (AgentSelector::Range(plan.cloned), u64::from(plan.cloned.count));
    run.fleet.disconnect(ORIGINALS, agents, DisconnectKind::Reset, AfterDisconnect::Reboot).await?;
    wait_for_readmission(run, "reboots with a closed connection", of, |run| {
        run.fleet.counts(ORIGINALS).times.away.since(&before)
    })
    .await
}

/// Reboots frozen hosts in another process while their connections are still open.
async fn reboot_silent(run: &mut ScenarioRun, config: WorkerConfig) -> anyhow::Result<Times> {
    run.fleet.record_event("reboots, silent");
    run.fleet.begin_phase("reboots, silent");
    run.fleet.freeze(FROZEN)?;
    let config = WorkerConfig { seed: !config.seed, ..config };
    let worker = run.fleet.start_worker(&config, &[]).await?;
    debug_assert_eq!(worker, REBOOTED, "workers are started in this order");
    let patience = READMISSION_TIMEOUT + run.fleet.tolerance;
    run.fleet.wait_until(Instant::now() + patience, |fleet| fleet.is_ready(REBOOTED)).await?;
    let agents = config.agents.count;
    run.fleet.send(REBOOTED, &Command::Ramp { per_second: f64::from(agents) }).await;
    let of = u64::from(agents);
    wait_for_readmission(run, "reboots with a silent connection", of, |run| {
        run.fleet.counts(REBOOTED).times.connect.clone()
    })
    .await
}

/// Waits until this many rebooted hosts are welcomed. Hosts that are missing or late are findings.
async fn wait_for_readmission(
    run: &mut ScenarioRun,
    what: &str,
    of: u64,
    times: impl Fn(&ScenarioRun) -> Times,
) -> anyhow::Result<Times> {
    let within = READMISSION_TIMEOUT + run.fleet.tolerance;
    run.fleet.progress = Some(Progress::running(what, within));
    let until = Instant::now() + within;
    while times(run).count() < of && Instant::now() < until {
        run.fleet.wait(Duration::from_millis(100)).await?;
    }
    let times = times(run);
    if times.count() < of {
        let agents = of - times.count();
        run.add_findings(what, [Failure::NotReadmitted { agents, of, within }]);
    }
    let longest = Duration::from_secs_f64(times.longest_ms() / 1e3);
    let bound = READMITTED_WITHIN + run.fleet.tolerance;
    if longest > bound {
        run.add_findings(what, [Failure::ReadmittedLate { longest, bound }]);
    }
    run.fleet.verdict.checked("reboots", of);
    Ok(times)
}
