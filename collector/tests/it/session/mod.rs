//! A session without a socket: bytes, signals and the time go in, and nothing waits.

mod drain;
mod floods;
mod order;

use fleetgauge_collector::peers::close_reason::CloseReason;
use fleetgauge_collector::peers::handle::Signal;
use fleetgauge_proto::{Code, Kind};

use crate::support::agent::{Who, who};
use crate::support::collector::config;
use crate::support::driven::{Driven, Rig, Said};
use crate::support::frames::{SchemaFrame, bye, changed, gauges, ping, report};

fn rig() -> Rig {
    Rig::new(config())
}

/// An agent that has reported 1 once.
fn reporting(rig: &Rig, who: &Who<'_>, schema: &SchemaFrame) -> Driven {
    let mut agent = rig.connect();
    agent.receives(rig, &who.hello(schema));
    match agent.says()[..] {
        [Said::Welcome { schema_known: true }] => {}
        [Said::Welcome { .. }] => agent.receives(rig, &schema.bytes),
        ref other => panic!("{other:?}"),
    }
    agent.receives(rig, &report(1, &[1.0]));
    assert!(agent.says().is_empty());
    agent
}

/// It is refused exactly at its deadline.
fn expires(mut rig: Rig, mut session: Driven, after: u64, code: Code) {
    assert_eq!(session.session.deadline(), rig.now + after);
    rig.now += after - 1;
    session.ticks(&rig);
    assert_eq!((session.close_reason(), session.says()), (None, Vec::new()), "a moment too early");
    rig.now += 1;
    session.ticks(&rig);
    assert_eq!(session.says(), [Said::Reject(code)]);
    assert_eq!(session.close_reason(), Some(CloseReason::Rejected(code)));
    assert!(rig.page().0.is_empty());
    assert_eq!(rig.figure(&format!("fleetgauge_rejects_total{{code=\"{code}\"}}")), 1.0);
    assert_eq!(rig.figure("fleetgauge_connections_open"), 0.0);
}

#[test]
fn hello_timeout() {
    let rig = rig();
    let session = rig.connect();
    expires(rig, session, 5_000, Code::HelloTimeout);
}

#[test]
fn hello_timeout_in_the_midst_of_hello() {
    let rig = rig();
    let mut session = rig.connect();
    session.receives(&rig, &who("a").hello(&gauges(&["load"]))[..20]);
    expires(rig, session, 5_000, Code::HelloTimeout);
}

#[test]
fn report_timeout() {
    let rig = rig();
    let quick = Who { interval_ms: 2_000, ..who("a") };
    let agent = reporting(&rig, &quick, &gauges(&["load"]));
    assert!(rig.page().shows("a"));
    expires(rig, agent, 6_000, Code::ReportTimeout);
}

#[test]
fn report_timeout_before_the_first_report() {
    let rig = rig();
    let mut agent = rig.connect();
    agent.receives(&rig, &Who { interval_ms: 1_000, ..who("a") }.hello(&gauges(&["load"])));
    agent.says();
    expires(rig, agent, 3_000, Code::ReportTimeout);
}

#[test]
fn a_long_interval_holds_no_handshake_for_long() {
    let rig = rig();
    let mut agent = rig.connect();
    agent.receives(&rig, &Who { interval_ms: 300_000, ..who("a") }.hello(&gauges(&["load"])));
    agent.says();
    expires(rig, agent, 30_000, Code::ReportTimeout);
}

#[test]
fn report_timeout_moves_with_reports_alone() {
    let mut rig = rig();
    let quick = Who { interval_ms: 1_000, ..who("a") };
    let schema = gauges(&["load"]);
    let mut agent = reporting(&rig, &quick, &schema);
    rig.now += 2_999;
    agent.receives(&rig, &report(2, &[2.0]));
    agent.ticks(&rig);
    rig.now += 1_000;
    agent.receives(&rig, &[ping(1), schema.bytes].concat());
    assert_eq!(agent.says(), [Said::Other(Kind::Pong)]);
    expires(rig, agent, 2_000, Code::ReportTimeout);
}

