//! The roster: agents that should be connected but are not. It distinguishes a departed agent from
//! one that never existed.
//!
//! Connected agents are in the registry and take no memory here. The roster has three groups.
//! **Departed** agents are kept with time and reason, limited in number and age. **Awaited** agents
//! have time to return after a start: they were connected before it, or the operator expects them.
//! A stopping collector has **sent away** the third group. A superseded session is no departure,
//! because its agent is connected.
//!
//! ```text
//!   saved before the start, or expected ──▶ awaited ──── first report ──▶ connected (registry)
//!                                              │                            │    ▲
//!                              not back in time│          session has ended │    │ first report
//!                                              ▼                            ▼    │
//!                                           departed ◀──────────────────────┴────┘
//! ```
//!
//! The module does no I/O and reads no clock. Its lock is held to change one agent or to copy the
//! departed agents, and no other lock is taken under it.

mod amend;
mod departures;
mod expect;
pub mod file_format;
mod presence;
mod reason;
pub mod store;
pub mod text;

use std::collections::HashMap;
use std::time::Duration;

use fleetgauge_proto::{AgentId, Code};
use parking_lot::Mutex;

use crate::clock::{Millis, Moment, millis};
use crate::peers::close_reason::CloseReason;
use crate::registry::FleetShard;
use crate::telemetry::sample::MetricSample;

pub use amend::NotForgotten;
pub use departures::Departure;
pub use expect::{BadExpectation, Expected};
pub use presence::PresenceSnapshot;
pub use reason::Reason;

use departures::DepartureLog;

/// Maximum number of agents processed while the lock is held. Sessions that begin or end wait for
/// it.
const AT_ONCE: usize = 1_000;

/// Limits of the roster, and the expected agents.
#[derive(Debug, Clone)]
pub struct RosterLimits {
    /// Maximum number of departed agents, expected ones not counted. Above it, the oldest is
    /// forgotten.
    pub departed: usize,
    /// Time after which departed agents are forgotten.
    pub departed_for: Duration,
    /// Time for which an agent is awaited after a start. Extended to two report intervals if those
    /// are longer.
    pub return_time: Duration,
    /// Agents that are expected until the next reload. They are never forgotten.
    pub expected: Expected,
}

/// The roster as it is saved across restarts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SavedRoster {
    /// Connected agents and their report intervals in milliseconds.
    pub connected: Vec<(AgentId, u32)>,
    /// Departed agents, the oldest first.
    pub departed: Vec<Departure>,
}

/// Progress of a warm-up: the return of agents after a start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WarmupProgress {
    /// Number of agents awaited since the start, returned and expired ones included.
    pub awaited: usize,
    /// Number of awaited agents that have returned.
    pub returned: usize,
    /// Number of awaited agents that have neither returned nor expired.
    pub missing: usize,
}

impl WarmupProgress {
    /// Whether the collector waits for agents to return after a start or reload.
    #[must_use]
    pub fn warming_up(self) -> bool {
        self.missing > 0
    }
}

#[derive(Debug)]
struct Awaited {
    until: Millis,
    interval_ms: u32,
    otherwise: Reason,
}

#[derive(Debug, Default)]
struct RosterState {
    expected: Expected,
    departed: DepartureLog,
    /// Departed agents that are expected.
    missed: DepartureLog,
    awaited: HashMap<AgentId, Awaited>,
    /// Agents that a stopping collector asked to leave, with their report intervals in
    /// milliseconds.
    sent_away: HashMap<AgentId, u32>,
    /// Sequence number of the next departure.
    next: u64,
    /// All departed agents that have returned since had a lower sequence number than this.
    returned: u64,
    /// Time at which the next awaited agent expires.
    due: Millis,
    progress: WarmupProgress,
    forgotten: u64,
    /// Number of departed agents deleted by HTTP users.
    deleted: u64,
    changes: u64,
}

impl RosterState {
    /// Removes an awaited agent.
    fn no_longer_awaited(&mut self, id: &AgentId) {
        if self.awaited.remove(id).is_some() {
            self.progress.awaited -= 1;
            self.progress.missing -= 1;
        }
    }
}

