//! What operators change on the roster while the collector runs: who is expected, and who will not come back.

use fleetgauge_proto::AgentId;

use super::{AT_ONCE, Awaited, Expected, Lists, Reason, Roster};
use crate::clock::{Millis, Moment};

/// Why an agent is not forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotForgotten {
    /// It is not among the departed.
    NotDeparted,
    /// It would be missing again after a restart.
    Expected,
}

impl Roster {
    /// The agents that must be there.
    #[must_use]
    pub fn expected(&self) -> Expected {
        self.lists.lock().expected.clone()
    }

    /// Forgets a departed agent.
    ///
    /// # Errors
    /// [`NotForgotten`]
    pub fn forget(&self, id: &AgentId) -> Result<(), NotForgotten> {
        let mut lists = self.lists.lock();
        if lists.missed.contains(id) {
            return Err(NotForgotten::Expected);
        }
        lists.departed.take(id).ok_or(NotForgotten::NotDeparted)?;
        lists.deleted += 1;
        lists.changes += 1;
        Ok(())
    }

    /// Expects these agents from now on, and those before no more: who is no longer expected vanishes unless it is
    /// connected; who is new is awaited, unless it `is_connected` or has departed already.
    pub fn expect(&self, anew: &Expected, now: Moment, is_connected: impl Fn(&AgentId) -> bool) {
        let before = std::mem::replace(&mut self.lists.lock().expected, anew.clone());
        let others: Vec<_> = before.iter().filter(|id| !anew.contains(id)).collect();
        for some in others.chunks(AT_ONCE) {
            let mut lists = self.lists.lock();
            some.iter().for_each(|id| lists.retire(id));
        }
        let until = now.awake + self.patience(0);
        let new: Vec<_> = anew.iter().filter(|id| !before.contains(id)).collect();
        for some in new.chunks(AT_ONCE) {
            let mut lists = self.lists.lock();
            some.iter().for_each(|id| lists.require(id, until));
            drop(lists);
            // Only now: one that comes meanwhile takes itself off, and so does one that goes.
            for id in some.iter().filter(|id| is_connected(id)) {
                self.lists.lock().no_longer_awaited(id);
            }
        }
    }
}

impl Lists {
    /// The agent is no longer expected.
    fn retire(&mut self, id: &AgentId) {
        if self.missed.take(id).is_some() {
            self.changes += 1;
        }
        // One that was connected before the start may come back all the same.
        if self.awaited.get(id).is_some_and(|one| one.otherwise == Reason::NeverSeen) {
            self.no_longer_awaited(id);
        }
    }

    /// The agent is expected from now on.
    fn require(&mut self, id: &AgentId, until: Millis) {
        if let Some((number, departure)) = self.departed.take(id) {
            self.missed.record(number, departure);
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
