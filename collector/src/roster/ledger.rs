//! Agents that have departed, in the order in which they did.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use fleetgauge_proto::AgentId;

use super::{Expected, Reason};
use crate::clock::{Moment, millis};
use crate::ending::Ending;

/// An agent that is not there any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Departure {
    /// Who.
    pub id: AgentId,
    /// Why.
    pub reason: Reason,
    /// When, in unix seconds.
    pub at: u64,
    /// When on the collector's clock, in milliseconds; negative: before it started. Unlike `at` it knows no jumps.
    awake: i64,
}

impl Departure {
    /// It departs now.
    #[must_use]
    pub fn new(id: AgentId, reason: Reason, now: Moment) -> Self {
        Self { id, reason, at: now.unix, awake: signed(now.awake) }
    }

    /// One that happened at `at`, unix seconds, before the collector started.
    #[must_use]
    pub fn of_old(id: AgentId, reason: Reason, at: u64) -> Self {
        Self { id, reason, at, awake: 0 }
    }

    /// As old as its time says now; not older than nothing, if it says the future.
    #[must_use]
    pub(super) fn aged(self, now: Moment) -> Self {
        let age = now.unix.saturating_sub(self.at).saturating_mul(1_000);
        Self { awake: signed(now.awake).saturating_sub(signed(age)), ..self }
    }

    /// Whether it ought to be there: it left without a Bye, or is expected whatever it said.
    #[must_use]
    pub fn is_down(&self, expected: &Expected) -> bool {
        self.reason != Reason::Ended(Ending::Bye) || expected.contains(&self.id)
    }

    fn is_older(&self, now: Moment, than: Duration) -> bool {
        signed(now.awake).saturating_sub(self.awake) >= signed(millis(than))
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Each agent at most once, found by id and by age.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    departures: BTreeMap<u64, Departure>,
    numbers: HashMap<AgentId, u64>,
}

impl Ledger {
    pub(super) fn len(&self) -> usize {
        self.departures.len()
    }

    /// Numbers rise.
    pub(super) fn record(&mut self, number: u64, departure: Departure) {
        if let Some(before) = self.numbers.insert(departure.id.clone(), number) {
            self.departures.remove(&before);
        }
        self.departures.insert(number, departure);
    }

    pub(super) fn contains(&self, id: &AgentId) -> bool {
        self.numbers.contains_key(id)
    }

    /// Takes one out: its number and itself.
    pub(super) fn take(&mut self, id: &AgentId) -> Option<(u64, Departure)> {
        let number = self.numbers.remove(id)?;
        Some((number, self.departures.remove(&number)?))
    }

    pub(super) fn forget_oldest(&mut self) {
        if let Some((_, departure)) = self.departures.pop_first() {
            self.numbers.remove(&departure.id);
        }
    }

    /// Forgets who departed so long ago.
    pub(super) fn forget_before(&mut self, now: Moment, ago: Duration) {
        while let Some(oldest) = self.departures.first_entry() {
            if !oldest.get().is_older(now, ago) {
                break;
            }
            self.numbers.remove(&oldest.remove().id);
        }
    }

    /// Those from this number on, the oldest first.
    pub(super) fn since(&self, number: u64) -> impl Iterator<Item = (u64, &Departure)> {
        self.departures.range(number..).map(|(number, departure)| (*number, departure))
    }
}
