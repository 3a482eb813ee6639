//! Agents that send far more than their interval allows, and those that only seem to.

use fleetgauge_collector::peers::close_reason::CloseReason;
use fleetgauge_proto::Code;

use super::{reporting, rig};
use crate::support::agent::{Who, who};
use crate::support::collector::config;
use crate::support::driven::{Driven, Rig, Said};
use crate::support::frames::{gauges, ping, raw, report};

/// An agent that reports every second and has done so once; its schema and that report are paid
/// for.
fn every_second() -> (Rig, Driven) {
    every_second_at(rig())
}

fn every_second_at(mut rig: Rig) -> (Rig, Driven) {
    let agent = reporting(&rig, &Who { interval_ms: 1_000, ..who("a") }, &gauges(&["load"]));
    rig.now += 2_000;
    (rig, agent)
}

/// How many of these frames are taken before it is refused, for too many of them.
fn taken(rig: &Rig, agent: &mut Driven, frame: impl Fn(u64) -> Vec<u8>) -> u64 {
    let most = 100_000;
    let refused = (0..most).find(|number| {
        agent.receives(rig, &frame(*number));
        agent.close_reason().is_some()
    });
    assert_eq!(agent.close_reason(), Some(CloseReason::Rejected(Code::TooManyReports)));
    assert_eq!(agent.says().last(), Some(&Said::Reject(Code::TooManyReports)));
    assert!(rig.page().0.is_empty(), "its series went with it");
    refused.unwrap()
}

#[test]
fn a_flood_of_reports() {
    let (rig, mut agent) = every_second();
    assert_eq!(taken(&rig, &mut agent, |number| report(2 + number, &[1.0])), 100);
}

#[test]
fn a_flood_where_more_than_a_frame_a_millisecond_is_allowed() {
    let mut config = config();
    config.bounds.reports_per_interval = 1_500;
    let (rig, mut agent) = every_second_at(Rig::new(config));
    // Of a frame 666 of its 666.7 microseconds are counted.
    assert_eq!(taken(&rig, &mut agent, |number| report(2 + number, &[1.0])), 30_030);
}

#[test]
fn a_flood_of_reports_before_the_clock_moves() {
    let rig = rig();
    let mut agent = reporting(&rig, &who("a"), &gauges(&["load"]));
    // The first report and a schema, which is worth five, are in the bucket.
    assert_eq!(taken(&rig, &mut agent, |number| report(2 + number, &[1.0])), 94);
}

#[test]
fn a_flood_of_pings() {
    let (rig, mut agent) = every_second();
    assert_eq!(taken(&rig, &mut agent, ping), 100);
}

#[test]
fn a_flood_of_schemas() {
    let (rig, mut agent) = every_second();
    assert_eq!(taken(&rig, &mut agent, |number| gauges(&[&format!("g{number}")]).bytes), 20);
}

#[test]
fn a_flood_of_frames_that_are_skipped() {
    let (rig, mut agent) = every_second();
    assert_eq!(taken(&rig, &mut agent, |_| raw(0x80, b"of a later version")), 100);
}

#[test]
fn a_flood_in_many_drops() {
    let (mut rig, mut agent) = every_second();
    for second in 0..1_000 {
        (0..5).for_each(|n| agent.receives(&rig, &report(2 + second * 5 + n, &[1.0])));
        rig.now += 1_000;
    }
    assert_eq!(agent.close_reason(), None, "five times what it said is let pass");
    for second in 1_000.. {
        (0..6).for_each(|n| agent.receives(&rig, &report(2 + second * 6 + n, &[1.0])));
        rig.now += 1_000;
        if agent.close_reason().is_some() {
            assert_eq!(second, 1_095, "six times is not, as soon as a hundred are too many");
            return;
        }
    }
}

#[test]
fn what_piled_up_in_a_frozen_minute_is_no_flood() {
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
fn a_flood_behind_one_answer() {
    let (rig, mut agent) = every_second();
    let mut thief = rig.connect();
    thief.receives(&rig, &who("a").on_host(66).hello(&gauges(&["load"])));
    agent.ticks(&rig);
    // The first is the answer.
    assert_eq!(taken(&rig, &mut agent, |number| report(2 + number, &[1.0])), 101);
}

#[test]
fn answers_to_those_who_claim_its_id_are_not_held_against_the_holder() {
    let (rig, mut agent) = every_second();
    for _ in 0..1_000 {
        let mut thief = rig.connect();
        thief.receives(&rig, &who("a").on_host(66).hello(&gauges(&["load"])));
        agent.ticks(&rig);
        let asked = agent.says();
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
