//! The report before an agent's log: it tells a collector which series the engine has.

use fleetgauge_proto::message::Report;
use fleetgauge_proto::report::{ABSENT, EncodedValues};
use fleetgauge_proto::{Message, stream};

use super::replays::{LoggingAgent, on_stream_1};
use super::{Engine, series};
use crate::support::frames::{frame, gauges};

/// Sends a report of the gauges `x` and `m1`, at the time of its sequence number and `later`.
fn send(agent: &mut LoggingAgent, number: u32, sequence: u64, later: i64, values: [f64; 2]) {
    let mut encoded = EncodedValues::default();
    encoded.encode_all(&values, [(1, &[0, 0][..])].into_iter());
    let unix_ms = u64::try_from(agent.start + later).unwrap() + 10 * sequence;
    let report = Report { stream: number, sequence, unix_ms, values: encoded.values() };
    agent.agent.send(&frame(&Message::Report(report)));
    agent.settle(sequence);
}

/// Sends the catalog and report 6 of the log, the one before report 7 that is not acknowledged.
fn send_checkpoint(agent: &mut LoggingAgent, later: i64) {
    agent.agent.send(&on_stream_1(&gauges(&["x", "m1"])));
    send(agent, stream::REPLAY, 6, later, [6.0, 6.0]);
}

/// Another collector has forwarded report 6.
#[test]
fn series_that_the_first_report_of_a_log_lacks_ends() {
    for (keys, missing) in [("agent_up = false", 2), ("agent_up = false\nout_of_order = true", 1)] {
        let engine = Engine::start();
        let collector = engine.collector(keys);
        let mut agent = LoggingAgent::with_series(&collector, "a", 7, 2);
        send(&mut agent, stream::LIVE, 8, 0, [8.0, ABSENT]);
        let resend = agent.asked();
        assert_eq!((resend.first, resend.reports), (6, missing), "{keys}");
        send_checkpoint(&mut agent, 0);
        let resend = agent.asked();
        assert_eq!((resend.first, resend.reports), (7, 1), "{keys}");
        send(&mut agent, stream::REPLAY, 7, 0, [7.0, ABSENT]);
        if missing == 2 {
            send(&mut agent, stream::REPLAY, 8, 0, [8.0, ABSENT]);
        }
        assert_eq!(agent.asked().reports, 0, "{keys}");
        engine.until(|ledger| ledger.samples_total() == 3 && ledger.markers_total() == 1);
        let (x, m1) = (series("x", "a"), series("m1", "a"));
        let start = agent.start;
        assert_eq!(engine.markers(&m1), [start + 61], "{keys}");
        // The engine has accepted report 6 before.
        assert_eq!(engine.values(&m1), []);
        assert_eq!(engine.values(&x), [(start + 70, 7.0), (start + 80, 8.0)], "{keys}");
        let missing = "fleetgauge_remote_write_reports_missing_total{remote_name=\"engine\"}";
        assert_eq!(collector.metric(missing), 0.0);
        if !keys.contains("out_of_order") {
            engine.expect_no_violations();
        }
    }
}

#[test]
fn agent_that_disconnects_after_the_report_before_its_log_ends() {
    let engine = Engine::start();
    let collector = engine.collector("agent_up = false");
    let mut agent = LoggingAgent::with_series(&collector, "a", 7, 2);
    send(&mut agent, stream::LIVE, 8, 0, [8.0, 8.0]);
    agent.asked();
    send_checkpoint(&mut agent, 0);
    let start = agent.start;
    drop(agent);
    engine.until(|ledger| ledger.markers_total() == 2);
    for name in ["x", "m1"] {
        assert_eq!(engine.markers(&series(name, "a")), [start + 61]);
    }
}

