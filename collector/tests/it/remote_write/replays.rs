//! Agents that keep a log: acknowledgements, and reports that are sent again.

use fleetgauge_proto::message::{Catalog, Extension, Report, Resend};
use fleetgauge_proto::report::EncodedValues;
use fleetgauge_proto::{Code, Frame, Message, capability, stream};

use super::{Engine, series, start_ms};
use crate::support::agent::{Agent, identity};
use crate::support::collector::Collector;
use crate::support::eventually;
use crate::support::frames::{CatalogFrame, frame, gauges, hello, ping};

/// An agent with a log: it knows which values it has reported at which times.
pub(super) struct LoggingAgent {
    pub(super) agent: Agent,
    pub(super) start: i64,
    /// Number of its series.
    series: usize,
    /// What the collector has sent, pongs excluded.
    resends: Vec<Resend>,
    pub(super) acknowledged: u64,
}

/// All values of a report are its sequence number.
pub(super) fn report_frame(number: u32, sequence: u64, start: i64, series: usize) -> Vec<u8> {
    let mut encoded = EncodedValues::default();
    let decimals = vec![0; series];
    encoded.encode_all(&vec![sequence as f64; series], [(1, &*decimals)].into_iter());
    let unix_ms = u64::try_from(start).unwrap() + 10 * sequence;
    let values = encoded.values();
    frame(&Message::Report(Report { stream: number, sequence, unix_ms, values }))
}

/// The catalog of the gauge `x` and others.
fn catalog(series: usize) -> CatalogFrame {
    let names: Vec<_> = (1..series).map(|n| format!("m{n}")).collect();
    let names = std::iter::once("x").chain(names.iter().map(String::as_str));
    gauges(&names.collect::<Vec<_>>())
}

fn replayed_catalog(series: usize) -> Vec<u8> {
    on_stream_1(&catalog(series))
}

/// Returns a catalog as sent on stream 1.
pub(super) fn on_stream_1(catalog: &CatalogFrame) -> Vec<u8> {
    let bytes = &catalog.bytes;
    let payload = &bytes[8..];
    let mut frames = fleetgauge_proto::FrameBuffer::default();
    let accept = fleetgauge_proto::Accept { version: 1, max_payload_bytes: 1 << 20 };
    let mut input = &bytes[..];
    let decoded = frames.next(&mut input, accept).unwrap().unwrap();
    let Message::Catalog(catalog) =
        Message::decode(Frame { header: decoded.header, payload }).unwrap()
    else {
        panic!("not a catalog")
    };
    frame(&Message::Catalog(Catalog { stream: stream::REPLAY, ..catalog }))
}

impl LoggingAgent {
    /// Connects. `first` is the first sequence number of the log.
    pub(super) fn open(collector: &Collector, id: &str, first: u64) -> Self {
        Self::with_series(collector, id, first, 1)
    }

    pub(super) fn with_series(collector: &Collector, id: &str, first: u64, series: usize) -> Self {
        let mut agent = Agent::connect(collector.agents);
        let catalog = catalog(series);
        let mut data = Vec::new();
        let mut hello = hello(id, 1, catalog.fingerprint);
        hello.capabilities = capability::LOG;
        hello.extensions = vec![Extension::log(first, &mut data)];
        agent.send(&frame(&Message::Hello(hello)));
        let (header, payload) = agent.receive_frame().unwrap();
        let Message::Welcome(welcome) =
            Message::decode(Frame { header, payload: &payload }).unwrap()
        else {
            panic!("not welcomed: {header:?}")
        };
        assert_eq!(welcome.capabilities, capability::LOG);
        if welcome.catalogs_known & 1 == 0 {
            agent.send(&catalog.bytes);
        }
        Self { agent, start: start_ms(), series, resends: Vec::new(), acknowledged: 0 }
    }

    pub(super) fn report(&mut self, sequence: u64) {
        self.agent.send(&report_frame(stream::LIVE, sequence, self.start, self.series));
        self.settle(sequence);
    }

    pub(super) fn replay(&mut self, sequence: u64) {
        self.agent.send(&report_frame(stream::REPLAY, sequence, self.start, self.series));
        self.settle(sequence);
    }

