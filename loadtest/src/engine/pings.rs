//! Pings behind reports: their Pongs tell when the collector has taken a report in.
//!
//! A write that returns has reached the kernel's buffer, not the collector. So one report in
//! [`Order::reports_per_ping`](crate::orders::Order) is followed by a Ping in the same write. Which
//! ones is fixed beforehand by agent and sequence number: a collector that is slow now does not
//! decide what is measured next. Every Ping is counted exactly once: by its Pong or by its age, and
//! as unanswered where neither says how long its report took.

use std::time::Duration;

use super::{Engine, Hosts, Member};
use crate::orders::Event;

/// At the end of a part of the test the Pongs of its Pings are awaited for so long, or for as long
/// as a report may take if that is more. A Ping that is given up then has an age that tells of a
/// stall, however short before the end it was sent.
const PONG_WITHIN: Duration = crate::judge::SETTLED;
/// The most of that.
const PONG_WITHIN_MOST: Duration = Duration::from_secs(10);
/// A generator that does not get to hear what came by then gives up even so: its parent waits for
/// 30 s.
const FLUSH_WITHIN: Duration = Duration::from_secs(20);
/// Between two looks for those Pongs.
const LOOK_EVERY: Duration = Duration::from_millis(10);

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

/// The end of a part of the test: the Pongs of what was due before are awaited.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flush {
    began: Duration,
    /// When it is looked at next.
    pub(super) next: Duration,
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
            self.count_with_age(oldest);
        }
    }

    /// A Pong came. One that was counted with its age already is not counted again.
    pub(super) fn answered(&mut self, place: usize, token: u64) {
        let (now, late) = (self.ledger.now(), self.late());
        let member = &mut self.members[place];
        let Some(rare) = &mut member.rare else { return };
        let found = rare.unanswered.iter().position(|ping| ping.token == token);
        if let Some(found) = found {
            let ping = rare.unanswered.remove(found);
            self.sample.counts.answered += 1;
            self.sample.counts.taken_in(now.saturating_sub(ping.due), ping.own_lag, late);
        }
        member.tidy();
    }

    /// Stops waiting for the Pongs of an agent whose session ends. A report that is late already is
    /// counted with its age. The others have no lag: their age would make it seem too short.
    pub(super) fn give_up_pings(&mut self, place: usize) {
        let (now, late) = (self.ledger.now(), self.late());
        for ping in self.take_pings(place, |_| true) {
            if now.saturating_sub(ping.due).saturating_sub(ping.own_lag) > late {
                self.count_with_age(ping);
            } else {
                self.tally().unanswered += 1;
            }
        }
    }

    /// Ends a part of the test as soon as the Pongs of its Pings have come.
    pub(super) fn flush(&mut self) {
        let now = self.ledger.now();
        self.flush = Some(Flush { began: now, next: now });
        self.end_flush(now);
    }

    /// Tells what was counted once every Ping of the part has its Pong, or was given up: all of it
    /// is counted in this part, and nothing in the next.
    pub(super) fn end_flush(&mut self, now: Duration) {
        let Some(flush) = self.flush.filter(|flush| flush.next <= now) else { return };
        let is_of_part = |ping: &Unanswered| ping.due <= flush.began;
        let awaited = |member: &Member| {
            member.rare.as_ref().is_some_and(|rare| rare.unanswered.iter().any(is_of_part))
        };
        // Pongs that lie unread because the generator itself stood still are no lateness.
        let over = self.heard_until >= flush.began + self.pong_within();
        let over = over || now >= flush.began + FLUSH_WITHIN;
        if !over && self.members.iter().any(awaited) {
            self.flush = Some(Flush { next: now + LOOK_EVERY, ..flush });
            return;
        }
        for place in 0..self.members.len() {
            for ping in self.take_pings(place, is_of_part) {
                self.count_with_age(ping);
            }
        }
        self.flush = None;
        self.emit_sample();
        (self.emit)(Event::Done);
    }

    fn pong_within(&self) -> Duration {
        PONG_WITHIN.max(self.late()).min(PONG_WITHIN_MOST)
    }

    /// A report is late if it is taken in so long after it was due.
    fn late(&self) -> Duration {
        Duration::from_millis(self.order.late_ms.into())
    }

    /// Removes those of an agent's unanswered Pings.
    fn take_pings(&mut self, place: usize, which: impl Fn(&Unanswered) -> bool) -> Vec<Unanswered> {
        let member = &mut self.members[place];
        let Some(rare) = &mut member.rare else { return Vec::new() };
        let taken = rare.unanswered.extract_if(.., |ping| which(ping)).collect();
        member.tidy();
        taken
    }

    fn count_with_age(&mut self, ping: Unanswered) {
        let (age, late) = (self.ledger.now().saturating_sub(ping.due), self.late());
        let tally = self.tally();
        tally.unanswered += 1;
        tally.taken_in(age, ping.own_lag, late);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::engine::Marked;
    use crate::engine::member::Stage;
    use crate::orders::{Numbers, Order, Retry};

    type Told = Arc<Mutex<Vec<Event>>>;

    fn engine() -> Engine<Marked, impl FnMut(Event)> {
        telling().0
    }

    /// An engine with one agent, and what it tells.
    fn telling() -> (Engine<Marked, impl FnMut(Event)>, Told) {
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
        let told = Told::default();
        let tell = Arc::clone(&told);
        let emit = move |event| tell.lock().unwrap().push(event);
        let (mut engine, _) = Engine::new(order, hosts, emit).unwrap();
        engine.members.push(Member::default());
        (engine, told)
    }

    fn pinged(token: u64) -> Unanswered {
        Unanswered::new(token, Duration::ZERO, Duration::ZERO)
    }

    /// Hears every socket, and looks whether a part is over.
    fn look(engine: &mut Engine<Marked, impl FnMut(Event)>, now: Duration) {
        engine.heard(now, 0);
        engine.end_flush(now);
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
        engine.order.late_ms = 0;
        engine.give_up_pings(0);
        assert_eq!(counted(&engine), (20, 19));
        engine.answered(0, 19);
        assert_eq!(counted(&engine), (20, 19));
        assert_eq!(engine.sample.counts.answered, 1);
        assert!(engine.members[0].rare.is_none(), "an idle agent keeps nothing of them");
    }

    #[test]
    fn the_end_of_a_part_awaits_its_pongs_and_no_others() {
        let (mut engine, told) = telling();
        engine.ping(0, pinged(1));
        engine.flush();
        assert_eq!(told.lock().unwrap().len(), 0, "the part has ended with a Ping under way");
        let now = engine.ledger.now();
        engine.ping(0, Unanswered::new(2, now + PONG_WITHIN, Duration::ZERO));
        engine.answered(0, 1);
        engine.end_flush(now + LOOK_EVERY);
        assert!(matches!(told.lock().unwrap()[..], [Event::Sample(_), Event::Done]));
        assert_eq!(engine.members[0].rare.as_ref().unwrap().unanswered.len(), 1);
    }

    #[test]
    fn a_ping_without_a_pong_at_the_end_of_a_part_counts_with_its_age() {
        let (mut engine, told) = telling();
        engine.order.late_ms = 0;
        engine.ping(0, pinged(1));
        engine.flush();
        let before = engine.ledger.now();
        look(&mut engine, before + PONG_WITHIN);
        let told = told.lock().unwrap();
        let Event::Sample(sample) = &told[0] else { panic!("{told:?}") };
        let counts = &sample.counts;
        assert_eq!((counts.unanswered, counts.late, counts.answered), (1, 1, 0));
        assert!(counts.times.lag.longest_ms() >= before.as_secs_f64() * 1e3 * 0.99);
    }

    /// With `--late 3s` a Ping without a Pong is late only after 3 s.
    #[test]
    fn pongs_are_awaited_for_as_long_as_a_report_may_take() {
        for (late_ms, seconds) in [(0, 1), (1_000, 1), (3_000, 3), (30_000, 10)] {
            let (mut engine, told) = telling();
            engine.order.late_ms = late_ms;
            engine.ping(0, pinged(1));
            engine.flush();
            let (began, waited) = (engine.flush.unwrap().began, Duration::from_secs(seconds));
            look(&mut engine, began + waited - LOOK_EVERY);
            assert_eq!(told.lock().unwrap().len(), 0, "{late_ms} ms");
            look(&mut engine, began + waited);
            assert_eq!(told.lock().unwrap().len(), 2, "{late_ms} ms");
        }
    }

    #[test]
    fn pongs_unread_after_a_stall_of_the_generator_are_not_given_up() {
        let (mut engine, told) = telling();
        engine.ping(0, pinged(1));
        engine.flush();
        let began = engine.flush.unwrap().began;
        engine.heard(began, 1);
        // It stood still after that, and then more had come than it hears at once.
        engine.end_flush(began + 2 * PONG_WITHIN);
        engine.heard(began + 3 * PONG_WITHIN, crate::engine::EVENTS);
        engine.end_flush(began + 3 * PONG_WITHIN);
        assert_eq!(told.lock().unwrap().len(), 0, "the Ping was given up");
        engine.answered(0, 1);
        engine.end_flush(began + 4 * PONG_WITHIN);
        let told = told.lock().unwrap();
        let Event::Sample(sample) = &told[0] else { panic!("{told:?}") };
        assert_eq!((sample.counts.unanswered, sample.counts.answered), (0, 1));
    }

    #[test]
    fn a_generator_that_never_gets_to_hear_ends_a_part_in_time() {
        let (mut engine, told) = telling();
        engine.ping(0, pinged(1));
        engine.flush();
        let began = engine.flush.unwrap().began;
        engine.end_flush(began + FLUSH_WITHIN);
        assert_eq!(told.lock().unwrap().len(), 2);
    }

    #[test]
    fn an_agent_that_leaves_does_not_make_the_lag_seem_short() {
        let mut engine = engine();
        engine.ping(0, pinged(1));
        engine.give_up_pings(0);
        let counts = &engine.sample.counts;
        assert_eq!((counts.unanswered, counts.times.lag.count()), (1, 0));
    }

    #[test]
    fn a_welcome_with_another_interval_is_counted() {
        let mut engine = engine();
        for (seconds, counted) in [(1, 0), (300, 1)] {
            engine.members[0].stage = Stage::Greeted;
            engine.greeted = 1;
            engine.ledger.open(1);
            engine.welcomed(0, Duration::from_secs(seconds));
            assert_eq!(engine.sample.counts.other_interval, counted);
        }
    }

    #[test]
    fn pings_are_spread_evenly_and_known_beforehand() {
        let engine = engine();
        let pinged: Vec<_> = (1..=12).filter(|sequence| engine.is_pinged(0, *sequence)).collect();
        assert_eq!(pinged, [4, 8, 12]);
    }
}
