//! Sessions without a socket: the tests pass bytes, signals and the time, and nothing waits.

mod bad_rows;
mod drain;
mod floods;
mod order;
mod rows;

use fleetgauge_collector::peers::close_reason::CloseReason;
use fleetgauge_collector::peers::handle::Signal;
use fleetgauge_proto::{Code, Kind};

use crate::support::agent::{Identity, identity};
use crate::support::collector::config;
use crate::support::driven::{Driven, Rig, Sent};
use crate::support::frames::{CatalogFrame, REPORT_KIND, bye, changed, gauges, ping, raw, report};

fn rig() -> Rig {
    Rig::new(config())
}

/// An agent that has reported 1 once.
fn reporting(rig: &Rig, identity: &Identity<'_>, catalog: &CatalogFrame) -> Driven {
    let mut agent = rig.connect();
    agent.receives(rig, &identity.hello(catalog));
    match agent.take_sent()[..] {
        [Sent::Welcome { catalogs_known: true }] => {}
        [Sent::Welcome { .. }] => agent.receives(rig, &catalog.bytes),
        ref other => panic!("{other:?}"),
    }
    agent.receives(rig, &report(1, &[1.0]));
    assert!(agent.take_sent().is_empty());
    agent
}

/// Checks that the session is refused exactly at its deadline.
fn expires(mut rig: Rig, mut session: Driven, after: u64, code: Code) {
    assert_eq!(session.session.deadline(), rig.now + after);
    rig.now += after - 1;
    session.ticks(&rig);
    assert_eq!(
        (session.close_reason(), session.take_sent()),
        (None, Vec::new()),
        "just before the deadline"
    );
    rig.now += 1;
    session.ticks(&rig);
    assert_eq!(session.take_sent(), [Sent::Reject(code)]);
    assert_eq!(session.close_reason(), Some(CloseReason::Rejected(code)));
    assert!(rig.page().0.is_empty());
    assert_eq!(rig.metric(&format!("fleetgauge_rejects_total{{code=\"{code}\"}}")), 1.0);
    assert_eq!(rig.metric("fleetgauge_connections_open"), 0.0);
}

#[test]
fn missing_hello_times_out() {
    let rig = rig();
    let session = rig.connect();
    expires(rig, session, 5_000, Code::HelloTimeout);
}

#[test]
fn incomplete_hello_times_out() {
    let rig = rig();
    let mut session = rig.connect();
    session.receives(&rig, &identity("a").hello(&gauges(&["load"]))[..20]);
    expires(rig, session, 5_000, Code::HelloTimeout);
}

#[test]
fn silent_agent_times_out() {
    let rig = rig();
    let quick = Identity { interval_ms: 2_000, ..identity("a") };
    let agent = reporting(&rig, &quick, &gauges(&["load"]));
    assert!(rig.page().shows("a"));
    expires(rig, agent, 6_000, Code::ReportTimeout);
}

#[test]
fn missing_first_report_times_out() {
    let rig = rig();
    let mut agent = rig.connect();
    agent.receives(
        &rig,
        &Identity { interval_ms: 1_000, ..identity("a") }.hello(&gauges(&["load"])),
    );
    agent.take_sent();
    expires(rig, agent, 3_000, Code::ReportTimeout);
}

#[test]
fn missing_first_report_with_a_long_interval_times_out_early() {
    let rig = rig();
    let mut agent = rig.connect();
    agent.receives(
        &rig,
        &Identity { interval_ms: 300_000, ..identity("a") }.hello(&gauges(&["load"])),
    );
    agent.take_sent();
    expires(rig, agent, 30_000, Code::ReportTimeout);
}

#[test]
fn only_reports_extend_the_report_timeout() {
    let mut rig = rig();
    let quick = Identity { interval_ms: 1_000, ..identity("a") };
    let catalog = gauges(&["load"]);
    let mut agent = reporting(&rig, &quick, &catalog);
    rig.now += 2_999;
    agent.receives(&rig, &report(2, &[2.0]));
    agent.ticks(&rig);
    rig.now += 1_000;
    agent.receives(&rig, &[ping(1), catalog.bytes].concat());
    assert_eq!(agent.take_sent(), [Sent::Other(Kind::Pong)]);
    expires(rig, agent, 2_000, Code::ReportTimeout);
}

#[test]
fn unchanged_report_extends_the_report_timeout() {
    let mut rig = rig();
    let quick = Identity { interval_ms: 1_000, ..identity("a") };
    let mut agent = reporting(&rig, &quick, &gauges(&["load"]));
    for sequence in 2..6 {
        rig.now += 2_999;
        agent.receives(&rig, &changed(sequence, &[0], &[]));
        agent.ticks(&rig);
    }
    assert_eq!(agent.close_reason(), None);
    assert_eq!(rig.page().values_of("a").len(), 1);
}

