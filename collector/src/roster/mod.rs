//! Who ought to be there and is not: so that an agent that has gone can be told from one that never was.
//!
//! Who is connected stands in the registry and costs nothing here. Here stand the agents that have **departed**, with
//! the moment and the reason, bounded in number and time; those that are **awaited** after a start, because they were
//! connected before it or because the operator expects them; and those that were **sent away** by a collector that
//! stops. A superseded session is no departure: its agent is connected.
//!
//! ```text
//!   known before the start, or expected ──▶ awaited ──── first report ──▶ connected (registry)
//!                                              │                            │    ▲
//!                              not back in time│          session has ended │    │ first report
//!                                              ▼                            ▼    │
//!                                           departed ◀──────────────────────┴────┘
//! ```
//!
//! No I/O, no clock. The lock is held for one agent, or for one copy of those who have departed, and no other is
//! taken meanwhile.

mod amend;
mod census;
mod expect;
pub mod keeper;
mod ledger;
pub mod page;
mod reason;
pub mod state;
pub mod store;
pub(crate) mod watch;

use std::collections::HashMap;
use std::time::Duration;

use fleetgauge_proto::{AgentId, Code};
use parking_lot::Mutex;

use crate::clock::{Millis, Moment, millis};
use crate::ending::Ending;
use crate::metrics::Figure;
use crate::registry::PageShard;

pub use amend::NotForgotten;
pub use census::Census;
pub use expect::{BadExpectation, Expected};
pub use ledger::Departure;
pub use reason::Reason;

use ledger::Ledger;

/// Agents given up under one hold of the lock, for which connections wait that come and go.
const AT_ONCE: usize = 1_000;

/// What the roster remembers, and for how long.
#[derive(Debug, Clone)]
pub struct Memory {
    /// Most agents that have departed, the expected ones aside; beyond it the oldest is forgotten.
    pub departed: usize,
    /// How long they are remembered.
    pub departed_for: Duration,
    /// How long an agent is awaited after a start; two intervals of its own, if that is longer.
    pub patience: Duration,
    /// Agents that must be there, as long as no others are. They are never forgotten.
    pub expected: Expected,
}

/// What is known of the fleet from before a start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// Who was connected, and the interval of their reports in milliseconds.
    pub connected: Vec<(AgentId, u32)>,
    /// Who had departed, the oldest first.
    pub departed: Vec<Departure>,
}

/// How far the fleet is back after a start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Return {
    /// Agents that were awaited at the start.
    pub awaited: usize,
    /// Those of them that are or were back.
    pub returned: usize,
    /// Those of them of whom nothing is known yet.
    pub missing: usize,
}

impl Return {
    /// Whether the time to come back is not over.
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
struct Lists {
    expected: Expected,
    departed: Ledger,
    /// Expected agents that have departed.
    missed: Ledger,
    awaited: HashMap<AgentId, Awaited>,
    /// Asked to leave by a collector that stops, with their intervals in milliseconds.
    sent_away: HashMap<AgentId, u32>,
    /// The number of the next departure.
    next: u64,
    /// Who has come back had departures with numbers below this.
    returned: u64,
    /// When the next of the awaited is overdue.
    due: Millis,
    progress: Return,
    forgotten: u64,
    /// Departed agents that readers have deleted.
    deleted: u64,
    changes: u64,
}

impl Lists {
    /// It was awaited, and is neither awaited nor missing any more.
    fn no_longer_awaited(&mut self, id: &AgentId) {
        if self.awaited.remove(id).is_some() {
            self.progress.awaited -= 1;
            self.progress.missing -= 1;
        }
    }
}

/// Who has departed since some moment.
struct Since {
    departed: Vec<Departure>,
    /// See [`Lists`].
    next: u64,
    returned: u64,
}

/// The roster.
#[derive(Debug)]
pub struct Roster {
    memory: Memory,
    lists: Mutex<Lists>,
}

impl Roster {
    /// A roster that knows of nobody but the expected, who are awaited from now on.
    #[must_use]
    pub fn new(memory: Memory) -> Self {
        let lists = Lists { expected: memory.expected.clone(), ..Lists::default() };
        let roster = Self { memory, lists: Mutex::new(lists) };
        roster.restore(Known::default(), Moment::default());
        roster
    }

