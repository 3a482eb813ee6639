//! One id claimed by two hosts: a clone, or the same machine after a reboot. The holder is
//! challenged.

use std::time::{Duration, Instant};

use fleetgauge_proto::Code;
use fleetgauge_proto::Message;
use fleetgauge_proto::message::Pong;

use crate::support::agent::{Agent, Received, identity};
use crate::support::collector::Collector;
use crate::support::frames::{frame, gauges, report};

#[test]
fn clone_of_a_live_agent_is_rejected() {
    let collector = Collector::start();
    let catalog = gauges(&["load"]);
    let mut holder = Agent::join(collector.agents, &identity("a"), &catalog, &[1.0]);
    let mut clone = Agent::greet(collector.agents, &identity("a").on_host(2), &catalog);
    let Received::Ping(token) = holder.receive() else { panic!("the holder is not challenged") };
    holder.send(&frame(&Message::Pong(Pong { token })));
    let (_, retry_after_ms) = clone.expect_reject(Code::IdConflict);
    assert!(retry_after_ms.is_some_and(|ms| ms >= 10_000));
    holder.report(&[2.0]);
    assert_eq!(collector.page().values_of("a"), [2.0]);
    assert_eq!(collector.rejects("id_conflict"), 1.0);
    assert_eq!(collector.closed("id_conflict"), 1.0);
}

#[test]
fn report_answers_a_challenge() {
    let collector = Collector::start();
    let catalog = gauges(&["load"]);
    let mut holder = Agent::join(collector.agents, &identity("a"), &catalog, &[1.0]);
    let mut clone = Agent::greet(collector.agents, &identity("a").on_host(2), &catalog);
    assert!(matches!(holder.receive(), Received::Ping(_)));
    holder.send(&report(2, &[2.0]));
    clone.expect_reject(Code::IdConflict);
    assert_eq!(collector.page().values_of("a"), [2.0]);
}

#[test]
fn second_clone_is_rejected_while_the_first_waits() {
    let collector = Collector::start();
    let catalog = gauges(&["load"]);
    let mut holder = Agent::join(collector.agents, &identity("a"), &catalog, &[1.0]);
    let mut first = Agent::greet(collector.agents, &identity("a").on_host(2), &catalog);
    let Received::Ping(token) = holder.receive() else { panic!("the holder is not challenged") };
    let mut second = Agent::greet(collector.agents, &identity("a").on_host(3), &catalog);
    second.expect_reject(Code::IdConflict);
    holder.send(&frame(&Message::Pong(Pong { token })));
    first.expect_reject(Code::IdConflict);
    assert_eq!(collector.page().values_of("a"), [1.0]);
}

#[test]
fn rebooted_host_takes_over_its_id() {
    let collector = Collector::start();
    let catalog = gauges(&["load"]);
    // The holder's packets are dropped from now on, so the collector does not see its end.
    let mut dead = Agent::join(collector.agents, &identity("a"), &catalog, &[1.0]);
    let mut rebooted = Agent::greet(collector.agents, &identity("a").on_host(2), &catalog);
    let greeted = Instant::now();
    rebooted.expect_welcome(&catalog);
    rebooted.report(&[2.0]);
    assert_eq!(collector.page().values_of("a"), [2.0]);
    let waited = greeted.elapsed();
    assert!(waited >= Duration::from_secs(4), "{waited:?}");
    assert_eq!(collector.rejects("id_conflict"), 0.0);
    dead.expect_code(Code::Superseded);
    assert_eq!(collector.page().values_of("a"), [2.0]);
}

#[test]
fn challenger_is_welcomed_when_the_holder_ends() {
    for reset in [false, true] {
        let collector = Collector::start();
        let catalog = gauges(&["load"]);
        let mut holder = Agent::join(collector.agents, &identity("a"), &catalog, &[1.0]);
        let mut challenger = Agent::greet(collector.agents, &identity("a").on_host(2), &catalog);
        assert!(matches!(holder.receive(), Received::Ping(_)));
        if reset {
            holder.reset()
        } else {
            drop(holder)
        }
        challenger.expect_welcome(&catalog);
        challenger.report(&[2.0]);
        assert_eq!(collector.page().values_of("a"), [2.0]);
        assert_eq!(collector.rejects("id_conflict"), 0.0);
    }
}

#[test]
fn next_challenger_can_follow_one_that_gave_up() {
    let collector = Collector::start();
    let catalog = gauges(&["load"]);
    let mut holder = Agent::join(collector.agents, &identity("a"), &catalog, &[1.0]);
    let challenger = Agent::greet(collector.agents, &identity("a").on_host(2), &catalog);
    assert!(matches!(holder.receive(), Received::Ping(_)));
    drop(challenger);
    crate::support::eventually("the session has ended", || collector.closed("closed") == 1.0);
    let mut next = Agent::greet(collector.agents, &identity("a").on_host(3), &catalog);
    assert!(matches!(holder.receive(), Received::Ping(_)), "the holder is challenged again");
    holder.report(&[2.0]);
    next.expect_reject(Code::IdConflict);
}

#[test]
fn frame_from_a_challenger_before_welcome_is_rejected() {
    let collector = Collector::start();
    let catalog = gauges(&["load"]);
    let mut holder = Agent::join(collector.agents, &identity("a"), &catalog, &[1.0]);
    let mut challenger = Agent::greet(collector.agents, &identity("a").on_host(2), &catalog);
    assert!(matches!(holder.receive(), Received::Ping(_)));
    challenger.send(&report(1, &[9.0]));
    challenger.expect_reject(Code::UnexpectedFrame);
    holder.report(&[2.0]);
    assert_eq!(collector.page().values_of("a"), [2.0]);
}
