//! Scenario `hostile`: attacks on a collector with an honest fleet. Honest agents must not be
//! affected, and their lag must stay within its bound. The collector's memory must stay within its
//! bound. Every kind of attack must occur and be rejected.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::Duration;

use fleetgauge_proto::Code;
use fleetgauge_proto::limits::DECODE_BUDGET_BYTES;
use serde::Serialize;
use serde_json::json;
use tokio::time::Instant;

use super::failure::Failure;
use super::scenario_run::ScenarioRun;
use super::scraping::{LatencyStats, judge_baseline};
use super::self_metrics::SelfMetrics;
use crate::agent_range::AgentRange;
use crate::attackers::{self, AttackKind, AttackResults, AttackTarget, FLOODERS};
use crate::cli::scenario_args::HostileArgs;
use crate::fleet::phases::MIN_ANSWERS_FOR_P99;
use crate::host_profile::HostProfile;
use crate::judge::finding::Finding;
use crate::plan::Plan;
use crate::progress::Progress;
use crate::results::Results;
use crate::scrape::ScrapeError;
use crate::tally::{Causes, Times};
use crate::usage;
use crate::worker_protocol::{BackoffPolicy, WorkerConfig};

/// Interval between two judged pages.
const JUDGE_INTERVAL: Duration = Duration::from_secs(1);
/// Timeout for attacks in progress to end, and for the collector to free their state.
const ATTACKS_END_TIMEOUT: Duration = Duration::from_secs(30);
/// Source addresses of honest agents, which are exempt from the collector's limits per address: the
/// whole fleet shares a few.
const HONEST_ADDRESSES: &str = "127.0.0.1,127.10.0.0/16";
/// Fixed part of the collector's memory limit. Twice what an agent needs is added for each honest
/// agent.
const BASE_MEMORY_BYTES: u64 = 8 << 20;
/// Documented ratio of resident memory to counted memory, due to the allocator.
const ALLOCATOR_OVERHEAD: f64 = 1.1;

/// Outcome of the scenario.
#[derive(Debug, Serialize)]
pub struct Hostile {
    /// Time from the due time of a report until the collector had processed it.
    pub lag: PerPhase,
    /// `lag` without the delays of the load test itself.
    pub answered: PerPhase,
    /// Attacks, and the collector's answers.
    pub attacks: AttackResults,
    /// Rejects that the collector counted during the attack, by code.
    pub rejects: BTreeMap<String, u64>,
    /// Memory of the collector.
    pub memory: Memory,
}

/// Lag and answer times of reports, without and with attackers.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct PerPhase {
    pub quiet: LatencyStats,
    pub attacked: LatencyStats,
}

/// Memory of the collector.
#[derive(Debug, Default, Serialize)]
pub struct Memory {
    /// Limit on the memory that the collector charges to agents.
    pub limit_bytes: u64,
    /// Maximum memory that the collector charged to agents, of all samples.
    pub counted_bytes: u64,
    /// Resident memory before the first agent; `None` if unknown.
    pub resident_before_bytes: Option<u64>,
    /// Peak of resident memory; `None` if unknown.
    pub resident_peak_bytes: Option<u64>,
    /// Bound of resident memory: the memory before the first agent, the limit for agents with the
    /// allocator's overhead, as much again for a scrape, and the decode budget of each thread.
    /// `None` if the first is unknown.
    pub bound_bytes: Option<u64>,
}

/// Measurements of a phase.
struct PhaseStats {
    lag: Times,
    answered: Times,
    /// Maximum memory that the collector charged to agents, in bytes.
    counted: u64,
}

/// Runs the scenario.
///
/// # Errors
/// If the machine is too small, or a process does not start or exits.
pub async fn hostile(args: &HostileArgs) -> anyhow::Result<Results> {
    let mut run = ScenarioRun::without_workers("hostile", plan(args)).await?;
    let honest = AgentRange { first: 0, count: args.fleet.agents };
    // The agents that flood have reported, so a page may show them.
    let visible = AgentRange { count: honest.count + FLOODERS, ..honest };
    let config = WorkerConfig { visible, ..run.worker_config()?(honest) };
    run.fleet.start_worker(&config, &[]).await?;
    let resident_before_bytes = run.fleet.collectors_usage().map(|usage| usage.resident);
    run.connect_all(&args.fleet).await?;
    let quiet = run_phase(&mut run, "quiet", args.duration).await?;
    let deadline = Instant::now() + ATTACKS_END_TIMEOUT;
    let before = fetch_self_metrics(&mut run, "quiet", deadline).await;
    let attack = attackers::launch(attack_target(args, config.collector))?;
    let attacked = run_phase(&mut run, "attacked", args.duration).await?;
    let attacks = join_attackers(&mut run, attack).await?;
    let memory = memory(&run, &before, &attacked, resident_before_bytes);
    let after = wait_until_forgotten(&mut run, honest.count, args.fleet.hosts.profile).await?;
    let rejects = after.rejects_since(&before);
    run.add_findings("attacks", judge_attacks(&attacks, &rejects));
    run.add_findings("memory", judge_memory(&memory));
    let slow = judge_baseline(args.max_p99, &quiet.answered);
    run.add_findings("quiet", slow);
    run.add_findings(
        "answers",
        judge_answers(args.max_p99_increase, &quiet.answered, &attacked.answered),
    );
    let made = attacks.values().map(|attacks| attacks.made).sum();
    run.fleet.verdict.checked("attacks", made);
    let per_phase = |of: fn(&PhaseStats) -> &Times| {
        let [quiet, attacked] = [&quiet, &attacked].map(|phase| LatencyStats::from(of(phase)));
        PerPhase { quiet, attacked }
    };
    let figures = Hostile {
        lag: per_phase(|phase| &phase.lag),
        answered: per_phase(|phase| &phase.answered),
        attacks,
        rejects,
        memory,
    };
    run.finish(settings(args), figures).await
}

