//! The newest arrivals and departures of agents, and how many there were.

use std::collections::VecDeque;

use fleetgauge_proto::AgentId;
use parking_lot::Mutex;
use serde::Serialize;

/// Number of changes that are kept: as many as one reads, at most 10 kB of ids.
const KEPT: usize = 64;

/// An arrival or a departure, as in `/api/overview`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct PresenceChange {
    #[serde(serialize_with = "as_text")]
    pub(crate) id: AgentId,
    /// In unix seconds.
    pub(crate) at: u64,
    /// Why the agent has left; `None` if it has connected.
    pub(crate) left: Option<&'static str>,
}

fn as_text<S: serde::Serializer>(id: &AgentId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(id.as_str())
}

/// Numbers of changes since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct PresenceTotals {
    pub(crate) arrived: u64,
    pub(crate) left: u64,
}

/// The newest changes and their totals. Takes a fixed amount of memory.
#[derive(Debug, Default)]
pub(crate) struct PresenceLog(Mutex<Log>);

#[derive(Debug, Default)]
struct Log {
    totals: PresenceTotals,
    newest: VecDeque<PresenceChange>,
}

impl PresenceLog {
    /// Records that an agent has connected, or why it has left.
    pub(crate) fn add(&self, id: &AgentId, at: u64, left: Option<&'static str>) {
        let mut log = self.0.lock();
        match left {
            None => log.totals.arrived += 1,
            Some(_) => log.totals.left += 1,
        }
        if log.newest.len() == KEPT {
            log.newest.pop_back();
        }
        log.newest.push_front(PresenceChange { id: id.clone(), at, left });
    }

    /// Returns the numbers of changes since the start.
    pub(crate) fn totals(&self) -> PresenceTotals {
        self.0.lock().totals
    }

    /// Returns the newest changes at or after a time, the newest first.
    pub(crate) fn newest_since(&self, since: u64, max: usize) -> Vec<PresenceChange> {
        let log = self.0.lock();
        log.newest.iter().take(max).take_while(|change| change.at >= since).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An agent that flaps, or a million that leave.
    #[test]
    fn log_of_a_million_changes_keeps_the_newest() {
        let log = PresenceLog::default();
        let id = AgentId::try_new("flaps").unwrap();
        for at in 0..1_000_000 {
            log.add(&id, at, (at % 2 == 1).then_some("reset"));
        }
        assert_eq!(log.totals(), PresenceTotals { arrived: 500_000, left: 500_000 });
        let all = log.newest_since(0, usize::MAX);
        assert_eq!((all.len(), all[0].at, all[0].left), (KEPT, 999_999, Some("reset")));
        assert_eq!(log.newest_since(999_998, 10).len(), 2);
        assert_eq!(log.newest_since(0, 3).len(), 3);
    }
}
