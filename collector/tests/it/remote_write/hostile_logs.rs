//! Agents whose logs attack the collector or its engines.

use fleetgauge_proto::{Code, Frame, Message, stream};

use super::replays::{LoggingAgent, on_stream_1, report_frame};
use super::samples::dropped;
use super::{Engine, report, series, start_ms};
use crate::support::agent::{Agent, identity};
use crate::support::collector::Collector;
use crate::support::eventually;
use crate::support::frames::gauges;

/// A year, in milliseconds.
const YEAR: i64 = 365 * 86_400_000;

#[test]
fn agent_that_repeats_a_log_whose_reports_replace_many_catalogs_is_rejected() {
    let engine = Engine::start();
    let collector = engine.collector("agent_up = false");
    let mut agent = LoggingAgent::open(&collector, "a", 1);
    agent.report(100);
    let asked = u64::from(agent.asked().reports);
    let (memory, catalogs) = (collector.memory().0, collector.metric("fleetgauge_catalogs"));
    // Sent at once and less than the collector discards: a reset would cost the Reject.
    let mut frames = Vec::new();
    for sequence in 1..asked {
        let names: Vec<_> = (0..20).map(|n| format!("m{sequence}_{n}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        frames.extend(on_stream_1(&gauges(&names)));
        frames.extend(report_frame(stream::REPLAY, sequence, agent.start, 20));
    }
    agent.agent.send(&frames);
    loop {
        let (header, payload) = agent.agent.receive_frame().unwrap();
        match Message::decode(Frame { header, payload: &payload }).unwrap() {
            Message::Reject(reject) => {
                assert_eq!(Code::from_u16(reject.code), Some(Code::TooManyReports));
                break;
            }
            Message::Acknowledge(_) | Message::Resend(_) => {}
            other => panic!("{other:?}"),
        }
    }
    // The first one of the replay, and a burst of twenty less what the agent has sent before. One
    // more is allowed every 15 s.
    let added = collector.metric("fleetgauge_catalogs") - catalogs;
    assert!((2.0..=25.0).contains(&added), "{added}");
    drop(agent);
    // Catalogs stay in the store, which has a limit of its own.
    assert!(collector.memory().0 < memory + added * f64::from(1 << 20));
    let mut other = Agent::open(collector.agents, &identity("b"), &gauges(&["x"]));
    let start = start_ms();
    report(&mut other, start, &[1.0]);
    engine.until(|ledger| ledger.find(&series("x", "b")).is_some());
    engine.expect_no_violations();
}

/// Engines would refuse such samples, or answer with an error that is retried forever.
#[test]
fn agent_that_repeats_a_log_of_a_year_gets_it_acknowledged_and_the_engine_gets_none_of_it() {
    const REPORTS: u64 = 100;
    let engine = Engine::start();
    let mut config = engine.config("agent_up = false");
    // Pings of the test count too.
    config.bounds.reports_per_interval = 1_000_000;
    let collector = Collector::with(config);
    let mut agent = LoggingAgent::open(&collector, "a", 1);
    let now = agent.start;
    agent.report(REPORTS);
    agent.start = now - YEAR;
    let (mut asked, mut next) = (u64::from(agent.asked().reports), 1);
    agent.agent.send(&on_stream_1(&gauges(&["x"])));
    loop {
        for _ in 0..asked {
            if next == REPORTS {
                agent.start = now;
            }
            agent.replay(next);
            next += 1;
        }
        if next > REPORTS {
            break;
        }
        asked = u64::from(agent.asked().reports);
    }
    engine.until(|ledger| ledger.samples_total() == 1);
    // Counted once the engine has answered.
    let all = (REPORTS - 1) as f64;
    eventually("the old samples are dropped", || dropped(&collector, "too_old") == all);
    assert_eq!(engine.values(&series("x", "a")), [(now + 10 * REPORTS as i64, REPORTS as f64)]);
    // The next live report brings the acknowledgement.
    let mut sequence = REPORTS;
    eventually("the agent may drop its log", || {
        sequence += 1;
        agent.report(sequence);
        agent.acknowledged >= REPORTS
    });
    engine.expect_no_violations();
}

#[test]
fn agent_whose_clock_is_at_1970_is_on_the_page_and_the_engine_gets_nothing() {
    let engine = Engine::start();
    let collector = engine.collector("agent_up = false");
    let mut agent = Agent::open(collector.agents, &identity("a"), &gauges(&["x"]));
    for unix_ms in [0, 5, 86_400_000] {
        report(&mut agent, unix_ms, &[1.0]);
    }
    assert_eq!(collector.page().values_of("a"), [1.0]);
    eventually("the samples are dropped", || dropped(&collector, "too_old") == 3.0);
    // The clock is set.
    let start = start_ms();
    report(&mut agent, start, &[2.0]);
    engine.until(|ledger| ledger.samples_total() > 0);
    assert_eq!(engine.values(&series("x", "a")), [(start, 2.0)]);
    engine.expect_no_violations();
}