fn settings(args: &HostileArgs) -> serde_json::Value {
    json!({
        "agents": args.fleet.agents,
        "interval_seconds": args.fleet.interval().as_secs_f64(),
        "phase_seconds": args.duration.as_secs_f64(),
        "attacks_per_second": args.rate,
        "max_p99_ms": args.max_p99.as_secs_f64() * 1e3,
        "max_p99_increase_ms": args.max_p99_increase.as_secs_f64() * 1e3,
    })
}

/// Returns a plan whose collector exempts the fleet's addresses and has little memory for agents.
fn plan(args: &HostileArgs) -> Plan {
    let per_agent = 2 * args.fleet.hosts.profile.collector_bytes();
    let memory = BASE_MEMORY_BYTES + u64::from(args.fleet.agents) * per_agent;
    let mut flags = args.fleet.flags();
    flags.push(format!("--exempt-addresses={HONEST_ADDRESSES}"));
    flags.push(format!("--max-memory={memory}B"));
    flags.push("--max-scrapes=1".to_owned());
    Plan::for_scenario(&args.fleet, 1, BackoffPolicy::Quick, flags)
}

fn attack_target(args: &HostileArgs, collector: SocketAddr) -> AttackTarget {
    AttackTarget {
        collector,
        agents: args.fleet.agents,
        per_second: args.rate,
        duration: args.duration,
    }
}

/// Fetches the collector's own metrics. A failed attempt is a finding, and is repeated.
async fn fetch_self_metrics(run: &mut ScenarioRun, when: &str, deadline: Instant) -> SelfMetrics {
    let http = run.fleet.collectors[0].http;
    let (metrics, error) = SelfMetrics::fetch_until(http, deadline).await;
    let failed = |error: ScrapeError| Finding::ScrapeFailed { why: error.to_string() };
    run.fleet.verdict.add(when, error.map(failed));
    metrics
}

/// Judges pages and samples the collector's memory for this long. No session of an honest agent may
/// end.
async fn run_phase(
    run: &mut ScenarioRun,
    what: &str,
    duration: Duration,
) -> anyhow::Result<PhaseStats> {
    run.fleet.record_event(what);
    run.fleet.begin_phase(what);
    run.fleet.progress = Some(Progress::running(what, duration));
    run.fleet.end_phase(&format!("before the {what} phase")).await?;
    let (until, mut counted) = (Instant::now() + duration, 0);
    while Instant::now() < until {
        let next = until.min(Instant::now() + JUDGE_INTERVAL);
        run.judge_all(what).await?;
        let metrics = fetch_self_metrics(run, what, next).await;
        counted = counted.max(metrics.value("fleetgauge_memory_bytes"));
        run.fleet.wait_until(next, |_| false).await?;
    }
    let times = run.fleet.end_measured_phase(what, MIN_ANSWERS_FOR_P99).await?.times;
    Ok(PhaseStats { lag: times.lag, answered: times.answer, counted })
}

/// Waits for the attacks in progress.
async fn join_attackers(
    run: &mut ScenarioRun,
    attackers: JoinHandle<std::io::Result<AttackResults>>,
) -> anyhow::Result<AttackResults> {
    run.fleet.record_event("attacks end");
    run.fleet.begin_phase("waiting for the last attacks");
    while !attackers.is_finished() {
        run.fleet.wait(Duration::from_millis(100)).await?;
    }
    let attacks = attackers.join().map_err(|_| anyhow::anyhow!("the attackers panicked"))?;
    Ok(attacks?)
}

