//! Hostile peers beside an honest fleet: the honest lose nothing, their reports are hardly later
//! than without, the collector's memory stays within its bound, and every kind of attack was really
//! made and refused.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::Duration;

use fleetgauge_proto::Code;
use fleetgauge_proto::limits::DECODE_BUDGET_BYTES;
use serde::Serialize;
use serde_json::json;
use tokio::time::Instant;

use super::args::HostileArgs;
use super::failure::Failure;
use super::own::Own;
use super::scene::Scene;
use super::scraping::{Spread, judge_quiet};
use crate::finding::Finding;
use crate::hostile::{self, Campaign, FLOODERS, Kind, Target};
use crate::orders::{Numbers, Order, Retry};
use crate::parts::FOR_P99;
use crate::plan::Plan;
use crate::progress::Progress;
use crate::results::Results;
use crate::scrape::ScrapeError;
use crate::tally::{Causes, Times};
use crate::usage;

/// Between two pages that are judged.
const JUDGED_EVERY: Duration = Duration::from_secs(1);
/// How long attacks that are under way may take to end, and then the collector to forget them.
const OVER_WITHIN: Duration = Duration::from_secs(30);
/// Where honest agents come from: a fleet behind a few addresses, which are exempt as such
/// addresses ought to be.
const HONEST: &str = "127.0.0.1,127.10.0.0/16";
/// Memory that agents may take: for each honest one twice what it needs, and so much more.
const MEMORY_BYTES: u64 = 8 << 20;
const MEMORY_BYTES_EACH: u64 = 2_048;
/// The allocator's rounding, by which what is counted becomes what is resident, as it is
/// documented.
const ROUNDING: f64 = 1.1;

/// On a quiet machine answers take a millisecond, and twice that is no finding: they may take so
/// much longer, as beside scrapes.
const ANSWERS_SLACK_MS: f64 = 50.0;

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Hostile {
    /// From when a report was due to when the collector had taken it in.
    pub lag: Parts,
    /// That without the generator's own lag.
    pub answered: Parts,
    /// What attackers did, and what they were told.
    pub attacks: Campaign,
    /// What the collector counted meanwhile, by code.
    pub rejects: BTreeMap<String, u64>,
    /// The collector's memory.
    pub memory: Memory,
}

/// Times of reports, without and with attackers.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Parts {
    pub quiet: Spread,
    pub attacked: Spread,
}

/// The collector's memory.
#[derive(Debug, Default, Serialize)]
pub struct Memory {
    /// Most that agents may take, as counted.
    pub limit_bytes: u64,
    /// Most that they had taken when it was looked at.
    pub counted_bytes: u64,
    /// Resident before the first agent.
    pub resident_before_bytes: Option<u64>,
    /// Most that was ever resident.
    pub resident_peak_bytes: Option<u64>,
    /// Most that may be: what was there before, what agents may take once and once more for a
    /// scrape, and what messages may take while they are decoded, one a thread.
    pub bound_bytes: Option<u64>,
}

/// A part of the test.
struct Phase {
    lag: Times,
    answered: Times,
    /// Most memory that was counted.
    counted: u64,
}