    /// Waits until everything that was sent is handled, and notes what the collector has sent.
    pub(super) fn settle(&mut self, token: u64) {
        self.agent.send(&ping(token));
        loop {
            let (header, payload) = self.agent.receive_frame().unwrap();
            match Message::decode(Frame { header, payload: &payload }).unwrap() {
                Message::Pong(pong) if pong.token == token => return,
                Message::Acknowledge(acknowledge) => self.acknowledged = acknowledge.sequence,
                Message::Resend(resend) => self.resends.push(resend),
                Message::Pong(_) => {}
                other => panic!("unexpected from a collector: {other:?}"),
            }
        }
    }

    /// Waits until the collector has asked for reports.
    pub(super) fn asked(&mut self) -> Resend {
        let mut token = 1_000_000;
        eventually("the collector asks for reports", || {
            token += 1;
            self.settle(token);
            !self.resends.is_empty()
        });
        self.resends.remove(0)
    }
}

fn values(engine: &Engine, id: &str) -> Vec<f64> {
    engine.values(&series("x", id)).into_iter().map(|(_, value)| value).collect()
}

#[test]
fn reports_that_the_engine_has_taken_are_acknowledged() {
    let engine = Engine::start();
    let collector = engine.collector("agent_up = false");
    let mut agent = LoggingAgent::open(&collector, "a", 1);
    agent.report(1);
    engine.until(|ledger| ledger.samples_total() == 1);
    let mut sequence = 1;
    // The answer of the engine can arrive after the next report.
    eventually("the report is acknowledged", || {
        sequence += 1;
        agent.report(sequence);
        agent.acknowledged >= 1
    });
    assert!(agent.resends.is_empty());
}

#[test]
fn nothing_is_acknowledged_while_the_engine_is_away() {
    let engine = Engine::start();
    engine.receiver.faults().refuse();
    let collector = engine.collector("agent_up = false");
    let mut agent = LoggingAgent::open(&collector, "a", 1);
    for sequence in 1..20 {
        agent.report(sequence);
    }
    assert_eq!(agent.acknowledged, 0);
    engine.receiver.faults().clear();
    engine.until(|ledger| ledger.samples_total() == 19);
    let mut sequence = 19;
    eventually("the reports are acknowledged", || {
        sequence += 1;
        agent.report(sequence);
        agent.acknowledged >= 19
    });
}

/// The collector was away: the agent has reports that it could not send.
#[test]
fn missing_reports_are_sent_again_and_forwarded_in_order_before_live_ones() {
    let engine = Engine::start();
    let collector = engine.collector("agent_up = false");
    let mut agent = LoggingAgent::open(&collector, "a", 3);
    agent.report(10);
    let resend = agent.asked();
    // From the report before the log on, which this agent does not have.
    assert_eq!((resend.first, resend.reports), (2, 8));
    // The newest values are on the page at once, and the engine waits for those before.
    assert_eq!(collector.page().values_of("a"), [10.0]);
    agent.report(11);
    agent.agent.send(&replayed_catalog(agent.series));
    for sequence in 3..=10 {
        agent.replay(sequence);
    }
    assert_eq!(collector.page().values_of("a"), [11.0]);
    // For the report 11, which has arrived meanwhile.
    assert_eq!(agent.asked().reports, 1);
    agent.replay(11);
    assert_eq!(agent.asked().reports, 0);
    agent.report(12);
    engine.until(|ledger| ledger.samples_total() == 10);
    assert_eq!(values(&engine, "a"), (3..=12).map(f64::from).collect::<Vec<_>>());
    engine.expect_no_violations();
    assert_eq!(missing(&collector), 0.0);
}

