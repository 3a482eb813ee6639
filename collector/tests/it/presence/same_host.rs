//! The same id from the same host: the newest connection wins, and its series never blink.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use fleetgauge_proto::Code;

use crate::support::agent::{Agent, Heard, who};
use crate::support::collector::Collector;
use crate::support::frames::{SchemaFrame, gauges};
use crate::support::{StopAtEnd, eventually};

/// The agent reconnects three times during continuous scrapes: each page has `load` once.
fn never_blinks(schemas: [&SchemaFrame; 4]) {
    let collector = Collector::start();
    let width =
        |schema: &SchemaFrame| if *schema.bytes == *gauges(&["load"]).bytes { 1 } else { 2 };
    let values = |n: usize| vec![n as f64; width(schemas[n])];
    let mut agents = vec![Agent::join(collector.agents, &who("a"), schemas[0], &values(0))];
    let (stop, scraped) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let page = collector.page();
                let load = page.samples().filter(|(series, _)| *series == "load{agent=\"a\"}");
                assert_eq!(load.count(), 1, "{}", page.0);
                scraped.fetch_add(1, Ordering::Relaxed);
            }
        });
        let stopping = StopAtEnd(&stop);
        for (n, schema) in schemas.into_iter().enumerate().skip(1) {
            let before = scraped.load(Ordering::Relaxed);
            let next = Agent::join(collector.agents, &who("a"), schema, &values(n));
            assert_eq!(collector.page().value("load{agent=\"a\"}"), Some(n as f64));
            agents.last_mut().unwrap().expect_reject(Code::Superseded);
            agents.push(next);
            eventually("a page spans the change", || scraped.load(Ordering::Relaxed) > before + 1);
        }
        drop(stopping);
    });
    assert_eq!(collector.closed("superseded"), 3.0);
    assert_eq!(collector.rejects("id_conflict"), 0.0);
    assert_eq!(collector.figure("fleetgauge_agents_connected"), 1.0);
    drop(agents);
}

#[test]
fn takeovers_with_the_same_schema_never_blink() {
    let schema = gauges(&["load"]);
    never_blinks([&schema; 4]);
}

#[test]
fn takeovers_with_another_schema_never_blink() {
    let (one, two) = (gauges(&["load"]), gauges(&["extra", "load"]));
    never_blinks([&one, &two, &one, &two]);
}

#[test]
fn the_older_connection_stays_until_the_newer_reports() {
    let collector = Collector::start();
    let schema = gauges(&["load"]);
    let mut older = Agent::join(collector.agents, &who("a"), &schema, &[1.0]);
    let mut newer = Agent::open(collector.agents, &who("a"), &schema);
    newer.settle();
    older.report(&[2.0]);
    assert_eq!(collector.page().values_of("a"), [2.0]);
    newer.report(&[3.0]);
    assert_eq!(collector.page().values_of("a"), [3.0]);
    older.expect_reject(Code::Superseded);
    assert_eq!(collector.page().values_of("a"), [3.0]);
}

#[test]
fn a_late_end_of_the_older_connection_takes_nothing_from_the_newer() {
    let collector = Collector::start();
    let schema = gauges(&["load"]);
    let older = Agent::join(collector.agents, &who("a"), &schema, &[1.0]);
    let newer = Agent::join(collector.agents, &who("a"), &schema, &[2.0]);
    older.reset();
    eventually("the older is gone", || collector.figure("fleetgauge_connections_open") == 1.0);
    assert_eq!(collector.page().values_of("a"), [2.0]);
    drop(newer);
}

#[test]
fn reports_of_the_older_connection_never_show_again() {
    let collector = Collector::start();
    let schema = gauges(&["load"]);
    let mut older = Agent::join(collector.agents, &who("a"), &schema, &[1.0]);
    let newer = Agent::join(collector.agents, &who("a"), &schema, &[2.0]);
    // What the older one had on its way when it was taken over.
    older.sequence += 1;
    let report = crate::support::frames::report(older.sequence, &[9.0]);
    let _ = std::io::Write::write_all(&mut older.stream, &report);
    older.expect_code(Code::Superseded);
    assert_eq!(collector.page().values_of("a"), [2.0]);
    drop(newer);
}

#[test]
fn more_than_three_takeovers_a_minute_are_a_conflict() {
    let collector = Collector::start();
    let schema = gauges(&["load"]);
    let mut agents = vec![Agent::join(collector.agents, &who("a"), &schema, &[0.0])];
    // It is welcomed while there is still a takeover left, and reports when there is none.
    let mut waiting = Agent::open(collector.agents, &who("a"), &schema);
    for n in 1..4 {
        agents.push(Agent::join(collector.agents, &who("a"), &schema, &[f64::from(n)]));
    }
    let mut newcomer = Agent::greet(collector.agents, &who("a"), &schema);
    let (text, retry_after_ms) = newcomer.expect_reject(Code::IdConflict);
    assert!(text.contains('a') && retry_after_ms.is_some());
    waiting.send(&crate::support::frames::report(1, &[9.0]));
    waiting.expect_reject(Code::IdConflict);
    let holder = agents.last_mut().unwrap();
    holder.report(&[7.0]);
    assert_eq!(collector.page().values_of("a"), [7.0]);
    assert_eq!(collector.rejects("id_conflict"), 2.0);
    drop(agents);
    // The id is free, so there is no challenge.
    eventually("it is free", || {
        let mut next = Agent::greet(collector.agents, &who("a"), &schema);
        matches!(next.hear(), Heard::Welcome { .. })
    });
}