#[test]
fn frame_timeout_grows_with_the_announced_length() {
    for announced in [0_usize, 4_088, 1_000_000] {
        let mut rig = rig();
        let slow = Identity { interval_ms: 300_000, ..identity("a") };
        let mut agent = reporting(&rig, &slow, &gauges(&["load"]));
        let mut header = raw(REPORT_KIND, &[]);
        header[4..7].copy_from_slice(&(announced as u32).to_le_bytes()[..3]);
        if announced == 0 {
            header.truncate(7);
        }
        agent.receives(&rig, &header);
        let allowed = 10_000 + (announced as u64 + 8) * 1_000 / 4_096;
        // More bytes do not extend it.
        rig.now += 9_000;
        if announced > 0 {
            agent.receives(&rig, &[0; 10]);
        }
        expires(rig, agent, allowed - 9_000, Code::FrameTimeout);
    }
}

#[test]
fn completed_frame_ends_its_timeout() {
    let mut rig = rig();
    let mut agent = reporting(&rig, &identity("a"), &gauges(&["load"]));
    let (first, second) = (report(2, &[2.0]), report(3, &[3.0]));
    agent.receives(&rig, &first[..9]);
    rig.now += 9_000;
    agent.receives(&rig, &[&first[9..], &second[..9]].concat());
    rig.now += 9_000;
    agent.ticks(&rig);
    assert_eq!(agent.close_reason(), None, "the second frame began 9 s ago");
    agent.receives(&rig, &second[9..]);
    assert_eq!(rig.page().values_of("a"), [3.0]);
}

#[test]
fn input_can_be_split_anywhere() {
    let rig = rig();
    let catalog = gauges(&["load"]);
    let hello = identity("a").hello(&catalog);
    let mut all = catalog.bytes.clone();
    all.extend((1..20).flat_map(|n| report(n, &[n as f64])));
    all.extend(ping(1));
    for size in [1, 2, 7, 8, 9, 64, all.len()] {
        let mut agent = rig.connect();
        for piece in hello.chunks(size).chain(all.chunks(size)) {
            agent.receives(&rig, piece);
        }
        let said = agent.take_sent();
        assert!(matches!(said[..], [Sent::Welcome { .. }, Sent::Other(Kind::Pong)]), "{said:?}");
        assert_eq!(rig.page().values_of("a"), [19.0]);
        agent.receives(&rig, &bye());
        assert_eq!(agent.close_reason(), Some(CloseReason::Bye));
        assert!(rig.page().0.is_empty());
    }
}

#[test]
fn end_of_stream_ends_the_session() {
    let rig = rig();
    let mut agent = reporting(&rig, &identity("a"), &gauges(&["load"]));
    agent.finishes();
    assert_eq!((agent.close_reason(), agent.take_sent()), (Some(CloseReason::Closed), Vec::new()));
    assert!(rig.page().0.is_empty());
    let mut agent = reporting(&rig, &identity("a"), &gauges(&["load"]));
    agent.receives(&rig, b"FG");
    agent.finishes();
    assert_eq!(agent.take_sent(), [Sent::Reject(Code::TruncatedFrame)]);
    assert!(rig.page().0.is_empty());
}

#[test]
fn input_after_the_end_is_ignored() {
    let rig = rig();
    let mut agent = reporting(&rig, &identity("a"), &gauges(&["load"]));
    agent.receives(&rig, &[bye(), report(2, &[2.0]), b"garbage".to_vec()].concat());
    agent.receives(&rig, b"garbage");
    agent.finishes();
    agent.session.lost(CloseReason::Reset);
    agent.ticks(&rig);
    assert_eq!((agent.close_reason(), agent.take_sent()), (Some(CloseReason::Bye), Vec::new()));
    assert_eq!(rig.metric("fleetgauge_connections_closed_total{reason=\"bye\"}"), 1.0);
    assert_eq!(rig.metric("fleetgauge_connections_closed_total{reason=\"reset\"}"), 0.0);
    assert_eq!(rig.metric("fleetgauge_connections_open"), 0.0);
}

#[test]
fn dropped_session_frees_everything() {
    let rig = rig();
    let agent = reporting(&rig, &identity("a"), &gauges(&["load"]));
    assert!(rig.page().shows("a"));
    drop(agent);
    assert!(rig.page().0.is_empty());
    assert_eq!(rig.metric("fleetgauge_connections_open"), 0.0);
}

#[test]
fn first_report_frees_the_handshake_permit() {
    let rig = rig();
    let room = rig.collector.admission.handshakes.available_permits();
    let mut agent = rig.connect();
    let catalog = gauges(&["load"]);
    agent.receives(&rig, &identity("a").hello(&catalog));
    agent.receives(&rig, &catalog.bytes);
    assert_eq!(rig.collector.admission.handshakes.available_permits(), room - 1);
    agent.receives(&rig, &report(1, &[1.0]));
    assert_eq!(rig.collector.admission.handshakes.available_permits(), room);
}