/// Waits until the collector has freed the state of the attackers, then has workers judge a
/// page.
async fn wait_until_forgotten(
    run: &mut ScenarioRun,
    honest: u32,
    profile: HostProfile,
) -> anyhow::Result<SelfMetrics> {
    run.fleet.begin_phase("waiting until the state of attackers is freed");
    let until = Instant::now() + ATTACKS_END_TIMEOUT;
    let after = loop {
        let after = fetch_self_metrics(run, "after the attacks", until).await;
        let [open, series] =
            ["fleetgauge_connections_open", "fleetgauge_series"].map(|name| after.value(name));
        let left = left_behind(open, series, honest.into(), profile);
        if left.is_none() {
            break after;
        }
        if Instant::now() > until {
            run.add_findings("after the attacks", left);
            break after;
        }
        run.fleet.wait(Duration::from_millis(100)).await?;
    };
    run.fleet.record_event("attackers gone");
    run.settle().await?;
    run.judge_all("after the attacks").await?;
    Ok(after)
}

/// Returns what attackers have left behind: connections or series beyond those of the honest
/// agents. A number that could not be read is 0, which is too few.
fn left_behind(
    connections: u64,
    series: u64,
    honest: u64,
    profile: HostProfile,
) -> Option<Failure> {
    let honest_series = honest * profile.series() as u64;
    let left = [("connections", connections, honest), ("series", series, honest_series)];
    let (what, count, of) = left.into_iter().find(|(_, count, of)| *count == 0 || count > of)?;
    Some(Failure::LeftBehind { what, count, of, within: ATTACKS_END_TIMEOUT })
}

fn memory(
    run: &ScenarioRun,
    metrics: &SelfMetrics,
    attacked: &PhaseStats,
    resident_before: Option<u64>,
) -> Memory {
    let limit_bytes = metrics.value("fleetgauge_memory_limit_bytes");
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let decoding = (DECODE_BUDGET_BYTES * threads) as u64;
    let agents = (limit_bytes as f64 * ALLOCATOR_OVERHEAD) as u64;
    Memory {
        limit_bytes,
        counted_bytes: attacked.counted,
        resident_before_bytes: resident_before,
        resident_peak_bytes: usage::peak(run.collector_pids().into_iter()),
        bound_bytes: resident_before.map(|before| before + 2 * agents + decoding),
    }
}

/// Compares memory with its limits. Memory that could not be measured is a finding.
fn judge_memory(memory: &Memory) -> Vec<Failure> {
    let counted = Some((memory.counted_bytes, memory.limit_bytes));
    let counted = counted.filter(|(counted, limit)| *counted > 0 && *limit > 0);
    let resident = memory.resident_peak_bytes.zip(memory.bound_bytes);
    let judged = [("counted", "memory", counted), ("resident", "resident memory", resident)];
    let failure = |(what, lacking, of): (_, _, Option<(u64, u64)>)| match of {
        None => Some(Failure::NothingMeasured { what: lacking }),
        Some((bytes, bound_bytes)) => {
            (bytes > bound_bytes).then_some(Failure::MemoryOverBound { what, bytes, bound_bytes })
        }
    };
    judged.into_iter().filter_map(failure).collect()
}

/// Checks that the collector rejected every kind of attack with its code, that no attack ended with
/// Welcome, and that the collector counted the Rejects that attackers received.
fn judge_attacks(attacks: &AttackResults, rejects: &BTreeMap<String, u64>) -> Vec<Failure> {
    let mut failures = Vec::new();
    let mut total_answers = Causes::new();
    for kind in AttackKind::ALL {
        let (kind, code) = (kind.name(), kind.code().reason());
        let Some(attacks) = attacks.get(kind) else { continue };
        let answers = |what: &str| attacks.answers.get(what).copied().unwrap_or(0);
        if answers(code) == 0 {
            failures.push(Failure::AttackNotRefused { kind, code, of: attacks.made });
        }
        if answers("welcomed") > 0 {
            failures.push(Failure::AttackWelcomed { kind, times: answers("welcomed") });
        }
        for (what, times) in &attacks.answers {
            *total_answers.entry(what.clone()).or_default() += times;
        }
    }
    for code in Code::ALL.iter().map(|code| code.reason()) {
        let answers = total_answers.get(code).copied().unwrap_or(0);
        let counted = rejects.get(code).copied().unwrap_or(0);
        if counted < answers {
            failures.push(Failure::RefusalsUncounted { code, received: answers, counted });
        }
    }
    failures
}

/// Compares the p99 time from report to Pong with and without attackers. Lag is not compared,
/// because it includes delays of the load test itself.
fn judge_answers(max_increase: Duration, quiet: &Times, attacked: &Times) -> Option<Failure> {
    let what = "answers";
    if quiet.count() == 0 || attacked.count() == 0 {
        return Some(Failure::NothingMeasured { what });
    }
    let (quiet_ms, attacked_ms) = (quiet.quantile_ms(0.99), attacked.quantile_ms(0.99));
    let bound_ms = quiet_ms + max_increase.as_secs_f64() * 1e3;
    let is_slow = attacked_ms >= bound_ms;
    is_slow.then_some(Failure::DelayedByAttacks { what, attacked_ms, quiet_ms, bound_ms })
}

#[cfg(test)]
#[path = "hostile_tests.rs"]
mod tests;
