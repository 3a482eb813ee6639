//! Pings after reports. Their Pongs confirm that the collector has processed a report.
//!
//! A write that returns has reached the kernel's buffer, not the collector. So every
//! [`WorkerConfig::reports_per_ping`](crate::worker_protocol::WorkerConfig)-th report is followed
//! by a Ping in the same write. Agent and sequence number determine which ones, so a slow collector
//! cannot influence what is measured next. Every Ping is counted exactly once: by its Pong, by its
//! age, or as unanswered if neither says how long its report took.

use std::time::Duration;

use super::{Engine, FleetModel, SimAgent};
use crate::worker_protocol::Event;

/// How long a phase waits at its end for outstanding Pongs, or `late` if that is longer. A Ping
/// abandoned then is old enough to reveal a stall, however late in the phase it was sent.
const PONG_TIMEOUT: Duration = crate::judge::tolerances::SETTLED;
/// Maximum wait for outstanding Pongs at the end of a phase.
const MAX_PONG_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum duration of a flush. It limits an overloaded generator, because the parent waits for 30
/// s.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(20);
/// How often to check for outstanding Pongs.
const PONG_POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Maximum unanswered Pings per agent. Beyond it the oldest is counted with its age.
const MAX_UNANSWERED: usize = 16;

/// A Ping whose Pong has not arrived.
#[derive(Debug, Clone, Copy)]
pub(super) struct PendingPing {
    /// Token of the Ping: sequence number of the report before it.
    token: u64,
    /// When that report was due.
    due: Duration,
    /// Part of the report's delay that the load test itself caused.
    own_lag: Duration,
}

impl PendingPing {
    pub(super) const fn new(token: u64, due: Duration, own_lag: Duration) -> Self {
        Self { token, due, own_lag }
    }
}

/// A flush in progress: at the end of a phase, the engine waits for outstanding Pongs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flush {
    began: Duration,
    /// When to check for outstanding Pongs again, as time since the start of the test.
    pub(super) next: Duration,
}

impl<M: FleetModel, E: FnMut(Event)> Engine<M, E> {
    /// Whether a Ping follows this report.
    pub(super) fn needs_ping(&self, index: usize, sequence: u64) -> bool {
        let every = u64::from(self.config.reports_per_ping.max(1));
        (u64::from(self.agent_number(index)) + sequence).is_multiple_of(every)
    }

    /// Appends a Ping to the report in the output buffer.
    pub(super) fn append_ping(&mut self, index: usize, ping: PendingPing) {
        let agent = &mut self.agents[index];
        agent.client.ping(ping.token, &mut self.out);
        let unanswered = &mut agent.cold.get_or_insert_default().pending_pings;
        let oldest = (unanswered.len() == MAX_UNANSWERED).then(|| unanswered.remove(0));
        unanswered.push(ping);
        if let Some(oldest) = oldest {
            self.count_with_age(oldest);
        }
    }

    /// Handles a Pong. A Ping that was already counted with its age is not counted again.
    pub(super) fn on_pong(&mut self, index: usize, token: u64) {
        let (now, late) = (self.truth.now(), self.late());
        let agent = &mut self.agents[index];
        let Some(cold) = &mut agent.cold else { return };
        let found = cold.pending_pings.iter().position(|ping| ping.token == token);
        if let Some(found) = found {
            let ping = cold.pending_pings.remove(found);
            self.sample.counts.answered += 1;
            self.sample.counts.record_processed(now.saturating_sub(ping.due), ping.own_lag, late);
        }
        agent.tidy();
    }

    /// Abandons the Pings of an agent whose session ends. A report that is already late is counted
    /// with its age. The others have no lag: their age would understate it.
    pub(super) fn abandon_pings(&mut self, index: usize) {
        let (now, late) = (self.truth.now(), self.late());
        for ping in self.take_pings(index, |_| true) {
            if now.saturating_sub(ping.due).saturating_sub(ping.own_lag) > late {
                self.count_with_age(ping);
            } else {
                self.tally().unanswered += 1;
            }
        }
    }

    /// Ends a phase once its Pings are answered.
    pub(super) fn flush(&mut self) {
        let now = self.truth.now();
        self.flush = Some(Flush { began: now, next: now });
        self.end_flush(now);
    }