#[test]
fn reports_that_found_no_room_in_the_queue_are_asked_for_again() {
    let engine = Engine::start();
    engine.receiver.faults().refuse();
    let mut config = engine.config("agent_up = false\nmax_queue = \"1MiB\"");
    config.bounds.reports_per_interval = 1_000_000;
    let collector = Collector::with(config);
    const SERIES: usize = 1_000;
    const REPORTS: u64 = 200;
    let mut agent = LoggingAgent::with_series(&collector, "a", 1, SERIES);
    // Each takes more than 8,000 bytes.
    for sequence in 1..=REPORTS {
        agent.report(sequence);
    }
    engine.receiver.faults().clear();
    let mut resend = agent.asked();
    agent.agent.send(&replayed_catalog(agent.series));
    let mut next = resend.first;
    assert!(next > 1 && next < REPORTS, "{next}");
    loop {
        for _ in 0..resend.reports {
            agent.replay(next);
            next += 1;
        }
        if next > REPORTS {
            break;
        }
        resend = agent.asked();
    }
    engine.until(|ledger| ledger.samples_total() == REPORTS * SERIES as u64);
    assert_eq!(values(&engine, "a"), (1..=200).map(f64::from).collect::<Vec<_>>());
    engine.expect_no_violations();
}

/// The log has dropped its oldest reports.
#[test]
fn reports_that_the_log_does_not_have_any_more_are_counted() {
    let engine = Engine::start();
    let collector = engine.collector("agent_up = false");
    let mut agent = LoggingAgent::open(&collector, "a", 3);
    agent.report(10);
    agent.asked();
    agent.agent.send(&replayed_catalog(agent.series));
    for sequence in 8..=10 {
        agent.replay(sequence);
    }
    engine.until(|ledger| ledger.samples_total() == 3);
    assert_eq!(missing(&collector), 5.0);
}

#[test]
fn second_replay_of_a_connection_starts_from_nothing() {
    let engine = Engine::start();
    let collector = engine.collector("agent_up = false");
    let mut agent = LoggingAgent::open(&collector, "a", 1);
    for (first, last) in [(1, 3), (4, 6)] {
        agent.report(last);
        let resend = agent.asked();
        assert_eq!((resend.first, u64::from(resend.reports)), (first, last - first + 1));
        agent.agent.send(&replayed_catalog(agent.series));
        for sequence in first..=last {
            agent.replay(sequence);
        }
        assert_eq!(agent.asked().reports, 0);
    }
    engine.until(|ledger| ledger.samples_total() == 6);
}

#[test]
fn stream_1_is_rejected_without_a_log_and_before_resend() {
    let engine = Engine::start();
    let collector = engine.collector("");
    let mut plain = Agent::join(collector.agents, &identity("a"), &gauges(&["x"]), &[1.0]);
    plain.send(&report_frame(stream::REPLAY, 1, start_ms(), 1));
    plain.expect_reject(Code::BadStream);
    let mut early = LoggingAgent::open(&collector, "b", 1);
    early.report(1);
    early.agent.send(&report_frame(stream::REPLAY, 1, early.start, 1));
    early.agent.expect_code(Code::UnexpectedFrame);
}

#[test]
fn more_reports_than_asked_for_are_rejected() {
    let engine = Engine::start();
    let collector = engine.collector("");
    let mut agent = LoggingAgent::open(&collector, "a", 1);
    agent.report(2);
    agent.asked();
    agent.agent.send(&replayed_catalog(agent.series));
    for sequence in 1..=3 {
        agent.agent.send(&report_frame(stream::REPLAY, sequence, agent.start, 1));
    }
    loop {
        match agent.agent.receive_frame() {
            Ok((header, payload)) => {
                match Message::decode(Frame { header, payload: &payload }).unwrap() {
                    Message::Reject(reject) => {
                        assert_eq!(Code::from_u16(reject.code), Some(Code::UnexpectedFrame));
                        return;
                    }
                    Message::Resend(_) | Message::Acknowledge(_) => {}
                    other => panic!("{other:?}"),
                }
            }
            Err(ended) => panic!("{ended:?}"),
        }
    }
}