/// Does it all.
///
/// # Errors
/// What keeps it from being done: no room, no collector, a worker that ended.
pub async fn hostile(args: &HostileArgs) -> anyhow::Result<Results> {
    let mut scene = Scene::without_workers("hostile", plan(args)).await?;
    let honest = Numbers { first: 0, count: args.fleet.agents };
    // Those who flood reports have reported, and so are shown while they are let.
    let known = Numbers { count: honest.count + FLOODERS, ..honest };
    let order = Order { known, ..scene.orders()?(honest) };
    scene.fleet.hire(&order, &[]).await?;
    let resident_before_bytes = scene.fleet.collectors_usage().map(|usage| usage.resident);
    scene.bring_up(&args.fleet).await?;
    let quiet = watch(&mut scene, "quiet", args.duration).await?;
    let before = own(&mut scene, "quiet", Instant::now() + OVER_WITHIN).await;
    let attackers = hostile::launch(target(args, order.collector))?;
    let attacked = watch(&mut scene, "attacked", args.duration).await?;
    let attacks = over(&mut scene, attackers).await?;
    let memory = memory(&scene, &before, &attacked, resident_before_bytes);
    let after = forgotten(&mut scene, honest.count).await?;
    let rejects = after.rejects_since(&before);
    scene.found("attacks", judge_attacks(&attacks, &rejects));
    scene.found("memory", judge_memory(&memory));
    let slow = judge_quiet(args.baseline, &quiet.answered);
    scene.found("quiet", slow);
    scene.found("answers", judge_answers(args.slower, &quiet.answered, &attacked.answered));
    let made = attacks.values().map(|attacks| attacks.made).sum();
    scene.fleet.verdict.checked("attacks", made);
    let parts = |of: fn(&Phase) -> &Times| {
        let [quiet, attacked] = [&quiet, &attacked].map(|phase| Spread::from(of(phase)));
        Parts { quiet, attacked }
    };
    let figures = Hostile {
        lag: parts(|phase| &phase.lag),
        answered: parts(|phase| &phase.answered),
        attacks,
        rejects,
        memory,
    };
    scene.finish(settings(args), figures).await
}

fn settings(args: &HostileArgs) -> serde_json::Value {
    json!({
        "agents": args.fleet.agents,
        "interval_seconds": args.fleet.interval().as_secs_f64(),
        "phase_seconds": args.duration.as_secs_f64(),
        "attacks_per_second": args.rate,
        "baseline_ms": args.baseline.as_secs_f64() * 1e3,
        "slower": args.slower,
    })
}

/// The fleet, and a collector that knows where it comes from and has little memory to give away.
fn plan(args: &HostileArgs) -> Plan {
    let memory = MEMORY_BYTES + u64::from(args.fleet.agents) * MEMORY_BYTES_EACH;
    let mut flags = args.fleet.flags();
    flags.push(format!("--exempt={HONEST}"));
    flags.push(format!("--max-memory-bytes={memory}"));
    flags.push("--max-scrapes=1".to_owned());
    args.fleet.plan(1, Retry::Quick, flags)
}

fn target(args: &HostileArgs, collector: SocketAddr) -> Target {
    Target { collector, agents: args.fleet.agents, per_second: args.rate, time: args.duration }
}

/// What the collector says of itself. That it does not is a finding, and it is asked again.
async fn own(scene: &mut Scene, when: &str, deadline: Instant) -> Own {
    let (own, error) = Own::fetch_until(scene.fleet.collectors[0].http, deadline).await;
    let failed = |error: ScrapeError| Finding::ScrapeFailed { why: error.to_string() };
    scene.fleet.verdict.add(when, error.map(failed));
    own
}

/// Has pages judged, and looks at the memory, for so long; no session may end meanwhile.
async fn watch(scene: &mut Scene, what: &str, duration: Duration) -> anyhow::Result<Phase> {
    scene.fleet.note(what);
    scene.fleet.begin_part(what);
    scene.fleet.progress = Some(Progress::of_time(what, duration));
    scene.fleet.end_part(&format!("before it is {what}")).await?;
    let (until, mut counted) = (Instant::now() + duration, 0);
    while Instant::now() < until {
        let next = until.min(Instant::now() + JUDGED_EVERY);
        scene.judge_all(what).await?;
        let own = own(scene, what, next).await;
        counted = counted.max(own.value("fleetgauge_memory_bytes"));
        scene.fleet.until(next, |_| false).await?;
    }
    let times = scene.fleet.end_measured_part(what, FOR_P99).await?.times;
    Ok(Phase { lag: times.lag, answered: times.answer, counted })
}