    /// Emits the counts once every Ping of the phase is answered or abandoned, so that all of them
    /// count in this phase.
    pub(super) fn end_flush(&mut self, now: Duration) {
        let Some(flush) = self.flush.filter(|flush| flush.next <= now) else { return };
        let is_of_phase = |ping: &PendingPing| ping.due <= flush.began;
        let awaited = |agent: &SimAgent| {
            agent.cold.as_ref().is_some_and(|cold| cold.pending_pings.iter().any(is_of_phase))
        };
        // Pongs that are unread because the generator itself stalled are not late.
        let expired = self.handled_until >= flush.began + self.pong_timeout();
        let expired = expired || now >= flush.began + FLUSH_TIMEOUT;
        if !expired && self.agents.iter().any(awaited) {
            self.flush = Some(Flush { next: now + PONG_POLL_INTERVAL, ..flush });
            return;
        }
        for index in 0..self.agents.len() {
            for ping in self.take_pings(index, is_of_phase) {
                self.count_with_age(ping);
            }
        }
        self.flush = None;
        self.emit_sample();
        (self.emit)(Event::CommandDone);
    }

    fn pong_timeout(&self) -> Duration {
        PONG_TIMEOUT.max(self.late()).min(MAX_PONG_TIMEOUT)
    }

    /// Returns the lag above which a report is late.
    fn late(&self) -> Duration {
        Duration::from_millis(self.config.late_ms.into())
    }

    /// Removes the selected Pings of an agent.
    fn take_pings(
        &mut self,
        index: usize,
        which: impl Fn(&PendingPing) -> bool,
    ) -> Vec<PendingPing> {
        let agent = &mut self.agents[index];
        let Some(cold) = &mut agent.cold else { return Vec::new() };
        let removed = cold.pending_pings.extract_if(.., |ping| which(ping)).collect();
        agent.tidy();
        removed
    }

