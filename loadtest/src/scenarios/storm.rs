//! Scenario `storm`: all collectors are killed and restarted at their addresses. Measures how fast
//! the fleet returns and what that costs. No agent may be lost.
//!
//! Neither figure of the recovery includes the judge's time, which is seconds for wide hosts. The
//! number of agents that are back is polled from the collectors' own metrics, at a fixed pace. When
//! all are, whole pages are fetched and only counted, until they show all agents: by the last byte
//! of these, the fleet is exposed. Meanwhile the workers judge pages, one after the other, and at
//! the end one that must show all agents, too.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use tokio::time::Instant;

use super::failure::Failure;
use super::recovery::{Recovery, RecoveryTimes};
use super::scenario_run::ScenarioRun;
use super::self_metrics::SelfMetrics;
use super::shown_agents;
use crate::child::collector::CollectorProcess;
use crate::cli::scenario_args::StormArgs;
use crate::fault::Fault;
use crate::fleet::phases::MIN_ANSWERS;
use crate::judge::finding::Finding;
use crate::plan::Plan;
use crate::progress::Progress;
use crate::results::Results;
use crate::results::quantiles::Quantiles;
use crate::tally::{Tally, Times};
use crate::usage;
use crate::worker_protocol::{BackoffPolicy, PageResult};

/// Number of pages judged after all agents are back, to check that agents stay connected.
const PAGES_AFTER: u32 = 3;
/// Metric of the number of agents that a collector exposes.
const CONNECTED: &str = "fleetgauge_agents_connected";

/// Outcome of the scenario.
#[derive(Debug, Default, Serialize)]
pub struct Storm {
    /// Time from the restart until the collectors have a share of the agents.
    pub back: RecoveryTimes,
    /// Time from the restart to the last byte of the first pages that show all agents; `None`: not
    /// yet.
    pub exposed_seconds: Option<f64>,
    /// Attempts to connect since the kill, by outcome.
    pub attempts: Attempts,
    /// Time from the end of an agent's session to its next Welcome, including the outage.
    pub away: Quantiles,
    /// Pages judged from the restart until all agents were shown.
    pub scrapes: Pages,
    /// Memory of the collectors.
    pub memory: Memory,
}

/// Number of attempts to connect, by outcome.
#[derive(Debug, Default, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Attempts {
    pub welcomed: u64,
    pub refused: BTreeMap<String, u64>,
    pub per_success: f64,
}

/// Pages during the recovery.
#[derive(Debug, Default, Serialize)]
#[expect(missing_docs, reason = "the names and their units say it")]
pub struct Pages {
    pub count: u64,
    pub p50_ms: f64,
    pub max_ms: f64,
}

/// Memory of all collectors together.
#[derive(Debug, Default, Serialize)]
#[expect(missing_docs, reason = "the names and their units say it")]
pub struct Memory {
    pub before_bytes: Option<u64>,
    pub peak_bytes: Option<u64>,
    pub after_bytes: Option<u64>,
}

/// Runs the scenario.
///
/// # Errors
/// If the machine is too small, or a process does not start or exits.
pub async fn storm(args: &StormArgs) -> anyhow::Result<Results> {
    let mut run = ScenarioRun::start("storm", plan(args)).await?;
    run.connect_all(&args.fleet).await?;
    run.judge_all("before").await?;
    let mut storm = Storm::default();
    storm.memory.before_bytes = run.fleet.collectors_usage().map(|usage| usage.resident);
    run.fleet.end_phase("before the storm").await?;
    let (before, killed) = (run.fleet.total.clone(), u64::from(run.fleet.present()));
    let restarted = restart_collectors(&mut run, args).await?;
    watch_recovery(&mut run, args, &mut storm, restarted).await?;
    let counts = run.fleet.close_phase().await?;
    run.fleet.verdict.add("recovering", unexpected_ends(killed, &counts));
    verify_stability(&mut run, args).await?;
    // By now workers have reported the last attempts, too.
    storm.attempts = attempts(&run.fleet.total, &before);
    storm.away = Quantiles::from(&run.fleet.total.times.away.since(&before.times.away));
    storm.memory.peak_bytes = usage::peak(run.collector_pids().into_iter());
    storm.memory.after_bytes = run.fleet.collectors_usage().map(|usage| usage.resident);
    let settings = json!({
        "agents": args.fleet.agents,
        "collectors": args.collectors,
        "interval_seconds": args.fleet.interval().as_secs_f64(),
        "outage_seconds": args.outage.as_secs_f64(),
        "pacing": !args.no_pacing,
        "scrape_interval_seconds": args.scrape_interval.as_secs_f64(),
        "recovery_timeout_seconds": args.recovery_timeout.as_secs_f64(),
    });
    run.finish(settings, storm).await
}

/// Returns the plan of the fleet. An injected fault is active only after the restart.
fn plan(args: &StormArgs) -> Plan {
    let flags = args.fleet.collector_flag.clone();
    Plan::for_scenario(&args.fleet, args.collectors, BackoffPolicy::Agent, flags)
}

