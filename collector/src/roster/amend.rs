//! Changes of the roster by operators: the expected agents, and deleted departures.

use fleetgauge_proto::AgentId;

use super::{AT_ONCE, Awaited, Expected, Reason, Roster, RosterState};
use crate::clock::{Millis, Moment};

/// Why a departure cannot be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotForgotten {
    /// The agent has not departed.
    NotDeparted,
    /// The agent is expected. After a restart it would be reported as missing again.
    Expected,
}

impl Roster {
    /// Returns the expected agents.
    #[must_use]
    pub fn expected(&self) -> Expected {
        self.state.lock().expected.clone()
    }

    /// Deletes the departure of an agent.
    ///
    /// # Errors
    /// [`NotForgotten`]
    pub fn forget(&self, id: &AgentId) -> Result<(), NotForgotten> {
        let mut state = self.state.lock();
        if state.missed.contains(id) {
            return Err(NotForgotten::Expected);
        }
        state.departed.take(id).ok_or(NotForgotten::NotDeparted)?;
        state.deleted += 1;
        state.changes += 1;
        Ok(())
    }

    /// Replaces the expected agents. An agent that is no longer expected is dropped unless it is
    /// connected. A newly expected agent is awaited unless it is connected or has departed.
    pub fn expect(
        &self,
        expected: &Expected,
        now: Moment,
        is_connected: impl Fn(&AgentId) -> bool,
    ) {
        let before = std::mem::replace(&mut self.state.lock().expected, expected.clone());
        let removed: Vec<_> = before.iter().filter(|id| !expected.contains(id)).collect();
        for batch in removed.chunks(AT_ONCE) {
            let mut state = self.state.lock();
            batch.iter().for_each(|id| state.retire(id));
        }
        let until = now.awake + self.return_time(0);
        let added: Vec<_> = expected.iter().filter(|id| !before.contains(id)).collect();
        for batch in added.chunks(AT_ONCE) {
            let mut state = self.state.lock();
            batch.iter().for_each(|id| state.require(id, until));
            drop(state);
            // After `require`, because an agent that connects or departs meanwhile removes itself.
            for id in batch.iter().filter(|id| is_connected(id)) {
                self.state.lock().no_longer_awaited(id);
            }
        }
    }
}

impl RosterState {
    /// Updates the state for an agent that is no longer expected.
    fn retire(&mut self, id: &AgentId) {
        if self.missed.take(id).is_some() {
            self.changes += 1;
        }
        // An agent that was connected before the start is still awaited.
        if self.awaited.get(id).is_some_and(|agent| agent.otherwise == Reason::NeverSeen) {
            self.no_longer_awaited(id);
        }
    }

    /// Updates the state for a newly expected agent. If it is unknown, it is awaited until `until`.
    fn require(&mut self, id: &AgentId, until: Millis) {
        if let Some((sequence, departure)) = self.departed.take(id) {
            self.missed.record(sequence, departure);
            self.changes += 1;
        }
        let known = self.missed.contains(id) || self.sent_away.contains_key(id);
        if known || self.awaited.contains_key(id) {
            return;
        }
        let awaited = Awaited { until, interval_ms: 0, otherwise: Reason::NeverSeen };
        self.awaited.insert(id.clone(), awaited);
        self.due = self.due.min(until);
        self.progress.awaited += 1;
        self.progress.missing += 1;
    }
}
