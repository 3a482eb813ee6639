//! The journal: which series the engines have, in a file of the state directory. A collector that
//! is killed sends no stale markers; the next one marks agents that do not return as stale.
//!
//! ```text
//! session ─▶ note ─▶ changed ids ─▶ JournalWriter ─▶ file
//!                                                      │ after a kill
//! tick ◀─ agents that have not returned ◀─ Recovered ◀─┘
//! ```
//!
//! A session only compares its report with what was noted last, and adds the agent's id to a set
//! if that has changed. A task writes the agents of the set. No values are stored.

mod cursor;
mod file;
mod format;
mod metrics;
mod records;
mod recovered;
mod series;
#[cfg(test)]
mod test_fleet;
mod writer;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use fleetgauge_proto::AgentId;
use parking_lot::Mutex;
use prometheus_client::registry::Registry as MetricsRegistry;

use super::agent_state::{ForwardedAgent, Shown};
use super::encode::CellSet;
use crate::exposition::agent_of;

pub use format::{JournalContents, JournalDamage, JournaledAgent, read_journal};
pub use format::{
    write_agent, write_catalog, write_gone, write_header, write_heartbeat, write_record,
};
pub use recovered::check_agents;
pub(crate) use writer::JournalWriter;

use metrics::JournalMetrics;
use recovered::Recovered;

/// Interval of heartbeats. An agent that does not return after a kill is marked at the last
/// heartbeat plus this, after all samples that can have been sent.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(10);

/// Maximum number of changed agents. Above it, the writer writes all agents instead.
const MAX_CHANGED: usize = 1_000_000;

/// What a session and the writer of the journal share.
#[derive(Debug)]
pub(super) struct Journal {
    changes: Mutex<Changes>,
    /// Agents that were there before a kill of the collector.
    recovered: Mutex<Recovered>,
    metrics: JournalMetrics,
}

/// Agents whose record is out of date.
#[derive(Debug, Default)]
struct Changes {
    ids: HashSet<AgentId>,
    /// Whether all agents must be written: there were too many changes.
    all: bool,
}

impl Journal {
    pub(super) fn new(metrics: &mut MetricsRegistry) -> Self {
        let metrics = JournalMetrics::new(metrics);
        Self { changes: Mutex::default(), recovered: Mutex::default(), metrics }
    }

    /// Notes the series of a report that a destination was given. Takes a few comparisons unless
    /// they have changed.
    pub(super) fn note(&self, agent: &ForwardedAgent, shown: &Shown) {
        let mut noted = agent.noted.lock();
        let is_new = noted.is_none();
        match &mut *noted {
            Some(noted)
                if Arc::ptr_eq(&noted.layout, &shown.layout) && noted.labels == shown.labels =>
            {
                if noted.present.has_all(&shown.present) {
                    return;
                }
                // A series that was absent for a time may have a sample that no marker follows.
                let mut present = CellSet::clone(&noted.present);
                present.insert_all(&shown.present);
                noted.present = Arc::new(present);
            }
            other => *other = Some(shown.clone()),
        }
        drop(noted);
        let Ok(id) = AgentId::try_new(agent_of(&shown.labels)) else { return };
        if is_new {
            // After it was noted, so that the writer always finds one of both.
            self.forget_recovered(&id);
        }
        self.changed(&id);
    }

    /// Adds an agent to those whose record is out of date.
    pub(super) fn changed(&self, id: &AgentId) {
        let mut changes = self.changes.lock();
        if changes.ids.len() >= MAX_CHANGED {
            *changes = Changes { ids: HashSet::new(), all: true };
        } else if !changes.all {
            changes.ids.insert(id.clone());
        }
    }

    fn take_changes(&self) -> Changes {
        std::mem::take(&mut *self.changes.lock())
    }
}