/// Waits for the attacks that are under way.
async fn over(
    scene: &mut Scene,
    attackers: JoinHandle<std::io::Result<Campaign>>,
) -> anyhow::Result<Campaign> {
    scene.fleet.note("attacks end");
    scene.fleet.begin_part("waiting for the last attacks");
    while !attackers.is_finished() {
        scene.fleet.wait(Duration::from_millis(100)).await?;
    }
    let campaign = attackers.join().map_err(|_| anyhow::anyhow!("the attackers panicked"))?;
    Ok(campaign?)
}

/// Waits until the collector holds nothing of the attackers any more, and has a page judged.
async fn forgotten(scene: &mut Scene, honest: u32) -> anyhow::Result<Own> {
    scene.fleet.begin_part("waiting until attackers are forgotten");
    let until = Instant::now() + OVER_WITHIN;
    let after = loop {
        let after = own(scene, "after the attacks", until).await;
        let open = after.value("fleetgauge_connections_open");
        if open == u64::from(honest) {
            break after;
        }
        if Instant::now() > until {
            let left = Failure::ConnectionsLeft { open, of: honest.into(), within: OVER_WITHIN };
            scene.found("after the attacks", [left]);
            break after;
        }
        scene.fleet.wait(Duration::from_millis(100)).await?;
    };
    scene.fleet.note("all gone");
    scene.settle().await?;
    scene.judge_all("after the attacks").await?;
    Ok(after)
}

fn memory(scene: &Scene, own: &Own, attacked: &Phase, resident_before: Option<u64>) -> Memory {
    let limit_bytes = own.value("fleetgauge_memory_limit_bytes");
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let decoding = (DECODE_BUDGET_BYTES * threads) as u64;
    let agents = (limit_bytes as f64 * ROUNDING) as u64;
    Memory {
        limit_bytes,
        counted_bytes: attacked.counted,
        resident_before_bytes: resident_before,
        resident_peak_bytes: usage::peak(scene.pids().into_iter()),
        bound_bytes: resident_before.map(|before| before + 2 * agents + decoding),
    }
}

/// Memory that nobody has told of is no memory within its bound.
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

/// Every kind was made and refused with its code, nobody was let in by it, and the collector has
/// counted what the attackers were told.
fn judge_attacks(attacks: &Campaign, rejects: &BTreeMap<String, u64>) -> Vec<Failure> {
    let mut failures = Vec::new();
    let mut all_told = Causes::new();
    for kind in Kind::ALL {
        let (kind, code) = (kind.name(), kind.code().reason());
        let Some(attacks) = attacks.get(kind) else { continue };
        let told = |what: &str| attacks.told.get(what).copied().unwrap_or(0);
        if told(code) == 0 {
            failures.push(Failure::AttackNotRefused { kind, code, of: attacks.made });
        }
        if told("welcomed") > 0 {
            failures.push(Failure::AttackWelcomed { kind, times: told("welcomed") });
        }
        for (what, times) in &attacks.told {
            *all_told.entry(what.clone()).or_default() += times;
        }
    }
    for code in Code::ALL.iter().map(|code| code.reason()) {
        let told = all_told.get(code).copied().unwrap_or(0);
        let counted = rejects.get(code).copied().unwrap_or(0);
        if counted < told {
            failures.push(Failure::RefusalsUncounted { code, told, counted });
        }
    }
    failures
}

/// Judges answers alone: lag is the same with the generator's own lag, which is none of the
/// collector's.
fn judge_answers(slower: f64, quiet: &Times, attacked: &Times) -> Option<Failure> {
    let what = "answers";
    if quiet.count() == 0 || attacked.count() == 0 {
        return Some(Failure::NothingMeasured { what });
    }
    let (quiet_ms, attacked_ms) = (quiet.quantile_ms(0.99), attacked.quantile_ms(0.99));
    let bound_ms = slower * quiet_ms + ANSWERS_SLACK_MS;
    let over = attacked_ms >= bound_ms;
    over.then_some(Failure::ReportsHeldUp { what, attacked_ms, quiet_ms, bound_ms })
}

#[cfg(test)]
#[path = "hostile_tests.rs"]
mod tests;