    /// Takes over what is known from before the start at `now`: who was connected is awaited.
    pub fn restore(&self, known: Known, now: Moment) {
        let expects = self.expected();
        let mut lists = Lists { expected: expects.clone(), ..Lists::default() };
        let expected = expects.iter().cloned().map(|id| (id, 0, Reason::NeverSeen));
        let connected = known.connected.into_iter().map(|(id, ms)| (id, ms, Reason::NotReturned));
        for (id, interval_ms, otherwise) in expected.chain(connected) {
            let until = now.awake + self.patience(interval_ms);
            lists.awaited.insert(id, Awaited { until, interval_ms, otherwise });
        }
        // One that never came is nobody once it is no longer expected.
        let somebody =
            |one: &Departure| one.reason != Reason::NeverSeen || expects.contains(&one.id);
        for departure in known.departed.into_iter().filter(somebody) {
            lists.awaited.remove(&departure.id);
            self.record(&mut lists, departure.aged(now));
        }
        lists.progress.awaited = lists.awaited.len();
        lists.progress.missing = lists.awaited.len();
        lists.forgotten = 0;
        *self.lists.lock() = lists;
    }

    fn patience(&self, interval_ms: u32) -> Millis {
        millis(self.memory.patience).max(2 * Millis::from(interval_ms))
    }

    /// The agent is connected.
    pub fn arrived(&self, id: &AgentId) {
        let mut lists = self.lists.lock();
        lists.changes += 1;
        let before = lists.departed.take(id).or_else(|| lists.missed.take(id));
        lists.returned = lists.returned.max(before.map_or(0, |(number, _)| number + 1));
        lists.sent_away.remove(id);
        if lists.awaited.remove(id).is_some() {
            lists.progress.returned += 1;
            lists.progress.missing -= 1;
        }
    }

    /// The agent's session has ended, and no other holds its id.
    pub fn departed(&self, id: &AgentId, interval_ms: u32, ending: Ending, now: Moment) {
        let mut lists = self.lists.lock();
        lists.changes += 1;
        // It is, if it has become expected a moment ago.
        lists.no_longer_awaited(id);
        match ending {
            Ending::Drained | Ending::Rejected(Code::Draining) => {
                lists.sent_away.insert(id.clone(), interval_ms);
            }
            _ => self.record(&mut lists, Departure::new(id.clone(), Reason::Ended(ending), now)),
        }
    }

    /// Gives up those who are overdue, and forgets those who departed too long ago. To be called every second.
    pub fn pass(&self, now: Moment) {
        for some in self.overdue(now).chunks(AT_ONCE) {
            let mut lists = self.lists.lock();
            for id in some {
                // Who has come back meanwhile is not among them any more.
                let Some(awaited) = lists.awaited.remove(id) else { continue };
                lists.progress.missing -= 1;
                lists.changes += 1;
                let departure = Departure::new(id.clone(), awaited.otherwise, now);
                self.record(&mut lists, departure);
            }
        }
        let mut lists = self.lists.lock();
        let before = lists.departed.len();
        lists.departed.forget_before(now, self.memory.departed_for);
        lists.changes += (before - lists.departed.len()) as u64;
    }

