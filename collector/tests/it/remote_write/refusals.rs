//! Engines that refuse requests.

use fleetgauge_receiver::Answer;

use super::samples::dropped;
use super::{Engine, report, series, start_ms};
use crate::support::agent::{Agent, identity};
use crate::support::collector::Collector;
use crate::support::eventually;
use crate::support::frames::gauges;

#[test]
fn poisoned_series_is_dropped_alone() {
    for status in [400, 409] {
        let engine = Engine::start();
        engine.receiver.faults().poison(status, |labels| labels.get("__name__") == Some("bad"));
        let collector = engine.collector("flush_delay = \"1s\"\ncompression = \"snappy\"");
        let start = start_ms();
        let mut agents: Vec<_> = (0..10)
            .map(|n| {
                let id = format!("a{n}");
                let names: &[_] = if n == 7 { &["x", "bad", "y"] } else { &["x", "y", "z"] };
                Agent::open(collector.agents, &identity(&id), &gauges(names))
            })
            .collect();
        for agent in &mut agents {
            report(agent, start, &[1.0, 2.0, 3.0]);
        }
        engine.until(|ledger| ledger.samples_total() == 10 * 4 - 1);
        eventually("the sample is counted", || dropped(&collector, "rejected") == 1.0);
        assert_eq!(engine.values(&series("x", "a7")), [(start, 1.0)]);
        assert!(engine.values(&series("bad", "a7")).is_empty());
        engine.expect_no_violations();
    }
}