/// The departures from a sequence number on.
struct Since {
    departed: Vec<Departure>,
    /// Sequence number of the next departure.
    next: u64,
    returned: u64,
}

/// Which agents are connected, departed or awaited.
#[derive(Debug)]
pub struct Roster {
    limits: RosterLimits,
    state: Mutex<RosterState>,
}

impl Roster {
    /// Creates a roster of the expected agents, which are awaited.
    #[must_use]
    pub fn new(limits: RosterLimits) -> Self {
        let state = RosterState { expected: limits.expected.clone(), ..RosterState::default() };
        let roster = Self { limits, state: Mutex::new(state) };
        roster.restore(SavedRoster::default(), Moment::default());
        roster
    }

    /// Restores a saved roster after a start at `now`. Agents that were connected are awaited.
    pub fn restore(&self, saved: SavedRoster, now: Moment) {
        let expected_ids = self.expected();
        let mut state = RosterState { expected: expected_ids.clone(), ..RosterState::default() };
        let expected = expected_ids.iter().cloned().map(|id| (id, 0, Reason::NeverSeen));
        let connected = saved.connected.into_iter().map(|(id, ms)| (id, ms, Reason::NotReturned));
        for (id, interval_ms, otherwise) in expected.chain(connected) {
            let until = now.awake + self.return_time(interval_ms);
            state.awaited.insert(id, Awaited { until, interval_ms, otherwise });
        }
        // An agent that was never seen, and is no longer expected, is dropped.
        let is_relevant =
            |one: &Departure| one.reason != Reason::NeverSeen || expected_ids.contains(&one.id);
        for departure in saved.departed.into_iter().filter(is_relevant) {
            state.awaited.remove(&departure.id);
            self.record(&mut state, departure.aged(now));
        }
        state.progress.awaited = state.awaited.len();
        state.progress.missing = state.awaited.len();
        state.forgotten = 0;
        *self.state.lock() = state;
    }

    /// Returns the time for which an agent with this report interval is awaited after a start.
    pub(crate) fn return_time(&self, interval_ms: u32) -> Millis {
        millis(self.limits.return_time).max(2 * Millis::from(interval_ms))
    }

    /// Records the first report of an agent.
    pub fn arrived(&self, id: &AgentId) {
        let mut state = self.state.lock();
        state.changes += 1;
        let before = state.departed.take(id).or_else(|| state.missed.take(id));
        state.returned = state.returned.max(before.map_or(0, |(sequence, _)| sequence + 1));
        state.sent_away.remove(id);
        if state.awaited.remove(id).is_some() {
            state.progress.returned += 1;
            state.progress.missing -= 1;
        }
    }

    /// Records that an agent's session has ended and no other holds its id.
    pub fn departed(&self, id: &AgentId, interval_ms: u32, reason: CloseReason, now: Moment) {
        let mut state = self.state.lock();
        state.changes += 1;
        // A reload can have awaited it a moment ago.
        state.no_longer_awaited(id);
        match reason {
            CloseReason::Drained | CloseReason::Rejected(Code::Draining) => {
                state.sent_away.insert(id.clone(), interval_ms);
            }
            _ => self.record(&mut state, Departure::new(id.clone(), Reason::Ended(reason), now)),
        }
    }

    /// Expires awaited agents and forgets old departures. Call this every second.
    pub fn expire(&self, now: Moment) {
        for batch in self.overdue(now).chunks(AT_ONCE) {
            let mut state = self.state.lock();
            for id in batch {
                // It can have returned meanwhile.
                let Some(awaited) = state.awaited.remove(id) else { continue };
                state.progress.missing -= 1;
                state.changes += 1;
                let departure = Departure::new(id.clone(), awaited.otherwise, now);
                self.record(&mut state, departure);
            }
        }
        let mut state = self.state.lock();
        let before = state.departed.len();
        state.departed.forget_before(now, self.limits.departed_for);
        state.changes += (before - state.departed.len()) as u64;
    }

