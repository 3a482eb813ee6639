//! How much authorized agents can make the collector log, in bytes of log for bytes sent.

use std::net::SocketAddr;
use std::time::Instant;

use fleetgauge_proto::Code;

use super::is_told_briefly;

use crate::support::agent::{Agent, Heard, Who, who};
use crate::support::command::Process;
use crate::support::frames::{
    COUNTER, GAUGE, SchemaFrame, family, gauges, report, schema_of, single,
};
use crate::support::http;
use crate::support::secrets::{Files, entry};

/// The most families that a schema may have.
const FAMILIES: usize = 1_000;
/// Sessions of an agent that comes back at once.
const SESSIONS: usize = 200;
/// Agents that connect besides one that does so in a loop. One may share its limit, by one in a
/// thousand; half of them never do.
const OTHERS: usize = 8;
/// The longest line that a peer may cause, in bytes.
const LONGEST_LINE: usize = 1_200;

/// A schema with as many families as may be, each of them of this kind, with a name as long as may
/// be and one series.
fn widest(kind: u8) -> SchemaFrame {
    let name = |n: usize| format!("{:x<190}_{n:04}", "family_");
    let names: Vec<_> = (0..FAMILIES).map(name).collect();
    let families: Vec<_> = names.iter().map(|name| family(name, kind)).collect();
    let series: Vec<_> = (0..FAMILIES as u32).map(single).collect();
    schema_of(&families, &series)
}

/// Connects, reports `values` once and leaves, again and again. Returns the bytes that it sent,
/// without the values and its first session, which declares the schema.
fn reconnects(collector: SocketAddr, who: &Who<'_>, schema: &SchemaFrame, values: &[f64]) -> usize {
    let (hello, report) = (who.hello(schema), report(1, values));
    for _ in 0..=SESSIONS {
        let mut agent = Agent::connect(collector);
        agent.send(&hello);
        agent.expect_welcome(schema);
        agent.send(&report);
        agent.finish();
        assert_eq!(agent.hear(), Heard::Closed);
    }
    SESSIONS * (hello.len() + report.len() - size_of_val(values))
}

/// The lines of the log with this text about this agent.
fn about<'a>(log: &'a str, line: &str, agent: &str) -> Vec<&'a str> {
    let agent = format!("agent={agent} ");
    log.lines().filter(|own| own.contains(line) && own.contains(&agent)).collect()
}

#[test]
fn a_thousand_suppressed_families_in_a_loop_do_not_fill_the_log() {
    let mut collector = Process::start(&[]);
    let log = collector.collects();
    let values = [1.0; FAMILIES];
    let holder = Agent::join(collector.agents, &who("holder"), &widest(GAUGE), &values);
    let sent = reconnects(collector.agents, &who("attacker"), &widest(COUNTER), &values);
    drop(holder);
    drop(collector.stopped());
    let log = log.join().unwrap();
    assert!(log.len() < sent, "{} bytes of log for {sent} bytes sent", log.len());
    let told = about(&log, "families suppressed", "attacker");
    assert!(!told.is_empty(), "{log}");
    assert!(
        told.iter().all(|line| line.contains("families=1000") && line.len() < LONGEST_LINE),
        "{told:?}"
    );
}

#[test]
fn an_agent_that_reconnects_in_a_loop_does_not_fill_the_log_nor_hide_another() {
    let mut collector = Process::start(&[]);
    let log = collector.collects();
    let schema = gauges(&["load"]);
    let sent = reconnects(collector.agents, &who("flaps"), &schema, &[1.0]);
    let others: Vec<_> = (0..OTHERS).map(|n| format!("web-{n}")).collect();
    for other in &others {
        drop(Agent::join(collector.agents, &who(other), &schema, &[1.0]));
    }
    drop(collector.stopped());
    let log = log.join().unwrap();
    assert!(log.len() < sent, "{} bytes of log for {sent} bytes sent", log.len());
    for line in ["agent reports", "agent gone"] {
        assert!(!about(&log, line, "flaps").is_empty(), "{log}");
        let told: Vec<_> = others.iter().map(|other| about(&log, line, other).len()).collect();
        assert!(told.iter().all(|lines| *lines <= 1), "{told:?}: {log}");
        assert!(told.iter().sum::<usize>() > OTHERS / 2, "{told:?}: {log}");
    }
}

#[test]
fn long_texts_of_a_stranger_take_no_long_line() {
    let files = Files::new();
    let readers = files.write("readers", &entry("user = 'prometheus'", &["token"], ""));
    let mut collector = Process::start(&["--http-credentials", readers.to_str().unwrap()]);
    let log = collector.collects();
    let id = "\u{1b}".repeat(16_000);
    let mut liar = Agent::greet(collector.agents, &who(&id), &gauges(&["load"]));
    liar.expect_reject(Code::BadAgentId);
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
fn a_collector_that_is_full_says_so_briefly() {
    let mut collector = Process::start(&["--max-connections", "1"]);
    let log = collector.collects();
    let first = Agent::join(collector.agents, &who("first"), &gauges(&["load"]), &[1.0]);
    let begun = Instant::now();
    for _ in 0..100 {
        Agent::connect(collector.agents).expect_reject(Code::CollectorFull);
    }
    drop(first);
    drop(collector.stopped());
    let log = log.join().unwrap();
    is_told_briefly(&log, "code=collector_full", begun);
    assert!(log.lines().any(|line| line.contains("WARN") && line.contains("code=collector_full")));
}
