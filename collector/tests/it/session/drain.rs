//! Drain: delays that agents get.

use std::time::Duration;

use super::reporting;
use crate::support::agent::identity;
use crate::support::collector::config;
use crate::support::driven::{Rig, Sent};
use crate::support::frames::{frame, gauges};
use fleetgauge_collector::peers::close_reason::CloseReason;
use fleetgauge_collector::peers::handle::Signal;
use fleetgauge_collector::roster::PresenceSnapshot;
use fleetgauge_proto::Message;
use fleetgauge_proto::message::{Bye, ByeReason};

/// Returns the sorted delays, in milliseconds, that a stopping collector with a drain time of 20 s
/// sends to `agents` agents.
fn delays(agents: u32) -> Vec<u32> {
    let mut config = config();
    config.drain = Duration::from_secs(20);
    let rig = Rig::new(config);
    let catalog = gauges(&["load"]);
    let delay = |n| {
        let mut agent = reporting(&rig, &identity(&format!("a{n}")), &catalog);
        agent.session.handle().raise(Signal::Drain);
        agent.ticks(&rig);
        let [Sent::Drain { delay_ms }] = agent.take_sent()[..] else {
            panic!("not asked to leave")
        };
        delay_ms
    };
    let mut delays: Vec<_> = (0..agents).map(delay).collect();
    delays.sort_unstable();
    delays
}

#[test]
fn few_agents_are_spread_over_the_first_half_of_the_drain_time() {
    let delays = delays(10);
    let gaps = delays.windows(2).map(|two| two[1] - two[0]);
    assert!(gaps.max().unwrap() < 2_700, "the mean gap is one second: {delays:?}");
    assert!(delays[0] < 2_700 && (7_300..10_000).contains(&delays[9]), "{delays:?}");
}

#[test]
fn many_agents_leave_at_an_even_rate() {
    let delays = delays(1_000);
    for second in 0..10_u32 {
        let during = second * 1_000..(second + 1) * 1_000;
        let leave = delays.iter().filter(|delay| during.contains(*delay)).count();
        assert!((97..=103).contains(&leave), "{leave} in second {second}");
    }
}

#[test]
fn bye_after_a_drain_counts_as_drained_while_the_collector_runs() {
    let rig = Rig::new(config());
    let mut agent = reporting(&rig, &identity("a"), &gauges(&["load"]));
    agent.session.handle().raise(Signal::Drain);
    agent.ticks(&rig);
    let reason = ByeReason::Drained as u8;
    agent.receives(&rig, &frame(&Message::Bye(Bye { stream: 0, reason })));
    assert_eq!(agent.close_reason(), Some(CloseReason::Drained));
    let saved = PresenceSnapshot::to_save(&rig.collector.registry, &rig.collector.roster);
    assert!(saved.connected.is_empty(), "not awaited after a restart: {saved:?}");
}