    fn overdue(&self, now: Moment) -> Vec<AgentId> {
        let mut state = self.state.lock();
        if state.awaited.is_empty() || state.due > now.awake {
            return Vec::new();
        }
        let is_overdue = |awaited: &&Awaited| awaited.until <= now.awake;
        let overdue = state.awaited.iter().filter(|(_, awaited)| is_overdue(awaited));
        let overdue = overdue.map(|(id, _)| id.clone()).collect();
        let later = state.awaited.values().filter(|awaited| !is_overdue(awaited));
        state.due = later.map(|awaited| awaited.until).min().unwrap_or(Millis::MAX);
        overdue
    }

    fn record(&self, state: &mut RosterState, departure: Departure) {
        let sequence = state.next;
        state.next += 1;
        if state.expected.contains(&departure.id) {
            state.missed.record(sequence, departure);
            return;
        }
        state.departed.record(sequence, departure);
        if state.departed.len() > self.limits.departed {
            state.departed.forget_oldest();
            state.forgotten += 1;
        }
    }

    /// Returns the progress of the warm-up.
    #[must_use]
    pub fn progress(&self) -> WarmupProgress {
        self.state.lock().progress
    }

    /// Returns the departed agents, the oldest first.
    #[must_use]
    pub fn departures(&self) -> Vec<Departure> {
        self.departures_since(0, FleetShard::ALL).departed
    }

    /// Returns the departures of a shard of the fleet from this sequence number on.
    fn departures_since(&self, sequence: u64, shard: FleetShard) -> Since {
        let state = self.state.lock();
        let departed = state.departed.since(sequence).chain(state.missed.since(sequence));
        let departed = departed.filter(|(_, one)| shard.has(one.id.as_str()));
        let mut departed: Vec<_> = departed.map(|(at, one)| (at, one.clone())).collect();
        let (next, returned) = (state.next, state.returned);
        drop(state);
        departed.sort_unstable_by_key(|(sequence, _)| *sequence);
        let departed = departed.into_iter().map(|(_, departure)| departure).collect();
        Since { departed, next, returned }
    }

    /// Returns the agents that can return: awaited or sent away.
    fn may_return(&self) -> Vec<(AgentId, u32)> {
        let state = self.state.lock();
        let was_connected = |(_, awaited): &(_, &Awaited)| awaited.otherwise == Reason::NotReturned;
        let awaited =
            state.awaited.iter().filter(was_connected).map(|(id, one)| (id, one.interval_ms));
        let sent_away = state.sent_away.iter().map(|(id, interval_ms)| (id, *interval_ms));
        awaited.chain(sent_away).map(|(id, interval_ms)| (id.clone(), interval_ms)).collect()
    }

    /// Returns the number of changes to the saved part of the roster since the start.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.state.lock().changes
    }

    /// Returns the metrics of the roster.
    #[must_use]
    pub fn samples(&self) -> [MetricSample; 6] {
        let state = self.state.lock();
        #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
        let count = |count: usize| count as f64;
        #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
        let (forgotten, deleted) = (state.forgotten as f64, state.deleted as f64);
        let WarmupProgress { awaited, returned, .. } = state.progress;
        let warming_up = usize::from(state.progress.warming_up());
        let departed = state.departed.len() + state.missed.len();
        [
            MetricSample::Gauge(
                "fleetgauge_agents_departed",
                "Departed agents that are stored, including those that sent Bye.",
                count(departed),
            ),
            MetricSample::Counter(
                "fleetgauge_departed_forgotten",
                "Departed agents dropped because there were more than max_departed.",
                forgotten,
            ),
            MetricSample::Counter(
                "fleetgauge_departed_deleted",
                "Departed agents that users have deleted.",
                deleted,
            ),
            MetricSample::Gauge(
                "fleetgauge_warming_up",
                "1 while the collector waits for agents to return after a start or reload.",
                count(warming_up),
            ),
            MetricSample::Gauge(
                "fleetgauge_agents_awaited",
                "Agents awaited after the start or a reload, including those that have returned.",
                count(awaited),
            ),
            MetricSample::Gauge(
                "fleetgauge_agents_returned",
                "Awaited agents that have returned.",
                count(returned),
            ),
        ]
    }
}

#[cfg(test)]
mod tests;
