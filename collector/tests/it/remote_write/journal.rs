//! Collectors that are killed while they forward, and agents that do not return.

use std::path::Path;

use rustix::process::Signal;

use super::{Engine, report, series};
use crate::support::agent::{Agent, Identity, identity};
use crate::support::command::Process;
use crate::support::frames::gauges;
use crate::support::{eventually, http};

fn start(engine: &Engine, state: &Path) -> Process {
    // The settings are read before the process listens.
    let settings = engine.settings("durable = false");
    let [settings, state] = [settings.path(), state].map(|path| path.to_str().unwrap());
    Process::start(&[
        "--config",
        settings,
        "--state-dir",
        state,
        "--return-timeout",
        "10s",
        "--max-reports-per-interval",
        "1000000",
    ])
}

fn metric(process: &Process, series: &str) -> f64 {
    let page = http::request(process.http, "GET", "/metrics/self", &[]).text();
    let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().unwrap())
}

fn now_ms() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

#[test]
fn agent_that_does_not_return_after_a_kill_ends_and_one_that_returns_does_not() {
    let engine = Engine::start();
    let state = tempfile::tempdir().unwrap();
    // An agent ends after three intervals without a report, and returns within two. One that
    // returns may be late on a busy machine.
    let with_interval = |id, interval_ms| Identity { interval_ms, ..identity(id) };
    let [dies, returns] = [with_interval("dies", 5_000), with_interval("returns", 60_000)];
    let join = |process: &Process, identity: &Identity<'_>| {
        Agent::open(process.agents, identity, &gauges(&["x", "y"]))
    };
    let mut first = start(&engine, state.path());
    let mut dying = join(&first, &dies);
    let mut returning = join(&first, &returns);
    let reported_ms = now_ms();
    report(&mut dying, reported_ms, &[1.0, 2.0]);
    report(&mut returning, reported_ms, &[1.0, 2.0]);
    engine.until(|ledger| ledger.samples_total() == 6);
    eventually("both agents are in the journal", || {
        metric(&first, "fleetgauge_remote_write_journal_agents") == 2.0
    });
    first.signal(Signal::KILL);
    first.ends();
    assert_eq!(engine.receiver.ledger().markers_total(), 0);

    let next = start(&engine, state.path());
    let mut returning = join(&next, &returns);
    report(&mut returning, now_ms(), &[3.0, 4.0]);
    let names = ["x", "y", "fleetgauge_agent_up"];
    engine.until(|ledger| names.iter().all(|name| !ledger.is_live(&series(name, "dies"))));
    for name in names {
        let [marker_ms] = engine.markers(&series(name, "dies"))[..] else { panic!("{name}") };
        assert!((reported_ms + 1..=now_ms()).contains(&marker_ms), "{marker_ms}");
        assert!(engine.receiver.ledger().is_live(&series(name, "returns")));
    }
    eventually("the agent is counted", || {
        metric(&next, "fleetgauge_remote_write_journal_agents_marked_total") == 1.0
    });
    engine.expect_no_violations();
}