    fn overdue(&self, now: Moment) -> Vec<AgentId> {
        let mut lists = self.lists.lock();
        if lists.awaited.is_empty() || lists.due > now.awake {
            return Vec::new();
        }
        let is_overdue = |awaited: &&Awaited| awaited.until <= now.awake;
        let overdue = lists.awaited.iter().filter(|(_, awaited)| is_overdue(awaited));
        let overdue = overdue.map(|(id, _)| id.clone()).collect();
        let later = lists.awaited.values().filter(|awaited| !is_overdue(awaited));
        lists.due = later.map(|awaited| awaited.until).min().unwrap_or(Millis::MAX);
        overdue
    }

    fn record(&self, lists: &mut Lists, departure: Departure) {
        let number = lists.next;
        lists.next += 1;
        if lists.expected.contains(&departure.id) {
            lists.missed.record(number, departure);
            return;
        }
        lists.departed.record(number, departure);
        if lists.departed.len() > self.memory.departed {
            lists.departed.forget_oldest();
            lists.forgotten += 1;
        }
    }

    /// How far the fleet is back.
    #[must_use]
    pub fn progress(&self) -> Return {
        self.lists.lock().progress
    }

    /// Who has departed, the oldest first.
    #[must_use]
    pub fn departures(&self) -> Vec<Departure> {
        self.departures_since(0, PageShard::ALL).departed
    }

    /// Those of a part of the fleet from this number on.
    fn departures_since(&self, number: u64, part: PageShard) -> Since {
        let lists = self.lists.lock();
        let departed = lists.departed.since(number).chain(lists.missed.since(number));
        let departed = departed.filter(|(_, one)| part.has(one.id.as_str()));
        let mut departed: Vec<_> = departed.map(|(at, one)| (at, one.clone())).collect();
        let (next, returned) = (lists.next, lists.returned);
        drop(lists);
        departed.sort_unstable_by_key(|(number, _)| *number);
        let departed = departed.into_iter().map(|(_, departure)| departure).collect();
        Since { departed, next, returned }
    }

    /// Who is not connected and may come back: the awaited, and those that were sent away.
    fn elsewhere(&self) -> Vec<(AgentId, u32)> {
        let lists = self.lists.lock();
        let known = |(_, awaited): &(_, &Awaited)| awaited.otherwise == Reason::NotReturned;
        let awaited = lists.awaited.iter().filter(known).map(|(id, one)| (id, one.interval_ms));
        let sent_away = lists.sent_away.iter().map(|(id, interval_ms)| (id, *interval_ms));
        awaited.chain(sent_away).map(|(id, interval_ms)| (id.clone(), interval_ms)).collect()
    }

    /// How often anything has changed that is worth keeping.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.lists.lock().changes
    }

    /// What Prometheus is told of the roster as a whole.
    #[must_use]
    pub fn figures(&self) -> [Figure; 6] {
        let lists = self.lists.lock();
        #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
        let count = |count: usize| count as f64;
        #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
        let (forgotten, deleted) = (lists.forgotten as f64, lists.deleted as f64);
        let Return { awaited, returned, .. } = lists.progress;
        let warming_up = usize::from(lists.progress.warming_up());
        let departed = lists.departed.len() + lists.missed.len();
        [
            Figure::Gauge(
                "fleetgauge_agents_departed",
                "Agents that have gone and are remembered.",
                count(departed),
            ),
            Figure::Counter(
                "fleetgauge_departed_forgotten",
                "Agents that have gone and were forgotten for want of room.",
                forgotten,
            ),
            Figure::Counter(
                "fleetgauge_departed_deleted",
                "Departed agents that readers have deleted.",
                deleted,
            ),
            Figure::Gauge(
                "fleetgauge_warming_up",
                "1 while agents that are awaited, after the start or newly expected, may still come back.",
                count(warming_up),
            ),
            Figure::Gauge(
                "fleetgauge_agents_awaited",
                "Agents that are awaited since the start, or since a reload that added them.",
                count(awaited),
            ),
            Figure::Gauge(
                "fleetgauge_agents_returned",
                "Those of the awaited that have come back.",
                count(returned),
            ),
        ]
    }
}

#[cfg(test)]
mod tests;
