//! Log bytes that authorized agents can cause for each byte that they send.

use std::net::SocketAddr;
use std::time::Instant;

use fleetgauge_proto::Code;

use super::is_rate_limited;

use crate::support::agent::{Agent, Identity, Received, identity};
use crate::support::command::Process;
use crate::support::frames::{
    COUNTER, CatalogFrame, GAUGE, catalog_of, family, gauges, report, single,
};
use crate::support::http;
use crate::support::secrets::{Files, entry};

/// The maximum number of families in a catalog.
const FAMILIES: usize = 1_000;
/// Number of reconnects of an agent that reconnects without delay.
const SESSIONS: usize = 200;
/// Number of agents that connect besides the agent that reconnects in a loop. An agent shares the
/// loop's limit with a probability of one in a thousand, so half of them never do.
const OTHERS: usize = 8;
/// Maximum length of a log line that a peer can cause, in bytes.
const LONGEST_LINE: usize = 1_200;

/// A catalog with the maximum number of families of this kind, each with a name of maximum length
/// and one series.
fn widest(kind: u8) -> CatalogFrame {
    let name = |n: usize| format!("{:x<190}_{n:04}", "family_");
    let names: Vec<_> = (0..FAMILIES).map(name).collect();
    let families: Vec<_> = names.iter().map(|name| family(name, kind)).collect();
    let series: Vec<_> = (0..FAMILIES as u32).map(single).collect();
    catalog_of(&families, &series)
}

/// Connects, reports `values` once and leaves, repeatedly. Returns the bytes sent, without the
/// values and the first session, which declares the catalog.
fn reconnects(
    collector: SocketAddr,
    identity: &Identity<'_>,
    catalog: &CatalogFrame,
    values: &[f64],
) -> usize {
    let (hello, shortest) = (identity.hello(catalog), report(1, &values[..1]));
    let report = report(1, values);
    for _ in 0..=SESSIONS {
        let mut agent = Agent::connect(collector);
        agent.send(&hello);
        agent.expect_welcome(catalog);
        agent.send(&report);
        agent.finish();
        assert_eq!(agent.receive(), Received::Closed);
    }
    SESSIONS * (hello.len() + shortest.len())
}

/// Returns the log lines with this text about this agent.
fn about<'a>(log: &'a str, line: &str, agent: &str) -> Vec<&'a str> {
    let agent = format!("agent={agent} ");
    log.lines().filter(|own| own.contains(line) && own.contains(&agent)).collect()
}

#[test]
fn suppressed_families_in_a_reconnect_loop_do_not_fill_the_log() {
    let mut collector = Process::start(&[]);
    let log = collector.collects();
    let values = [1.0; FAMILIES];
    let holder = Agent::join(collector.agents, &identity("holder"), &widest(GAUGE), &values);
    let sent = reconnects(collector.agents, &identity("attacker"), &widest(COUNTER), &values);
    drop(holder);
    drop(collector.stopped());
    let log = log.join().unwrap();
    assert!(log.len() < sent, "{} bytes of log for {sent} bytes sent", log.len());
    let lines = about(&log, "families suppressed", "attacker");
    assert!(!lines.is_empty(), "{log}");
    assert!(
        lines.iter().all(|line| line.contains("families=1000") && line.len() < LONGEST_LINE),
        "{lines:?}"
    );
}

#[test]
fn reconnect_loop_of_one_agent_neither_fills_the_log_nor_hides_others() {
    let mut collector = Process::start(&[]);
    let log = collector.collects();
    let catalog = gauges(&["load"]);
    let sent = reconnects(collector.agents, &identity("flaps"), &catalog, &[1.0]);
    let others: Vec<_> = (0..OTHERS).map(|n| format!("web-{n}")).collect();
    for other in &others {
        drop(Agent::join(collector.agents, &identity(other), &catalog, &[1.0]));
    }
    drop(collector.stopped());
    let log = log.join().unwrap();
    assert!(log.len() < sent, "{} bytes of log for {sent} bytes sent", log.len());
    for line in ["agent connected", "agent disconnected"] {
        assert!(!about(&log, line, "flaps").is_empty(), "{log}");
        let lines: Vec<_> = others.iter().map(|other| about(&log, line, other).len()).collect();
        assert!(lines.iter().all(|lines| *lines <= 1), "{lines:?}: {log}");
        assert!(lines.iter().sum::<usize>() > OTHERS / 2, "{lines:?}: {log}");
    }
}

#[test]
fn long_text_of_an_unauthenticated_peer_is_truncated() {
    let files = Files::new();
    let readers = files.write("readers", &entry("user = 'prometheus'", &["token"], ""));
    let mut collector = Process::start(&["--http-credentials", readers.to_str().unwrap()]);
    let log = collector.collects();
    let id = "\u{1b}".repeat(16_000);
    let mut agent = Agent::greet(collector.agents, &identity(&id), &gauges(&["load"]));
    agent.expect_reject(Code::BadAgentId);
    let path = format!("/{}", "a".repeat(12_000));
    assert_eq!(http::request(collector.http, "GET", &path, &[]).status, 401);
    drop(collector.stopped());
    let log = log.join().unwrap();
    assert!(
        log.contains("code=bad_agent_id") && log.contains("HTTP request unauthorized"),
        "{log}"
    );
    assert!(log.lines().all(|line| line.len() < LONGEST_LINE), "{log}");
}

#[test]
fn full_collector_does_not_fill_the_log() {
    let mut collector = Process::start(&["--max-connections", "1"]);
    let log = collector.collects();
    let first = Agent::join(collector.agents, &identity("first"), &gauges(&["load"]), &[1.0]);
    let begun = Instant::now();
    for _ in 0..100 {
        Agent::connect(collector.agents).expect_reject(Code::CollectorFull);
    }
    drop(first);
    drop(collector.stopped());
    let log = log.join().unwrap();
    is_rate_limited(&log, "code=collector_full", begun);
    assert!(log.lines().any(|line| line.contains("WARN") && line.contains("code=collector_full")));
}
