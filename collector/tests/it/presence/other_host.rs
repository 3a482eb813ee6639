//! The same id from another host: a clone, or the same machine after a reboot. The holder is
//! challenged.

use std::time::{Duration, Instant};

use fleetgauge_proto::Code;
use fleetgauge_proto::Message;
use fleetgauge_proto::message::Pong;

use crate::support::agent::{Agent, Heard, who};
use crate::support::collector::Collector;
use crate::support::frames::{frame, gauges, report};

#[test]
fn a_clone_of_a_living_agent_is_refused() {
    let collector = Collector::start();
    let schema = gauges(&["load"]);
    let mut holder = Agent::join(collector.agents, &who("a"), &schema, &[1.0]);
    let mut clone = Agent::greet(collector.agents, &who("a").on_host(2), &schema);
    let Heard::Ping(token) = holder.hear() else { panic!("the holder is not asked") };
    holder.send(&frame(&Message::Pong(Pong { token })));
    let (_, retry_after_ms) = clone.expect_reject(Code::IdConflict);
    assert!(retry_after_ms.is_some_and(|ms| ms >= 10_000));
    holder.report(&[2.0]);
    assert_eq!(collector.page().values_of("a"), [2.0]);
    assert_eq!(collector.rejects("id_conflict"), 1.0);
    assert_eq!(collector.closed("id_conflict"), 1.0);
}

#[test]
fn a_report_is_as_good_an_answer_as_a_pong() {
    let collector = Collector::start();
    let schema = gauges(&["load"]);
    let mut holder = Agent::join(collector.agents, &who("a"), &schema, &[1.0]);
    let mut clone = Agent::greet(collector.agents, &who("a").on_host(2), &schema);
    assert!(matches!(holder.hear(), Heard::Ping(_)));
    holder.send(&report(2, &[2.0]));
    clone.expect_reject(Code::IdConflict);
    assert_eq!(collector.page().values_of("a"), [2.0]);
}

#[test]
fn a_second_clone_is_refused_while_the_first_is_waiting() {
    let collector = Collector::start();
    let schema = gauges(&["load"]);
    let mut holder = Agent::join(collector.agents, &who("a"), &schema, &[1.0]);
    let mut first = Agent::greet(collector.agents, &who("a").on_host(2), &schema);
    let Heard::Ping(token) = holder.hear() else { panic!("the holder is not asked") };
    let mut second = Agent::greet(collector.agents, &who("a").on_host(3), &schema);
    second.expect_reject(Code::IdConflict);
    holder.send(&frame(&Message::Pong(Pong { token })));
    first.expect_reject(Code::IdConflict);
    assert_eq!(collector.page().values_of("a"), [1.0]);
}

#[test]
fn a_rebooted_host_gets_its_id_back_without_a_conflict() {
    let collector = Collector::start();
    let schema = gauges(&["load"]);
    // Its packets are dropped from now on: the collector sees nothing at all.
    let mut dead = Agent::join(collector.agents, &who("a"), &schema, &[1.0]);
    let mut rebooted = Agent::greet(collector.agents, &who("a").on_host(2), &schema);
    let greeted = Instant::now();
    rebooted.expect_welcome(&schema);
    rebooted.report(&[2.0]);
    assert_eq!(collector.page().values_of("a"), [2.0]);
    let waited = greeted.elapsed();
    assert!(waited >= Duration::from_secs(4), "{waited:?}");
    assert_eq!(collector.rejects("id_conflict"), 0.0);
    dead.expect_code(Code::Superseded);
    assert_eq!(collector.page().values_of("a"), [2.0]);
}

#[test]
fn the_holder_s_end_admits_the_newcomer_at_once() {
    for reset in [false, true] {
        let collector = Collector::start();
        let schema = gauges(&["load"]);
        let mut holder = Agent::join(collector.agents, &who("a"), &schema, &[1.0]);
        let mut newcomer = Agent::greet(collector.agents, &who("a").on_host(2), &schema);
        assert!(matches!(holder.hear(), Heard::Ping(_)));
        if reset {
            holder.reset()
        } else {
            drop(holder)
        }
        newcomer.expect_welcome(&schema);
        newcomer.report(&[2.0]);
        assert_eq!(collector.page().values_of("a"), [2.0]);
        assert_eq!(collector.rejects("id_conflict"), 0.0);
    }
}

#[test]
fn a_newcomer_that_gives_up_leaves_the_holder_to_the_next() {
    let collector = Collector::start();
    let schema = gauges(&["load"]);
    let mut holder = Agent::join(collector.agents, &who("a"), &schema, &[1.0]);
    let newcomer = Agent::greet(collector.agents, &who("a").on_host(2), &schema);
    assert!(matches!(holder.hear(), Heard::Ping(_)));
    drop(newcomer);
    crate::support::eventually("it has gone", || collector.closed("closed") == 1.0);
    let mut next = Agent::greet(collector.agents, &who("a").on_host(3), &schema);
    assert!(matches!(holder.hear(), Heard::Ping(_)), "it is asked again");
    holder.report(&[2.0]);
    next.expect_reject(Code::IdConflict);
}

#[test]
fn a_frame_while_the_holder_is_asked_is_out_of_place() {
    let collector = Collector::start();
    let schema = gauges(&["load"]);
    let mut holder = Agent::join(collector.agents, &who("a"), &schema, &[1.0]);
    let mut newcomer = Agent::greet(collector.agents, &who("a").on_host(2), &schema);
    assert!(matches!(holder.hear(), Heard::Ping(_)));
    newcomer.send(&report(1, &[9.0]));
    newcomer.expect_reject(Code::UnexpectedFrame);
    holder.report(&[2.0]);
    assert_eq!(collector.page().values_of("a"), [2.0]);
}
