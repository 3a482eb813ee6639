//! Engines that are away for a time, and collectors that stop.

use fleetgauge_receiver::Answer;

use super::samples::dropped;
use super::{Engine, report, series, start_ms};
use crate::support::agent::{Agent, identity};
use crate::support::collector::Collector;
use crate::support::eventually;
use crate::support::frames::gauges;

#[test]
fn what_was_reported_while_the_engine_was_away_arrives_afterwards() {
    let mut engine = Engine::start();
    let collector = engine.collector("");
    let mut agent = Agent::open(collector.agents, &identity("a"), &gauges(&["x"]));
    let start = start_ms();
    report(&mut agent, start, &[0.0]);
    engine.until(|ledger| ledger.samples_total() == 2);
    engine.runtime.block_on(engine.receiver.pause());
    for round in 1_i32..=5 {
        report(&mut agent, start + i64::from(round), &[f64::from(round)]);
    }
    eventually("a request fails", || {
        collector.metric(
            "fleetgauge_remote_write_requests_total{remote_name=\"engine\",status=\"connect\"}",
        ) > 0.0
    });
    {
        let _context = engine.runtime.enter();
        engine.receiver.resume().unwrap();
    }
    engine.until(|ledger| ledger.samples_total() == 12);
    let values = engine.values(&series("x", "a"));
    assert_eq!(
        values.iter().map(|(_, value)| *value).collect::<Vec<_>>(),
        [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    );
    engine.expect_no_violations();
}

/// The answers are lost, so the collector sends the samples again.
#[test]
fn lost_answers_cause_identical_repeats_and_nothing_else() {
    let engine = Engine::start();
    engine.receiver.faults().answer_next(3, Answer::Cut { stored: true });
    let collector = engine.collector("");
    let mut agent = Agent::open(collector.agents, &identity("a"), &gauges(&["x"]));
    report(&mut agent, start_ms(), &[1.0]);
    engine.until(|ledger| ledger.repeated_total() >= 2);
    eventually("the samples count once", || {
        collector.metric("fleetgauge_remote_write_samples_total{remote_name=\"engine\"}") == 2.0
    });
    assert_eq!(engine.receiver.ledger().samples_total(), 2);
    engine.expect_no_violations();
}

/// The request was sent, so nothing is queued.
#[test]
fn engine_that_never_answers_makes_the_lag_rise() {
    let engine = Engine::start();
    engine.receiver.faults().answer(Answer::Hang);
    let collector = engine.collector("timeout = \"1s\"");
    let mut agent = Agent::open(collector.agents, &identity("a"), &gauges(&["x"]));
    // Five minutes old.
    report(&mut agent, start_ms(), &[1.0]);
    let lag = || collector.metric("fleetgauge_remote_write_lag_seconds{remote_name=\"engine\"}");
    eventually("the lag is that of the sample being sent", || lag() >= 299.0);
    engine.receiver.faults().clear();
    engine.until(|ledger| ledger.samples_total() == 2);
    eventually("there is no lag", || lag() == 0.0);
}

#[test]
fn overloaded_and_broken_engines_get_the_samples_again() {
    for status in [429, 500, 503] {
        let engine = Engine::start();
        let answer = Answer::Status { status, retry_after: None };
        engine.receiver.faults().answer_next(2, answer);
        let collector = engine.collector("");
        let mut agent = Agent::open(collector.agents, &identity("a"), &gauges(&["x"]));
        report(&mut agent, start_ms(), &[1.0]);
        engine.until(|ledger| ledger.samples_total() == 2);
        assert_eq!(engine.receiver.ledger().answers(status), 2);
        eventually("repeats are counted", || {
            collector
                .metric("fleetgauge_remote_write_samples_retried_total{remote_name=\"engine\"}")
                == 4.0
        });
    }
}

#[test]
fn samples_older_than_the_maximum_age_are_dropped_instead_of_retried_forever() {
    let engine = Engine::start();
    engine.receiver.faults().refuse();
    let collector = engine.collector("max_age = \"1m\"");
    let mut agent = Agent::open(collector.agents, &identity("a"), &gauges(&["x"]));
    // Five minutes old.
    report(&mut agent, start_ms(), &[1.0]);
    eventually("the samples are dropped", || dropped(&collector, "too_old") == 2.0);
}

#[test]
fn full_queue_takes_no_more_reports_and_the_page_stays_current() {
    let engine = Engine::start();
    engine.receiver.faults().refuse();
    let mut config = engine.config("max_queue = \"1MiB\"\nagent_up = false");
    config.bounds.reports_per_interval = 1_000_000;
    let collector = Collector::with(config);
    let names: Vec<_> = (0..1_000).map(|n| format!("m{n}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let mut agent = Agent::open(collector.agents, &identity("a"), &gauges(&names));
    let start = start_ms();
    // Each takes more than 8,000 bytes.
    for round in 0..150_i32 {
        report(&mut agent, start + i64::from(round), &[f64::from(round); 1_000]);
    }
    assert_eq!(collector.page().values_of("a"), [149.0; 1_000]);
    let full = dropped(&collector, "queue_full");
    assert!(full >= 20_000.0, "{full}");
    engine.receiver.faults().clear();
    let taken = 150_000 - full as u64;
    engine.until(|ledger| ledger.samples_total() == taken);
}

#[test]
fn collector_that_stops_sends_what_is_queued_and_no_marker_for_agents_that_it_asked_to_leave() {
    let engine = Engine::start();
    let mut collector = engine.collector("flush_delay = \"10s\"");
    let mut agent = Agent::open(collector.agents, &identity("a"), &gauges(&["x"]));
    let start = start_ms();
    report(&mut agent, start, &[1.0]);
    collector.stop();
    collector.join();
    assert_eq!(engine.values(&series("x", "a")), [(start, 1.0)]);
    assert_eq!(engine.receiver.ledger().markers_total(), 0);
}