/// The engine refuses everything: a request for each series would be thousands.
#[test]
fn engine_that_refuses_everything_gets_a_bounded_number_of_requests() {
    let engine = Engine::start();
    engine.receiver.faults().poison(400, |_| true);
    let collector = engine.collector("compression = \"snappy\"");
    let names: Vec<_> = (0..500).map(|n| format!("m{n}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let mut agent = Agent::open(collector.agents, &identity("a"), &gauges(&names));
    report(&mut agent, start_ms(), &[1.0; 500]);
    eventually("all samples are dropped", || dropped(&collector, "rejected") == 501.0);
    assert!(engine.receiver.ledger().requests_total() < 200);
}

#[test]
fn request_that_is_too_large_is_split() {
    let engine = Engine::start();
    engine.receiver.faults().too_large(1_000);
    let collector = engine.collector("compression = \"snappy\"");
    let names: Vec<_> = (0..500).map(|n| format!("m{n}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let mut agent = Agent::open(collector.agents, &identity("a"), &gauges(&names));
    report(&mut agent, start_ms(), &[1.0; 500]);
    engine.until(|ledger| ledger.samples_total() == 501);
    engine.expect_no_violations();
}

/// Prometheus refuses what it has already, if it has newer samples.
#[test]
fn reports_that_the_engine_has_already_take_none_of_the_new_ones_with_them() {
    let engine = Engine::start();
    let start = start_ms();
    let names: Vec<_> = (0..100).map(|n| format!("m{n}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    // Two collectors: the agents move to the second one, and send the last three reports again.
    let keys = "agent_up = false\ncompression = \"snappy\"\nflush_delay = \"1s\"";
    let ids: Vec<_> = (0..10).map(|n| format!("a{n}")).collect();
    let send = |collector: &Collector, reports: std::ops::Range<i32>| {
        let mut agents: Vec<_> = ids
            .iter()
            .map(|id| Agent::open(collector.agents, &identity(id), &gauges(&names)))
            .collect();
        for report_number in reports {
            for agent in &mut agents {
                let value = f64::from(report_number);
                report(agent, start + 10 * i64::from(report_number), &[value; 100]);
            }
        }
        agents
    };
    let first = engine.collector(keys);
    let _before = send(&first, 0..5);
    engine.until(|ledger| ledger.samples_total() == 5 * 1_000);
    engine.receiver.faults().in_order_only(400);
    let second = engine.collector(keys);
    let _after = send(&second, 2..8);
    engine.until(|ledger| ledger.samples_total() == 8 * 1_000);
    eventually("the repeats are counted", || dropped(&second, "rejected") == 2_000.0);
    engine.expect_no_violations();
}

/// The engine has stored a request with three reports of an agent and the connection is cut. Then
/// it accepts only the newest one again.
#[test]
fn reports_that_an_unanswered_request_has_stored_do_not_count_as_rejected() {
    for batches_before in [0, 1] {
        let engine = Engine::start();
        engine.receiver.faults().in_order_only(400);
        let collector = engine.collector(&three_reports_a_request(2));
        let mut agent = Agent::open(collector.agents, &identity("a"), &gauges(&["x", "y"]));
        let start = start_ms();
        let mut report_three = |batch: u32| {
            for round in 3 * batch..3 * batch + 3 {
                report(&mut agent, start + i64::from(round), &[f64::from(round); 2]);
            }
        };
        if batches_before > 0 {
            // The next request uses the connection of this one.
            report_three(0);
            engine.until(|ledger| ledger.samples_total() == 9);
        }
        engine.receiver.faults().answer_next(1, Answer::Cut { stored: true });
        report_three(batches_before);
        let accepted =
            || collector.metric("fleetgauge_remote_write_samples_total{remote_name=\"engine\"}");
        let expected = f64::from(9 * batches_before + 3);
        eventually("the newest report is accepted", || accepted() == expected);
        assert_eq!(uncertain(&collector), 6.0);
        assert_eq!(dropped(&collector, "rejected"), 0.0);
        assert_eq!(engine.values(&series("x", "a")).len() as u32, 3 * batches_before + 3);
        assert!(engine.receiver.ledger().requests_total() < 15);
        engine.expect_no_violations();
    }
}

/// The newest report shows that the engine does not take the series.
#[test]
fn series_that_the_engine_never_takes_counts_as_rejected_after_an_unanswered_request() {
    let engine = Engine::start();
    let faults = engine.receiver.faults();
    faults.poison(400, |labels| labels.get("__name__") == Some("bad"));
    faults.answer_next(1, Answer::Cut { stored: false });
    let collector = engine.collector(&three_reports_a_request(3));
    let mut agent = Agent::open(collector.agents, &identity("a"), &gauges(&["x", "bad", "y"]));
    let start = start_ms();
    for round in 1_i32..=3 {
        report(&mut agent, start + i64::from(round), &[f64::from(round); 3]);
    }
    engine.until(|ledger| ledger.samples_total() == 3 * 3);
    eventually("the newest sample is counted", || dropped(&collector, "rejected") == 1.0);
    assert_eq!(uncertain(&collector), 2.0);
    engine.expect_no_violations();
}

/// 429 is an answer: the engine has nothing of the request.
#[test]
fn refusal_after_a_request_that_was_not_stored_counts_as_rejected() {
    let engine = Engine::start();
    let faults = engine.receiver.faults();
    faults.poison(400, |_| true);
    faults.answer_next(1, Answer::Status { status: 429, retry_after: None });
    let collector = engine.collector(&three_reports_a_request(1));
    let mut agent = Agent::open(collector.agents, &identity("a"), &gauges(&["x"]));
    let start = start_ms();
    for round in 1_i32..=3 {
        report(&mut agent, start + i64::from(round), &[f64::from(round)]);
    }
    eventually("all samples are dropped", || dropped(&collector, "rejected") == 6.0);
    assert_eq!(uncertain(&collector), 0.0);
}

/// Returns keys with which each request has three reports of this many series, and
/// `fleetgauge_agent_up`.
fn three_reports_a_request(series: u32) -> String {
    format!("compression = \"snappy\"\nflush_delay = \"1m\"\nmax_samples = {}", 3 * (series + 1))
}

fn uncertain(collector: &Collector) -> f64 {
    collector.metric("fleetgauge_remote_write_samples_uncertain_total{remote_name=\"engine\"}")
}

#[test]
fn engine_without_zstd_gets_snappy() {
    for status in [400, 415] {
        let engine = Engine::start();
        engine.receiver.faults().no_zstd(status);
        let collector = engine.collector("");
        let mut agent = Agent::open(collector.agents, &identity("a"), &gauges(&["x"]));
        report(&mut agent, start_ms(), &[1.0]);
        engine.until(|ledger| ledger.samples_total() == 2);
        report(&mut agent, start_ms() + 10, &[1.0]);
        engine.until(|ledger| ledger.samples_total() == 4);
        // Only the first request had zstd.
        assert_eq!(engine.receiver.ledger().answers(status), 1);
        assert_eq!(dropped(&collector, "rejected"), 0.0);
    }
}

/// A series that the engine refuses must not keep the others of its agent alive.
#[test]
fn poisoned_series_takes_no_other_marker_with_it() {
    let engine = Engine::start();
    engine.receiver.faults().poison(400, |labels| labels.get("__name__") == Some("bad"));
    let collector = engine.collector("compression = \"snappy\"");
    let mut agent = Agent::open(collector.agents, &identity("a"), &gauges(&["x", "bad", "y", "z"]));
    report(&mut agent, start_ms(), &[1.0; 4]);
    engine.until(|ledger| ledger.samples_total() == 4);
    drop(agent);
    engine.until(|ledger| ledger.markers_total() == 4);
    for name in ["x", "y", "z", "fleetgauge_agent_up"] {
        assert!(!engine.receiver.ledger().is_live(&series(name, "a")), "{name}");
    }
}