/// The collector was restarted within an interval: no report is missing.
#[test]
fn series_that_the_first_report_after_a_restart_lacks_ends() {
    for keys in ["agent_up = false", "agent_up = false\nout_of_order = true"] {
        let engine = Engine::start();
        let collector = engine.collector(keys);
        let mut agent = LoggingAgent::with_series(&collector, "a", 7, 2);
        send(&mut agent, stream::LIVE, 7, 0, [7.0, ABSENT]);
        let resend = agent.asked();
        assert_eq!((resend.first, resend.reports), (6, 1), "{keys}");
        send_checkpoint(&mut agent, 0);
        let resend = agent.asked();
        if keys.contains("out_of_order") {
            assert_eq!(resend.reports, 0, "{keys}");
        } else {
            assert_eq!((resend.first, resend.reports), (7, 1), "{keys}");
            send(&mut agent, stream::REPLAY, 7, 0, [7.0, ABSENT]);
        }
        engine.until(|ledger| ledger.samples_total() == 2);
        let start = agent.start;
        assert_eq!(engine.markers(&series("m1", "a")), [start + 61], "{keys}");
        assert_eq!(engine.values(&series("x", "a")), [(start + 70, 7.0)], "{keys}");
    }
}

/// The first report of a session is the one before the log: an agent sends its newest values at
/// once, and engines have those already.
#[test]
fn accepted_report_tells_which_series_the_engine_has() {
    let engine = Engine::start();
    let collector = engine.collector("agent_up = false");
    let mut agent = LoggingAgent::with_series(&collector, "a", 7, 2);
    send(&mut agent, stream::LIVE, 6, 0, [6.0, 6.0]);
    send(&mut agent, stream::LIVE, 7, 0, [7.0, ABSENT]);
    let mut other = LoggingAgent::with_series(&collector, "b", 7, 2);
    send(&mut other, stream::LIVE, 6, 0, [6.0, 6.0]);
    let start = other.start;
    drop(other);
    engine.until(|ledger| ledger.samples_total() == 2 + 2 && ledger.markers_total() == 3);
    assert_eq!(engine.markers(&series("m1", "a")), [agent.start + 61]);
    assert_eq!(engine.values(&series("x", "a")), [(agent.start + 70, 7.0)]);
    for name in ["x", "m1"] {
        assert_eq!(engine.markers(&series(name, "b")), [start + 61]);
    }
}

/// It was connected to another collector between two sessions of this one, which has the newer
/// samples of the series.
#[test]
fn series_of_an_agent_that_returns_ends_after_its_newest_sample() {
    let engine = Engine::start();
    let collector = engine.collector("agent_up = false");
    let mut before = LoggingAgent::with_series(&collector, "a", 1, 2);
    send(&mut before, stream::LIVE, 1, 0, [1.0, 1.0]);
    engine.until(|ledger| ledger.samples_total() == 2);
    let mut agent = LoggingAgent::with_series(&collector, "a", 7, 2);
    send(&mut agent, stream::LIVE, 7, 0, [7.0, ABSENT]);
    assert_eq!(agent.asked().first, 6);
    send_checkpoint(&mut agent, 0);
    send(&mut agent, stream::REPLAY, 7, 0, [7.0, ABSENT]);
    engine.until(|ledger| ledger.samples_total() == 2 + 2);
    assert_eq!(engine.markers(&series("m1", "a")), [agent.start + 61]);
}

/// The stale markers would block the present in the engine, and so would the reports after it be
/// dropped as older.
#[test]
fn report_before_the_log_with_a_time_of_the_future_is_ignored() {
    const YEAR_MS: i64 = 365 * 86_400_000;
    let engine = Engine::start();
    let collector = engine.collector("agent_up = false");
    let mut agent = LoggingAgent::with_series(&collector, "a", 7, 2);
    send(&mut agent, stream::LIVE, 8, 0, [8.0, ABSENT]);
    assert_eq!(agent.asked().first, 6);
    send_checkpoint(&mut agent, YEAR_MS);
    agent.asked();
    for sequence in 7..=8 {
        send(&mut agent, stream::REPLAY, sequence, 0, [sequence as f64, ABSENT]);
    }
    engine.until(|ledger| ledger.samples_total() == 2);
    let start = agent.start;
    assert_eq!(engine.values(&series("x", "a")), [(start + 70, 7.0), (start + 80, 8.0)]);
    assert_eq!(engine.receiver.ledger().markers_total(), 0);
    engine.expect_no_violations();
}
