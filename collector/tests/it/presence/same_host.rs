//! One id, two connections from one host: the newest wins, and no page lacks the series.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use fleetgauge_proto::Code;

use crate::support::agent::{Agent, Received, identity};
use crate::support::collector::Collector;
use crate::support::frames::{CatalogFrame, gauges};
use crate::support::{StopAtEnd, eventually};

/// The agent reconnects three times during continuous scrapes. Each page must have `load` once.
fn leaves_no_gap(catalogs: [&CatalogFrame; 4]) {
    let collector = Collector::start();
    let width =
        |catalog: &CatalogFrame| if *catalog.bytes == *gauges(&["load"]).bytes { 1 } else { 2 };
    let values = |n: usize| vec![n as f64; width(catalogs[n])];
    let mut agents = vec![Agent::join(collector.agents, &identity("a"), catalogs[0], &values(0))];
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
        for (n, catalog) in catalogs.into_iter().enumerate().skip(1) {
            let before = scraped.load(Ordering::Relaxed);
            let next = Agent::join(collector.agents, &identity("a"), catalog, &values(n));
            assert_eq!(collector.page().value("load{agent=\"a\"}"), Some(n as f64));
            agents.last_mut().unwrap().expect_reject(Code::Superseded);
            agents.push(next);
            eventually("a page spans the change", || scraped.load(Ordering::Relaxed) > before + 1);
        }
        drop(stopping);
    });
    assert_eq!(collector.closed("superseded"), 3.0);
    assert_eq!(collector.rejects("id_conflict"), 0.0);
    assert_eq!(collector.metric("fleetgauge_agents_connected"), 1.0);
    drop(agents);
}

#[test]
fn takeover_with_the_same_catalog_leaves_no_gap() {
    let catalog = gauges(&["load"]);
    leaves_no_gap([&catalog; 4]);
}

#[test]
fn takeover_with_another_catalog_leaves_no_gap() {
    let (one, two) = (gauges(&["load"]), gauges(&["extra", "load"]));
    leaves_no_gap([&one, &two, &one, &two]);
}

#[test]
fn older_connection_stays_until_the_newer_one_reports() {
    let collector = Collector::start();
    let catalog = gauges(&["load"]);
    let mut older = Agent::join(collector.agents, &identity("a"), &catalog, &[1.0]);
    let mut newer = Agent::open(collector.agents, &identity("a"), &catalog);
    newer.settle();
    older.report(&[2.0]);
    assert_eq!(collector.page().values_of("a"), [2.0]);
    newer.report(&[3.0]);
    assert_eq!(collector.page().values_of("a"), [3.0]);
    older.expect_reject(Code::Superseded);
    assert_eq!(collector.page().values_of("a"), [3.0]);
}

#[test]
fn late_end_of_the_older_connection_does_not_affect_the_newer() {
    let collector = Collector::start();
    let catalog = gauges(&["load"]);
    let older = Agent::join(collector.agents, &identity("a"), &catalog, &[1.0]);
    let newer = Agent::join(collector.agents, &identity("a"), &catalog, &[2.0]);
    older.reset();
    eventually("the older session has ended", || {
        collector.metric("fleetgauge_connections_open") == 1.0
    });
    assert_eq!(collector.page().values_of("a"), [2.0]);
    drop(newer);
}

#[test]
fn reports_of_a_superseded_connection_are_ignored() {
    let collector = Collector::start();
    let catalog = gauges(&["load"]);
    let mut older = Agent::join(collector.agents, &identity("a"), &catalog, &[1.0]);
    let newer = Agent::join(collector.agents, &identity("a"), &catalog, &[2.0]);
    // Frames of the older connection that were in flight at the takeover.
    older.sequence += 1;
    let report = crate::support::frames::report(older.sequence, &[9.0]);
    let _ = std::io::Write::write_all(&mut older.stream, &report);
    older.expect_code(Code::Superseded);
    assert_eq!(collector.page().values_of("a"), [2.0]);
    drop(newer);
}

#[test]
fn fourth_takeover_within_a_minute_is_rejected() {
    let collector = Collector::start();
    let catalog = gauges(&["load"]);
    let mut agents = vec![Agent::join(collector.agents, &identity("a"), &catalog, &[0.0])];
    // Welcomed while one takeover was left; reports when none is left.
    let mut waiting = Agent::open(collector.agents, &identity("a"), &catalog);
    for n in 1..4 {
        agents.push(Agent::join(collector.agents, &identity("a"), &catalog, &[f64::from(n)]));
    }
    let mut fourth = Agent::greet(collector.agents, &identity("a"), &catalog);
    let (text, retry_after_ms) = fourth.expect_reject(Code::IdConflict);
    assert!(text.contains('a') && retry_after_ms.is_some());
    waiting.send(&crate::support::frames::report(1, &[9.0]));
    waiting.expect_reject(Code::IdConflict);
    let holder = agents.last_mut().unwrap();
    holder.report(&[7.0]);
    assert_eq!(collector.page().values_of("a"), [7.0]);
    assert_eq!(collector.rejects("id_conflict"), 2.0);
    drop(agents);
    // The id is free, so nobody is challenged.
    eventually("it is free", || {
        let mut next = Agent::greet(collector.agents, &identity("a"), &catalog);
        matches!(next.receive(), Received::Welcome { .. })
    });
}
