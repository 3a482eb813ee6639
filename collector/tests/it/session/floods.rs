//! Frame rate limit: agents that exceed it, and agents that only seem to.

use fleetgauge_collector::peers::close_reason::CloseReason;
use fleetgauge_proto::Code;

use super::{reporting, rig};
use crate::support::agent::{Identity, identity};
use crate::support::collector::config;
use crate::support::driven::{Driven, Rig, Sent};
use crate::support::frames::{gauges, ping, raw, report};

/// An agent with an interval of one second that has reported once. Its catalog and that report are
/// already charged.
fn every_second() -> (Rig, Driven) {
    every_second_at(rig())
}

fn every_second_at(mut rig: Rig) -> (Rig, Driven) {
    let agent =
        reporting(&rig, &Identity { interval_ms: 1_000, ..identity("a") }, &gauges(&["load"]));
    rig.now += 2_000;
    (rig, agent)
}

/// Returns the number of these frames that are accepted before the session is refused.
fn accepted(rig: &Rig, agent: &mut Driven, frame: impl Fn(u64) -> Vec<u8>) -> u64 {
    let most = 100_000;
    let refused = (0..most).find(|number| {
        agent.receives(rig, &frame(*number));
        agent.close_reason().is_some()
    });
    assert_eq!(agent.close_reason(), Some(CloseReason::Rejected(Code::TooManyReports)));
    assert_eq!(agent.take_sent().last(), Some(&Sent::Reject(Code::TooManyReports)));
    assert!(rig.page().0.is_empty(), "its series are removed");
    refused.unwrap()
}

#[test]
fn flood_of_reports_is_rejected() {
    let (rig, mut agent) = every_second();
    assert_eq!(accepted(&rig, &mut agent, |number| report(2 + number, &[1.0])), 100);
}

#[test]
fn flood_over_a_limit_of_several_frames_a_millisecond_is_rejected() {
    let mut config = config();
    config.bounds.reports_per_interval = 1_500;
    let (rig, mut agent) = every_second_at(Rig::new(config));
    // A frame costs 666.7 microseconds. 666 are counted.
    assert_eq!(accepted(&rig, &mut agent, |number| report(2 + number, &[1.0])), 30_030);
}

#[test]
fn flood_within_a_millisecond_is_rejected() {
    let rig = rig();
    let mut agent = reporting(&rig, &identity("a"), &gauges(&["load"]));
    // The first report, and a catalog that costs as much as five, are in the bucket.
    assert_eq!(accepted(&rig, &mut agent, |number| report(2 + number, &[1.0])), 94);
}

#[test]
fn flood_of_pings_is_rejected() {
    let (rig, mut agent) = every_second();
    assert_eq!(accepted(&rig, &mut agent, ping), 100);
}

#[test]
fn flood_of_catalogs_is_rejected() {
    let (rig, mut agent) = every_second();
    assert_eq!(accepted(&rig, &mut agent, |number| gauges(&[&format!("g{number}")]).bytes), 20);
}

#[test]
fn flood_of_skipped_frames_is_rejected() {
    let (rig, mut agent) = every_second();
    assert_eq!(accepted(&rig, &mut agent, |_| raw(0x80, b"of a later version")), 100);
}

#[test]
fn sustained_flood_is_rejected() {
    let (mut rig, mut agent) = every_second();
    for second in 0..1_000 {
        (0..5).for_each(|n| agent.receives(&rig, &report(2 + second * 5 + n, &[1.0])));
        rig.now += 1_000;
    }
    assert_eq!(agent.close_reason(), None, "five reports an interval are allowed");
    for second in 1_000.. {
        (0..6).for_each(|n| agent.receives(&rig, &report(2 + second * 6 + n, &[1.0])));
        rig.now += 1_000;
        if agent.close_reason().is_some() {
            assert_eq!(second, 1_095, "six an interval exceed the burst of a hundred");
            return;
        }
    }
}

#[test]
fn frames_delayed_by_a_freeze_are_accepted() {
    let (mut rig, mut agent) = every_second();
    let backlog: Vec<u8> = (0..60).flat_map(|n| report(2 + n, &[n as f64])).collect();
    agent.receives(&rig, &backlog);
    for second in 0..60 {
        rig.now += 1_000;
        agent.receives(&rig, &report(100 + second, &[1.0]));
    }
    assert_eq!(agent.close_reason(), None);
}

#[test]
fn flood_after_an_answer_to_a_challenge_is_rejected() {
    let (rig, mut agent) = every_second();
    let mut thief = rig.connect();
    thief.receives(&rig, &identity("a").on_host(66).hello(&gauges(&["load"])));
    agent.ticks(&rig);
    // The first frame is the answer.
    assert_eq!(accepted(&rig, &mut agent, |number| report(2 + number, &[1.0])), 101);
}

#[test]
fn answers_to_challenges_are_not_rate_limited() {
    let (rig, mut agent) = every_second();
    for _ in 0..1_000 {
        let mut thief = rig.connect();
        thief.receives(&rig, &identity("a").on_host(66).hello(&gauges(&["load"])));
        agent.ticks(&rig);
        let asked = agent.take_sent();
        assert_eq!(asked.len(), 1, "{asked:?}");
        agent.receives(
            &rig,
            &crate::support::frames::frame(&fleetgauge_proto::Message::Pong(
                fleetgauge_proto::message::Pong { token: 1 },
            )),
        );
        thief.ticks(&rig);
        assert_eq!(thief.close_reason(), Some(CloseReason::Rejected(Code::IdConflict)));
    }
    assert_eq!(agent.close_reason(), None);
}
