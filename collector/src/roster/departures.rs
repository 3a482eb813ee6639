//! Departed agents, in the order of their departure.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use fleetgauge_proto::AgentId;

use super::{Expected, Reason};
use crate::clock::{Moment, millis};
use crate::peers::close_reason::CloseReason;

/// A departed agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Departure {
    /// Id of the agent.
    pub id: AgentId,
    /// Why the agent departed.
    pub reason: Reason,
    /// When the agent departed, in unix seconds.
    pub at: u64,
    /// The same moment on the collector's monotonic clock, in milliseconds; negative if the agent
    /// departed before the collector started. Ages are computed from it, because the wall clock
    /// can jump.
    awake: i64,
}

impl Departure {
    /// Creates a departure at `now`.
    #[must_use]
    pub fn new(id: AgentId, reason: Reason, now: Moment) -> Self {
        Self { id, reason, at: now.unix, awake: signed(now.awake) }
    }

    /// Creates a departure that was saved before the start; `at` is in unix seconds.
    #[must_use]
    pub fn before_start(id: AgentId, reason: Reason, at: u64) -> Self {
        Self { id, reason, at, awake: 0 }
    }

    /// Computes `awake` from `at` and the current time. An `at` in the future counts as now.
    #[must_use]
    pub(super) fn aged(self, now: Moment) -> Self {
        let age = now.unix.saturating_sub(self.at).saturating_mul(1_000);
        Self { awake: signed(now.awake).saturating_sub(signed(age)), ..self }
    }

    /// Whether the agent is down: it left without Bye, or is expected.
    #[must_use]
    pub fn is_down(&self, expected: &Expected) -> bool {
        self.reason != Reason::Ended(CloseReason::Bye) || expected.contains(&self.id)
    }

    fn is_older(&self, now: Moment, than: Duration) -> bool {
        signed(now.awake).saturating_sub(self.awake) >= signed(millis(than))
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The departed agents, each at most once, found by id or by age.
#[derive(Debug, Default)]
pub(super) struct DepartureLog {
    departures: BTreeMap<u64, Departure>,
    sequences: HashMap<AgentId, u64>,
}

impl DepartureLog {
    pub(super) fn len(&self) -> usize {
        self.departures.len()
    }

    /// Adds a departure. Sequence numbers must increase.
    pub(super) fn record(&mut self, sequence: u64, departure: Departure) {
        if let Some(before) = self.sequences.insert(departure.id.clone(), sequence) {
            self.departures.remove(&before);
        }
        self.departures.insert(sequence, departure);
    }

    pub(super) fn contains(&self, id: &AgentId) -> bool {
        self.sequences.contains_key(id)
    }

    /// Removes the departure of an agent. Returns it with its sequence number.
    pub(super) fn take(&mut self, id: &AgentId) -> Option<(u64, Departure)> {
        let sequence = self.sequences.remove(id)?;
        Some((sequence, self.departures.remove(&sequence)?))
    }

    pub(super) fn forget_oldest(&mut self) {
        if let Some((_, departure)) = self.departures.pop_first() {
            self.sequences.remove(&departure.id);
        }
    }

    /// Forgets departures that are older than `ago` at `now`.
    pub(super) fn forget_before(&mut self, now: Moment, ago: Duration) {
        while let Some(oldest) = self.departures.first_entry() {
            if !oldest.get().is_older(now, ago) {
                break;
            }
            self.sequences.remove(&oldest.remove().id);
        }
    }

    /// Returns the departures from this sequence number on, the oldest first.
    pub(super) fn since(&self, sequence: u64) -> impl Iterator<Item = (u64, &Departure)> {
        self.departures.range(sequence..).map(|(sequence, departure)| (*sequence, departure))
    }
}
