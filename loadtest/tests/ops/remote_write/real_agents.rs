//! Real agents with hundreds of series each, and an engine that is down for some reports.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::super::programs::{agent, wait_for};
use super::Forwarding;
use super::engine::{Engine, Kind, VISIBLE};
use super::story::count;

/// All series of agents.
const ALL: &str = "{agent=~\".+\"}";
/// Length of the outage, as age of the oldest queued sample in seconds.
const OUTAGE_SECONDS: f64 = 5.0;
/// Time between two samples that means that one is missing, in milliseconds: well above the
/// interval of a second, for a machine that is busy, and well below the outage.
const MAX_GAP_MS: i64 = 3_000;

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

#[test]
#[ignore = "needs prometheus"]
fn real_agents_lose_no_sample_in_an_outage_and_are_gone_when_killed() {
    let mut engine = Engine::start(Kind::Prometheus(""));
    let collector = Forwarding::to(&engine.url(), "");
    let mut agents = ["web-1", "web-2"].map(|id| agent(id, &collector, "basic,node"));
    wait_for("both agents", 60, || (count(&engine) == 2.0).then_some(()));
    engine.stop();
    wait_for("an outage", 60, || (collector.lag() >= OUTAGE_SECONDS).then_some(()));
    engine.resume();
    wait_for("the end of the outage", 60, || {
        (collector.lag() < OUTAGE_SECONDS / 2.0).then_some(())
    });

    let series = engine.now("{agent=\"web-1\"}").len();
    let killed = Instant::now();
    agents[0].kill();
    wait_for("the end of all series", VISIBLE.as_secs(), || {
        engine.now("{agent=\"web-1\"}").is_empty().then_some(())
    });
    println!("Prometheus: {series} series gone {} ms after SIGKILL", killed.elapsed().as_millis());
    assert_eq!(count(&engine), 1.0);
    agents[1].kill();
    wait_for("the end of the other agent", VISIBLE.as_secs(), || {
        engine.now(ALL).is_empty().then_some(())
    });

    collector.assert_none_dropped();
    let accepted = collector.metric("fleetgauge_remote_write_samples_total{");
    assert_eq!(accepted, collector.metric("fleetgauge_remote_write_samples_in_total{"));
    let stored = engine.samples(ALL, now_ms());
    let stored: usize = stored.values().map(Vec::len).sum();
    assert_eq!(stored as f64, accepted);
}

/// The collector is killed while it has samples that the engine has not accepted, and another one
/// is started at its address. Agents send these samples again from their logs.
#[test]
#[ignore = "needs prometheus"]
fn killed_collector_loses_no_report() {
    let mut engine = Engine::start(Kind::Prometheus(""));
    let mut collector = Forwarding::to(&engine.url(), "");
    let _agents = ["web-1", "web-2"].map(|id| agent(id, &collector, "basic"));
    wait_for("both agents", 60, || (count(&engine) == 2.0).then_some(()));
    engine.stop();
    wait_for("an outage", 60, || (collector.lag() >= OUTAGE_SECONDS).then_some(()));
    let killed_ms = now_ms();
    let collector = collector.replace();
    wait_for("both agents again", 60, || {
        (collector.metric("fleetgauge_agents_connected") == 2.0).then_some(())
    });
    engine.resume();
    let resumed_ms = now_ms();
    // Replays take some time, and newer samples wait for them.
    let histories = wait_for("samples of all times", 60, || {
        let histories = engine.samples("fleetgauge_agent_up", now_ms());
        let is_complete = |history: &Vec<(i64, f64)>| {
            history.first().is_some_and(|first| first.0 < killed_ms - MAX_GAP_MS)
                && history.last().is_some_and(|last| last.0 > resumed_ms)
                && longest_gap(history) < MAX_GAP_MS
        };
        (histories.len() == 2 && histories.values().all(is_complete)).then_some(histories)
    });
    for history in histories.values() {
        println!("{} samples, at most {} ms apart", history.len(), longest_gap(history));
    }
    assert_eq!(collector.metric("fleetgauge_remote_write_reports_missing_total{"), 0.0);
    collector.assert_none_dropped();
}

/// Longest time between two samples, in milliseconds.
fn longest_gap(history: &[(i64, f64)]) -> i64 {
    history.windows(2).map(|pair| pair[1].0 - pair[0].0).max().unwrap_or_default()
}