#[test]
fn an_unchanged_report_keeps_an_agent() {
    let mut rig = rig();
    let quick = Who { interval_ms: 1_000, ..who("a") };
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
fn frame_timeout_grows_with_what_was_announced() {
    for announced in [0_usize, 4_088, 1_000_000] {
        let mut rig = rig();
        let slow = Who { interval_ms: 300_000, ..who("a") };
        let mut agent = reporting(&rig, &slow, &gauges(&["load"]));
        let mut header = crate::support::frames::raw(4, &[]);
        header[4..7].copy_from_slice(&(announced as u32).to_le_bytes()[..3]);
        if announced == 0 {
            header.truncate(7);
        }
        agent.receives(&rig, &header);
        let allowed = 10_000 + (announced as u64 + 8) * 1_000 / 4_096;
        // What trickles in does not help.
        rig.now += 9_000;
        if announced > 0 {
            agent.receives(&rig, &[0; 10]);
        }
        expires(rig, agent, allowed - 9_000, Code::FrameTimeout);
    }
}

#[test]
fn a_finished_frame_stops_its_clock() {
    let mut rig = rig();
    let mut agent = reporting(&rig, &who("a"), &gauges(&["load"]));
    let (first, second) = (report(2, &[2.0]), report(3, &[3.0]));
    agent.receives(&rig, &first[..9]);
    rig.now += 9_000;
    agent.receives(&rig, &[&first[9..], &second[..9]].concat());
    rig.now += 9_000;
    agent.ticks(&rig);
    assert_eq!(agent.close_reason(), None, "the second was begun 9 s ago");
    agent.receives(&rig, &second[9..]);
    assert_eq!(rig.page().values_of("a"), [3.0]);
}

#[test]
fn input_may_come_in_any_pieces() {
    let rig = rig();
    let schema = gauges(&["load"]);
    let hello = who("a").hello(&schema);
    let mut all = schema.bytes.clone();
    all.extend((1..20).flat_map(|n| report(n, &[n as f64])));
    all.extend(ping(1));
    for size in [1, 2, 7, 8, 9, 64, all.len()] {
        let mut agent = rig.connect();
        for piece in hello.chunks(size).chain(all.chunks(size)) {
            agent.receives(&rig, piece);
        }
        let said = agent.says();
        assert!(matches!(said[..], [Said::Welcome { .. }, Said::Other(Kind::Pong)]), "{said:?}");
        assert_eq!(rig.page().values_of("a"), [19.0]);
        agent.receives(&rig, &bye());
        assert_eq!(agent.close_reason(), Some(CloseReason::Bye));
        assert!(rig.page().0.is_empty());
    }
}

#[test]
fn the_end_of_the_stream() {
    let rig = rig();
    let mut agent = reporting(&rig, &who("a"), &gauges(&["load"]));
    agent.finishes();
    assert_eq!((agent.close_reason(), agent.says()), (Some(CloseReason::Closed), Vec::new()));
    assert!(rig.page().0.is_empty());
    let mut agent = reporting(&rig, &who("a"), &gauges(&["load"]));
    agent.receives(&rig, b"FG");
    agent.finishes();
    assert_eq!(agent.says(), [Said::Reject(Code::TruncatedFrame)]);
    assert!(rig.page().0.is_empty());
}

#[test]
fn what_comes_after_the_end_is_not_looked_at() {
    let rig = rig();
    let mut agent = reporting(&rig, &who("a"), &gauges(&["load"]));
    agent.receives(&rig, &[bye(), report(2, &[2.0]), b"garbage".to_vec()].concat());
    agent.receives(&rig, b"garbage");
    agent.finishes();
    agent.session.lost(CloseReason::Reset);
    agent.ticks(&rig);
    assert_eq!((agent.close_reason(), agent.says()), (Some(CloseReason::Bye), Vec::new()));
    assert_eq!(rig.figure("fleetgauge_connections_closed_total{reason=\"bye\"}"), 1.0);
    assert_eq!(rig.figure("fleetgauge_connections_closed_total{reason=\"reset\"}"), 0.0);
    assert_eq!(rig.figure("fleetgauge_connections_open"), 0.0);
}

#[test]
fn a_dropped_session_leaves_nothing() {
    let rig = rig();
    let agent = reporting(&rig, &who("a"), &gauges(&["load"]));
    assert!(rig.page().shows("a"));
    drop(agent);
    assert!(rig.page().0.is_empty());
    assert_eq!(rig.figure("fleetgauge_connections_open"), 0.0);
}

#[test]
fn the_handshake_ends_with_the_first_report() {
    let rig = rig();
    let room = rig.collector.admission.handshakes.available_permits();
    let mut agent = rig.connect();
    let schema = gauges(&["load"]);
    agent.receives(&rig, &who("a").hello(&schema));
    agent.receives(&rig, &schema.bytes);
    assert_eq!(rig.collector.admission.handshakes.available_permits(), room - 1);
    agent.receives(&rig, &report(1, &[1.0]));
    assert_eq!(rig.collector.admission.handshakes.available_permits(), room);
}

#[test]
fn a_challenge_lasts_five_seconds() {
    let mut rig = rig();
    let schema = gauges(&["load"]);
    let mut holder = reporting(&rig, &who("a"), &schema);
    let mut newcomer = rig.connect();
    newcomer.receives(&rig, &who("a").on_host(2).hello(&schema));
    assert!(newcomer.says().is_empty());
    holder.ticks(&rig);
    assert_eq!(holder.says(), [Said::Other(Kind::Ping)]);
    assert_eq!(newcomer.session.deadline(), rig.now + 5_000);
    rig.now += 4_999;
    newcomer.ticks(&rig);
    assert!(newcomer.says().is_empty());
    assert_eq!(rig.page().values_of("a"), [1.0]);
    rig.now += 1;
    newcomer.ticks(&rig);
    assert_eq!(newcomer.says(), [Said::Welcome { schema_known: true }]);
    assert!(rig.page().0.is_empty(), "the silent holder is removed");
    newcomer.receives(&rig, &report(1, &[2.0]));
    assert_eq!(rig.page().values_of("a"), [2.0]);
    holder.ticks(&rig);
    assert_eq!(holder.says(), [Said::Reject(Code::Superseded)]);
    assert_eq!(rig.page().values_of("a"), [2.0]);
}

#[test]
fn what_the_holder_sends_is_its_answer() {
    for answer in [report(2, &[2.0]), ping(9), gauges(&["load"]).bytes] {
        let rig = rig();
        let schema = gauges(&["load"]);
        let mut holder = reporting(&rig, &who("a"), &schema);
        let mut newcomer = rig.connect();
        newcomer.receives(&rig, &who("a").on_host(2).hello(&schema));
        holder.ticks(&rig);
        holder.receives(&rig, &answer);
        newcomer.ticks(&rig);
        assert_eq!(newcomer.says(), [Said::Reject(Code::IdConflict)]);
        assert!(rig.page().shows("a"));
    }
}

#[test]
fn the_holder_s_end_is_an_answer_too() {
    let rig = rig();
    let schema = gauges(&["load"]);
    let mut holder = reporting(&rig, &who("a"), &schema);
    let mut newcomer = rig.connect();
    newcomer.receives(&rig, &who("a").on_host(2).hello(&schema));
    // Even before it has looked at the question.
    holder.session.lost(CloseReason::Reset);
    newcomer.ticks(&rig);
    assert_eq!(newcomer.says(), [Said::Welcome { schema_known: true }]);
}

#[test]
fn an_answer_that_comes_too_late_harms_nobody() {
    let mut rig = rig();
    let schema = gauges(&["load"]);
    let _holder = reporting(&rig, &who("a"), &schema);
    let mut newcomer = rig.connect();
    newcomer.receives(&rig, &who("a").on_host(2).hello(&schema));
    rig.now += 5_000;
    newcomer.ticks(&rig);
    assert_eq!(newcomer.says(), [Said::Welcome { schema_known: true }]);
    // The holder had already taken the question when it was withdrawn.
    newcomer.session.handle().raise(Signal::Answered);
    newcomer.ticks(&rig);
    assert_eq!((newcomer.close_reason(), newcomer.says()), (None, Vec::new()));
    newcomer.receives(&rig, &report(1, &[2.0]));
    assert_eq!(rig.page().values_of("a"), [2.0]);
}

#[test]
fn a_third_host_may_win_the_id_in_the_meantime() {
    let mut rig = rig();
    let schema = gauges(&["load"]);
    let mut first = rig.connect();
    first.receives(&rig, &who("a").hello(&schema));
    let mut second = rig.connect();
    second.receives(&rig, &who("a").on_host(2).hello(&schema));
    first.receives(&rig, &[schema.bytes.clone(), report(1, &[1.0])].concat());
    second.receives(&rig, &[schema.bytes.clone(), report(1, &[2.0])].concat());
    assert!(matches!(second.says()[..], [Said::Welcome { .. }, Said::Reject(Code::IdConflict)]));
    rig.now += 1;
    assert_eq!(rig.page().values_of("a"), [1.0]);
    assert_eq!(first.close_reason(), None);
}

#[test]
fn asked_to_leave_it_reports_until_it_goes() {
    let rig = rig();
    let mut agent = reporting(&rig, &who("a"), &gauges(&["load"]));
    agent.session.handle().raise(Signal::Drain);
    agent.ticks(&rig);
    assert_eq!(agent.says(), [Said::Drain { delay_ms: 0 }]);
    agent.receives(&rig, &report(2, &[2.0]));
    assert_eq!(rig.page().values_of("a"), [2.0]);
    agent.session.handle().raise(Signal::Close);
    agent.ticks(&rig);
    assert_eq!(agent.says(), [Said::Reject(Code::Draining)]);
    assert!(rig.page().0.is_empty());
}