    fn count_with_age(&mut self, ping: PendingPing) {
        let (age, late) = (self.truth.now().saturating_sub(ping.due), self.late());
        let tally = self.tally();
        tally.unanswered += 1;
        tally.record_processed(age, ping.own_lag, late);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::agent_range::AgentRange;
    use crate::engine::TracedFleet;
    use crate::engine::sim_agent::Stage;
    use crate::host_profile::HostModel;
    use crate::worker_protocol::{BackoffPolicy, WorkerConfig};

    type Events = Arc<Mutex<Vec<Event>>>;

    fn engine() -> Engine<TracedFleet, impl FnMut(Event)> {
        engine_with_events().0
    }

    /// Creates an engine with one agent. Also returns the events that it emits.
    fn engine_with_events() -> (Engine<TracedFleet, impl FnMut(Event)>, Events) {
        let agents = AgentRange { first: 0, count: 1 };
        let nowhere = ([127, 0, 0, 1], 9).into();
        let config = WorkerConfig {
            agents,
            visible: agents,
            first_encoded_agent: 0,
            labels: 0,
            hosts: HostModel::default(),
            collector: nowhere,
            http: nowhere,
            collector_pid: None,
            interval_ms: 1_000,
            seed: 0,
            batch_ms: 1,
            reports_per_ping: 4,
            late_ms: 1_000,
            tolerance_ms: 0,
            backoff: BackoffPolicy::Quick,
            tls: None,
            keeps_log: false,
            backlog_reports: 0,
        };
        let model = TracedFleet::new(&config).unwrap();
        let events = Events::default();
        let sink = Arc::clone(&events);
        let emit = move |event| sink.lock().unwrap().push(event);
        let (mut engine, _) = Engine::new(config, model, emit).unwrap();
        engine.agents.push(SimAgent::default());
        (engine, events)
    }

    fn pending(token: u64) -> PendingPing {
        PendingPing::new(token, Duration::ZERO, Duration::ZERO)
    }

    /// Records that all events before `now` have been handled, and ends the flush if it is over.
    fn handle_all(engine: &mut Engine<TracedFleet, impl FnMut(Event)>, now: Duration) {
        engine.events_handled(now, 0);
        engine.end_flush(now);
    }

    #[test]
    fn every_ping_is_counted_exactly_once() {
        let mut engine = engine();
        for token in 1..=20 {
            engine.append_ping(0, pending(token));
        }
        let counted = |engine: &Engine<_, _>| {
            let counts = &engine.sample.counts;
            (counts.times.lag.count(), counts.unanswered)
        };
        assert_eq!(counted(&engine), (20 - MAX_UNANSWERED as u64, 20 - MAX_UNANSWERED as u64));
        engine.on_pong(0, 20);
        assert_eq!(counted(&engine), (5, 4));
        engine.config.late_ms = 0;
        engine.abandon_pings(0);
        assert_eq!(counted(&engine), (20, 19));
        engine.on_pong(0, 19);
        assert_eq!(counted(&engine), (20, 19));
        assert_eq!(engine.sample.counts.answered, 1);
        assert!(engine.agents[0].cold.is_none(), "an idle agent keeps no cold state");
    }

    #[test]
    fn a_flush_waits_only_for_pongs_of_its_phase() {
        let (mut engine, events) = engine_with_events();
        engine.append_ping(0, pending(1));
        engine.flush();
        assert_eq!(events.lock().unwrap().len(), 0, "the flush ended before its Pong");
        let now = engine.truth.now();
        engine.append_ping(0, PendingPing::new(2, now + PONG_TIMEOUT, Duration::ZERO));
        engine.on_pong(0, 1);
        engine.end_flush(now + PONG_POLL_INTERVAL);
        assert!(matches!(events.lock().unwrap()[..], [Event::Sample(_), Event::CommandDone]));
        assert_eq!(engine.agents[0].cold.as_ref().unwrap().pending_pings.len(), 1);
    }

    #[test]
    fn an_unanswered_ping_counts_with_its_age_at_the_end_of_a_phase() {
        let (mut engine, events) = engine_with_events();
        engine.config.late_ms = 0;
        engine.append_ping(0, pending(1));
        engine.flush();
        let before = engine.truth.now();
        handle_all(&mut engine, before + PONG_TIMEOUT);
        let events = events.lock().unwrap();
        let Event::Sample(sample) = &events[0] else { panic!("{events:?}") };
        let counts = &sample.counts;
        assert_eq!((counts.unanswered, counts.late, counts.answered), (1, 1, 0));
        assert!(counts.times.lag.longest_ms() >= before.as_secs_f64() * 1e3 * 0.99);
    }

    /// With `--max-lag 3s` a Ping without a Pong is late only after 3 s.
    #[test]
    fn a_flush_waits_as_long_as_a_report_may_take() {
        for (late_ms, seconds) in [(0, 1), (1_000, 1), (3_000, 3), (30_000, 10)] {
            let (mut engine, events) = engine_with_events();
            engine.config.late_ms = late_ms;
            engine.append_ping(0, pending(1));
            engine.flush();
            let (began, timeout) = (engine.flush.unwrap().began, Duration::from_secs(seconds));
            handle_all(&mut engine, began + timeout - PONG_POLL_INTERVAL);
            assert_eq!(events.lock().unwrap().len(), 0, "{late_ms} ms");
            handle_all(&mut engine, began + timeout);
            assert_eq!(events.lock().unwrap().len(), 2, "{late_ms} ms");
        }
    }

    #[test]
    fn pongs_unread_after_a_stall_of_the_generator_are_awaited() {
        let (mut engine, events) = engine_with_events();
        engine.append_ping(0, pending(1));
        engine.flush();
        let began = engine.flush.unwrap().began;
        engine.events_handled(began, 1);
        // After a stall, more events are pending than one poll returns.
        engine.end_flush(began + 2 * PONG_TIMEOUT);
        engine.events_handled(began + 3 * PONG_TIMEOUT, crate::engine::MAX_EVENTS_PER_POLL);
        engine.end_flush(began + 3 * PONG_TIMEOUT);
        assert_eq!(events.lock().unwrap().len(), 0, "the Ping was abandoned");
        engine.on_pong(0, 1);
        engine.end_flush(began + 4 * PONG_TIMEOUT);
        let events = events.lock().unwrap();
        let Event::Sample(sample) = &events[0] else { panic!("{events:?}") };
        assert_eq!((sample.counts.unanswered, sample.counts.answered), (0, 1));
    }

    #[test]
    fn a_flush_ends_in_time_if_events_stay_pending() {
        let (mut engine, events) = engine_with_events();
        engine.append_ping(0, pending(1));
        engine.flush();
        let began = engine.flush.unwrap().began;
        engine.end_flush(began + FLUSH_TIMEOUT);
        assert_eq!(events.lock().unwrap().len(), 2);
    }

    #[test]
    fn abandoned_pings_do_not_understate_the_lag() {
        let mut engine = engine();
        engine.append_ping(0, pending(1));
        engine.abandon_pings(0);
        let counts = &engine.sample.counts;
        assert_eq!((counts.unanswered, counts.times.lag.count()), (1, 0));
    }

    #[test]
    fn a_welcome_with_another_interval_is_counted() {
        let mut engine = engine();
        for (seconds, counted) in [(1, 0), (300, 1)] {
            engine.agents[0].stage = Stage::Connecting;
            engine.connecting = 1;
            engine.truth.resize(1);
            engine.on_welcome(0, Duration::from_secs(seconds));
            assert_eq!(engine.sample.counts.other_interval, counted);
        }
    }

    #[test]
    fn pings_are_spread_evenly_and_predetermined() {
        let engine = engine();
        let pending: Vec<_> = (1..=12).filter(|sequence| engine.needs_ping(0, *sequence)).collect();
        assert_eq!(pending, [4, 8, 12]);
    }
}