#[test]
fn challenge_times_out_after_five_seconds() {
    let mut rig = rig();
    let catalog = gauges(&["load"]);
    let mut holder = reporting(&rig, &identity("a"), &catalog);
    let mut challenger = rig.connect();
    challenger.receives(&rig, &identity("a").on_host(2).hello(&catalog));
    assert!(challenger.take_sent().is_empty());
    holder.ticks(&rig);
    assert_eq!(holder.take_sent(), [Sent::Other(Kind::Ping)]);
    assert_eq!(challenger.session.deadline(), rig.now + 5_000);
    rig.now += 4_999;
    challenger.ticks(&rig);
    assert!(challenger.take_sent().is_empty());
    assert_eq!(rig.page().values_of("a"), [1.0]);
    rig.now += 1;
    challenger.ticks(&rig);
    assert_eq!(challenger.take_sent(), [Sent::Welcome { catalogs_known: true }]);
    assert!(rig.page().0.is_empty(), "the silent holder is removed");
    challenger.receives(&rig, &report(1, &[2.0]));
    assert_eq!(rig.page().values_of("a"), [2.0]);
    holder.ticks(&rig);
    assert_eq!(holder.take_sent(), [Sent::Reject(Code::Superseded)]);
    assert_eq!(rig.page().values_of("a"), [2.0]);
}

#[test]
fn any_frame_of_the_holder_answers_a_challenge() {
    for answer in [report(2, &[2.0]), ping(9), gauges(&["load"]).bytes] {
        let rig = rig();
        let catalog = gauges(&["load"]);
        let mut holder = reporting(&rig, &identity("a"), &catalog);
        let mut challenger = rig.connect();
        challenger.receives(&rig, &identity("a").on_host(2).hello(&catalog));
        holder.ticks(&rig);
        holder.receives(&rig, &answer);
        challenger.ticks(&rig);
        assert_eq!(challenger.take_sent(), [Sent::Reject(Code::IdConflict)]);
        assert!(rig.page().shows("a"));
    }
}

#[test]
fn end_of_the_holder_resolves_a_challenge() {
    let rig = rig();
    let catalog = gauges(&["load"]);
    let mut holder = reporting(&rig, &identity("a"), &catalog);
    let mut challenger = rig.connect();
    challenger.receives(&rig, &identity("a").on_host(2).hello(&catalog));
    // Even if the holder has not handled the challenge yet.
    holder.session.lost(CloseReason::Reset);
    challenger.ticks(&rig);
    assert_eq!(challenger.take_sent(), [Sent::Welcome { catalogs_known: true }]);
}

#[test]
fn late_answer_to_a_challenge_is_ignored() {
    let mut rig = rig();
    let catalog = gauges(&["load"]);
    let _holder = reporting(&rig, &identity("a"), &catalog);
    let mut challenger = rig.connect();
    challenger.receives(&rig, &identity("a").on_host(2).hello(&catalog));
    rig.now += 5_000;
    challenger.ticks(&rig);
    assert_eq!(challenger.take_sent(), [Sent::Welcome { catalogs_known: true }]);
    // The holder had taken the challenge before it was withdrawn.
    challenger.session.handle().raise(Signal::Answered);
    challenger.ticks(&rig);
    assert_eq!((challenger.close_reason(), challenger.take_sent()), (None, Vec::new()));
    challenger.receives(&rig, &report(1, &[2.0]));
    assert_eq!(rig.page().values_of("a"), [2.0]);
}

#[test]
fn third_host_can_register_the_id_before_a_challenger() {
    let mut rig = rig();
    let catalog = gauges(&["load"]);
    let mut first = rig.connect();
    first.receives(&rig, &identity("a").hello(&catalog));
    let mut second = rig.connect();
    second.receives(&rig, &identity("a").on_host(2).hello(&catalog));
    first.receives(&rig, &[catalog.bytes.clone(), report(1, &[1.0])].concat());
    second.receives(&rig, &[catalog.bytes.clone(), report(1, &[2.0])].concat());
    assert!(matches!(
        second.take_sent()[..],
        [Sent::Welcome { .. }, Sent::Reject(Code::IdConflict)]
    ));
    rig.now += 1;
    assert_eq!(rig.page().values_of("a"), [1.0]);
    assert_eq!(first.close_reason(), None);
}

#[test]
fn draining_agent_can_report_until_it_leaves() {
    let rig = rig();
    let mut agent = reporting(&rig, &identity("a"), &gauges(&["load"]));
    agent.session.handle().raise(Signal::Drain);
    agent.ticks(&rig);
    assert_eq!(agent.take_sent(), [Sent::Drain { delay_ms: 0 }]);
    agent.receives(&rig, &report(2, &[2.0]));
    assert_eq!(rig.page().values_of("a"), [2.0]);
    agent.session.handle().raise(Signal::Close);
    agent.ticks(&rig);
    assert_eq!(agent.take_sent(), [Sent::Reject(Code::Draining)]);
    assert!(rig.page().0.is_empty());
}