/// A collector that only serves pages does not ask for a log.
#[test]
fn collector_without_destinations_and_one_without_durable_ones_decline_logs() {
    let engine = Engine::start();
    for collector in [Collector::start(), engine.collector("durable = false")] {
        let mut agent = Agent::connect(collector.agents);
        let catalog = gauges(&["x"]);
        let mut data = Vec::new();
        let mut hello = hello("a", 1, catalog.fingerprint);
        hello.capabilities = capability::LOG;
        hello.extensions = vec![Extension::log(1, &mut data)];
        agent.send(&frame(&Message::Hello(hello)));
        let (header, payload) = agent.receive_frame().unwrap();
        let welcome = Message::decode(Frame { header, payload: &payload }).unwrap();
        let Message::Welcome(welcome) = welcome else { panic!("not welcomed: {welcome:?}") };
        assert_eq!(welcome.capabilities, 0);
    }
}

fn missing(collector: &Collector) -> f64 {
    collector.metric("fleetgauge_remote_write_reports_missing_total{remote_name=\"engine\"}")
}

/// An engine with an out-of-order window: live reports do not wait for the log.
#[test]
fn live_reports_do_not_wait_for_the_log_if_the_engine_takes_them_out_of_order() {
    let engine = Engine::start();
    let collector = engine.collector("agent_up = false\nout_of_order = true");
    let mut agent = LoggingAgent::open(&collector, "a", 3);
    agent.report(10);
    agent.report(11);
    engine.until(|ledger| ledger.samples_total() == 2);
    assert_eq!(values(&engine, "a"), [10.0, 11.0]);
    let resend = agent.asked();
    assert_eq!((resend.first, resend.reports), (2, 7));
    agent.agent.send(&replayed_catalog(1));
    for sequence in 3..=9 {
        agent.replay(sequence);
    }
    assert_eq!(agent.asked().reports, 0);
    // Nothing that the engine has is asked for or sent again, and all is acknowledged.
    agent.report(12);
    engine.until(|ledger| ledger.samples_total() == 10);
    let mut sequence = 12;
    eventually("the reports are acknowledged", || {
        sequence += 1;
        agent.report(sequence);
        agent.acknowledged >= 12
    });
    assert_eq!(engine.receiver.ledger().repeated_total(), 0);
    assert_eq!(values(&engine, "a")[..10], (3..=12).map(f64::from).collect::<Vec<_>>());
}

/// Acknowledging a live report would make the agent drop those before it.
#[test]
fn nothing_is_acknowledged_before_what_is_missing_has_arrived() {
    let engine = Engine::start();
    let collector = engine.collector("agent_up = false\nout_of_order = true");
    let mut agent = LoggingAgent::open(&collector, "a", 3);
    for sequence in 10..20 {
        agent.report(sequence);
    }
    engine.until(|ledger| ledger.samples_total() == 10);
    agent.report(20);
    engine.until(|ledger| ledger.samples_total() == 11);
    agent.report(21);
    assert_eq!(agent.acknowledged, 0);
}

/// An agent that claims sequence numbers of the future, with a log from the first one on.
#[test]
fn extreme_sequence_numbers_are_counted_within_bounds() {
    let engine = Engine::start();
    for keys in ["agent_up = false", "agent_up = false\nout_of_order = true"] {
        let collector = engine.collector(keys);
        let mut agent = LoggingAgent::open(&collector, "a", 0);
        let start = agent.start;
        let send = |agent: &mut LoggingAgent, number: u32, sequence: u64, later: i64| {
            let mut encoded = EncodedValues::default();
            encoded.encode_all(&[1.0], [(1, &[0][..])].into_iter());
            let unix_ms = u64::try_from(start + later).unwrap();
            let values = encoded.values();
            let report = Report { stream: number, sequence, unix_ms, values };
            agent.agent.send(&frame(&Message::Report(report)));
            agent.settle(1);
        };
        send(&mut agent, stream::LIVE, u64::MAX - 1, 0);
        send(&mut agent, stream::LIVE, u64::MAX, 10);
        let resend = agent.asked();
        assert_eq!((resend.first, resend.reports), (0, 32));
        agent.agent.send(&replayed_catalog(1));
        send(&mut agent, stream::REPLAY, u64::MAX, 10);
        assert_eq!(missing(&collector), 7.0 * 86_400.0);
        assert_eq!(collector.page().values_of("a"), [1.0]);
    }
}