/// Kills every collector and restarts it after the outage. Returns when the restart began.
async fn restart_collectors(run: &mut ScenarioRun, args: &StormArgs) -> anyhow::Result<Instant> {
    run.fleet.record_event("killed");
    run.fleet.begin_phase("outage");
    CollectorProcess::kill(&mut run.fleet.collectors).await?;
    run.fleet.wait(args.outage).await?;
    run.fleet.record_event("restarted");
    run.fleet.begin_phase("recovering");
    let restarted = Instant::now();
    let mut more: Vec<_> = args.fleet.fault.map(Fault::flag).into_iter().collect();
    if args.no_pacing {
        // As many handshakes as agents, so that the collector tells no agent to wait.
        let each = args.fleet.agents.div_ceil(args.collectors as u32);
        more.push(format!("--max-handshakes={each}"));
    }
    CollectorProcess::restart(&mut run.fleet.collectors, &more).await?;
    Ok(restarted)
}

/// Measures the recovery, and has pages judged meanwhile, until pages show all agents.
async fn watch_recovery(
    run: &mut ScenarioRun,
    args: &StormArgs,
    storm: &mut Storm,
    restarted: Instant,
) -> anyhow::Result<()> {
    let agents = u64::from(args.fleet.agents);
    let http: Vec<_> = run.fleet.collectors.iter().map(|collector| collector.http).collect();
    let mut recovery = Recovery::new(agents, http.len());
    run.fleet.progress = Some(Progress::running("recovering", args.recovery_timeout));
    let mut shown = 0;
    while shown < agents && restarted.elapsed() < args.recovery_timeout {
        let next = Instant::now() + args.scrape_interval;
        if !run.fleet.has_pending_pages() {
            run.request_all("storm").await;
        }
        poll_recovery(&http, &mut recovery, restarted).await;
        shown = if recovery.is_complete() {
            shown_agents::count(&http, args.fleet.hosts.profile).await
        } else {
            recovery.present()
        };
        if shown < agents {
            run.fleet.wait_until(next, |_| false).await?;
        }
    }
    if shown >= agents {
        storm.exposed_seconds = Some(restarted.elapsed().as_secs_f64());
        run.fleet.record_event("all exposed");
    }
    let mut took = Times::default();
    let mut add = |page: &PageResult| took.add(Duration::from_micros(page.took_us));
    run.fleet.collect_pages().await?.iter().for_each(|(_, page)| add(page));
    let last = run.judge_all("storm").await?;
    last.iter().for_each(|(_, page)| add(page));
    let judged: u64 = last.iter().map(|(_, page)| u64::from(page.agents)).sum();
    let missing = agents.saturating_sub(judged.min(shown));
    if missing > 0 {
        let failure =
            Failure::NotRecovered { agents: missing, of: agents, within: args.recovery_timeout };
        run.add_findings("after the restart", [failure]);
    }
    storm.back = recovery.back();
    storm.scrapes =
        Pages { count: took.count(), p50_ms: took.quantile_ms(0.5), max_ms: took.longest_ms() };
    Ok(())
}

/// Asks every collector how many agents it has. One that does not answer yet has none.
async fn poll_recovery(collectors: &[SocketAddr], recovery: &mut Recovery, restarted: Instant) {
    for (index, http) in collectors.iter().enumerate() {
        let metrics = SelfMetrics::fetch(*http).await.unwrap_or_default();
        recovery.seen(index, metrics.value(CONNECTED), restarted.elapsed());
    }
}

/// Checks that the fleet is stable: every page is correct, no session ends and no attempt is
/// refused.
async fn verify_stability(run: &mut ScenarioRun, args: &StormArgs) -> anyhow::Result<()> {
    run.fleet.begin_phase("stable");
    run.settle().await?;
    run.fleet.end_transition("after all are back").await?;
    for _ in 0..PAGES_AFTER {
        run.judge_all("after the storm").await?;
        run.fleet.wait(args.fleet.interval().min(Duration::from_secs(5))).await?;
    }
    run.fleet.end_measured_phase("after the storm", MIN_ANSWERS).await.map(drop)
}

/// Returns a finding if more sessions ended before all agents were back than the kill ended.
fn unexpected_ends(killed: u64, counts: &Tally) -> Option<Finding> {
    let ended: u64 = counts.ended.values().sum();
    let sessions = ended.saturating_sub(killed);
    let reasons = counts.ended.iter().map(|(reason, count)| format!("{count} {reason}"));
    let reasons = reasons.collect::<Vec<_>>().join(", ");
    (sessions > 0).then(|| Finding::SessionsEnded {
        sessions,
        why: format!("besides the {killed} that the kill ended; reasons of all {ended}: {reasons}"),
        own_lag_ms: counts.times.own_lag.longest_ms(),
    })
}

fn attempts(now: &Tally, before: &Tally) -> Attempts {
    let welcomed = now.welcomed - before.welcomed;
    let refused: BTreeMap<_, _> = now
        .refused
        .iter()
        .map(|(why, count)| (why.clone(), count - before.refused.get(why).copied().unwrap_or(0)))
        .filter(|(_, count)| *count > 0)
        .collect();
    let all = welcomed + refused.values().sum::<u64>();
    Attempts { welcomed, refused, per_success: all as f64 / welcomed.max(1) as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_ends_during_recovery_is_found() {
        let ended = |reset, closed| {
            let ended = [("connection_reset".to_owned(), reset), ("closed".to_owned(), closed)];
            unexpected_ends(30, &Tally { ended: ended.into(), ..Tally::default() })
        };
        assert_eq!(ended(29, 1), None);
        let found = ended(29, 3).map(|finding| finding.to_string());
        assert!(found.is_some_and(|found| found.contains("ended 2 sessions")));
    }
}
