//! Pings behind reports: their Pongs tell when the collector has taken a report in.
//!
//! A write that returns has reached the kernel's buffer, not the collector. So one report in
//! [`Order::reports_per_ping`](crate::orders::Order) is followed by a Ping in the same write. Which
//! ones is fixed beforehand by agent and sequence number: a collector that is slow now does not
//! decide what is measured next. Every Ping is counted exactly once, by its Pong or by its age.

use std::time::Duration;

use super::{Engine, Hosts};
use crate::orders::Event;

/// Unanswered Pings kept for one agent. One more than these, and the oldest is counted with its
/// age.
const MAX_UNANSWERED: usize = 16;

/// A Ping without its Pong.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unanswered {
    /// Token of the Ping: the sequence number of the report before it.
    token: u64,
    /// When that report was due.
    due: Duration,
    /// How late the generator turned to it.
    own_lag: Duration,
}

impl Unanswered {
    pub(super) const fn new(token: u64, due: Duration, own_lag: Duration) -> Self {
        Self { token, due, own_lag }
    }
}

impl<H: Hosts, E: FnMut(Event)> Engine<H, E> {
    /// Whether a Ping follows this report.
    pub(super) fn is_pinged(&self, place: usize, sequence: u64) -> bool {
        let every = u64::from(self.order.reports_per_ping.max(1));
        (u64::from(self.number(place)) + sequence).is_multiple_of(every)
    }

    /// Appends a Ping behind a report.
    pub(super) fn ping(&mut self, place: usize, ping: Unanswered) {
        let member = &mut self.members[place];
        member.client.ping(ping.token, &mut self.out);
        let unanswered = &mut member.rare.get_or_insert_default().unanswered;
        let oldest = (unanswered.len() == MAX_UNANSWERED).then(|| unanswered.remove(0));
        unanswered.push(ping);
        if let Some(oldest) = oldest {
            self.count_unanswered(oldest);
        }
    }

    /// A Pong came. One that was counted with its age already is not counted again.
    pub(super) fn answered(&mut self, place: usize, token: u64) {
        let now = self.ledger.now();
        let member = &mut self.members[place];
        let Some(rare) = &mut member.rare else { return };
        let found = rare.unanswered.iter().position(|ping| ping.token == token);
        if let Some(found) = found {
            let ping = rare.unanswered.remove(found);
            let late = Duration::from_millis(self.order.late_ms.into());
            self.sample.counts.taken_in(now.saturating_sub(ping.due), ping.own_lag, late);
        }
        member.tidy();
    }

    /// Counts an agent's unanswered Pings with their age: nobody waits for their Pongs any more.
    pub(super) fn give_up_pings(&mut self, place: usize) {
        let member = &mut self.members[place];
        let Some(rare) = &mut member.rare else { return };
        let unanswered = std::mem::take(&mut rare.unanswered);
        member.tidy();
        for ping in unanswered {
            self.count_unanswered(ping);
        }
    }

    /// Ends a part of the test: what is unanswered is counted in it, and nothing of it in the next.
    pub(super) fn flush(&mut self) {
        for place in 0..self.members.len() {
            self.give_up_pings(place);
        }
        self.emit_sample();
        (self.emit)(Event::Done);
    }

    fn count_unanswered(&mut self, ping: Unanswered) {
        let age = self.ledger.now().saturating_sub(ping.due);
        let late = Duration::from_millis(self.order.late_ms.into());
        let tally = self.tally();
        tally.unanswered += 1;
        tally.taken_in(age, ping.own_lag, late);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Marked;
    use crate::engine::member::Member;
    use crate::orders::{Numbers, Order, Retry};

    fn engine() -> Engine<Marked, impl FnMut(Event)> {
        let agents = Numbers { first: 0, count: 1 };
        let nowhere = ([127, 0, 0, 1], 9).into();
        let order = Order {
            agents,
            known: agents,
            marks_from: 0,
            labels: 0,
            collector: nowhere,
            http: nowhere,
            pid: None,
            interval_ms: 1_000,
            seed: 0,
            tick_ms: 1,
            reports_per_ping: 4,
            late_ms: 1_000,
            tolerance_ms: 0,
            backoff: Retry::Quick,
            tls: None,
        };
        let hosts = Marked::new(&order).unwrap();
        let (mut engine, _) = Engine::new(order, hosts, |_| ()).unwrap();
        engine.members.push(Member::default());
        engine
    }

    fn pinged(token: u64) -> Unanswered {
        Unanswered::new(token, Duration::ZERO, Duration::ZERO)
    }

    #[test]
    fn every_ping_is_counted_once_though_none_is_answered() {
        let mut engine = engine();
        for token in 1..=20 {
            engine.ping(0, pinged(token));
        }
        let counted = |engine: &Engine<_, _>| {
            let counts = &engine.sample.counts;
            (counts.times.lag.count(), counts.unanswered)
        };
        assert_eq!(counted(&engine), (20 - MAX_UNANSWERED as u64, 20 - MAX_UNANSWERED as u64));
        engine.answered(0, 20);
        assert_eq!(counted(&engine), (5, 4));
        engine.give_up_pings(0);
        assert_eq!(counted(&engine), (20, 19));
        engine.answered(0, 19);
        assert_eq!(counted(&engine), (20, 19));
        assert!(engine.members[0].rare.is_none(), "an idle agent keeps nothing of them");
    }

    #[test]
    fn what_is_unanswered_counts_with_its_age() {
        let mut engine = engine();
        engine.order.late_ms = 0;
        engine.ping(0, pinged(1));
        let before = engine.ledger.now();
        engine.flush();
        // The flush has told of it and begun anew.
        assert_eq!(engine.sample.counts.times.lag.count(), 0);
        engine.ping(0, pinged(2));
        engine.give_up_pings(0);
        let counts = &engine.sample.counts;
        assert!(counts.times.lag.longest_ms() >= before.as_secs_f64() * 1e3 * 0.99);
        assert_eq!(counts.late, 1);
    }

    #[test]
    fn pings_are_spread_evenly_and_known_beforehand() {
        let engine = engine();
        let pinged: Vec<_> = (1..=12).filter(|sequence| engine.is_pinged(0, *sequence)).collect();
        assert_eq!(pinged, [4, 8, 12]);
    }
}
