//! Agents that were connected before the collector was killed, until a destination is given a
//! report of theirs, or they are marked.

use std::collections::HashMap;
use std::sync::Arc;

use fleetgauge_proto::limits::MAX_INTERVAL_MS;
use fleetgauge_proto::{AgentId, Limits};
use tracing::info;

use super::format::{JournalContents, JournaledAgent};
use super::series::{JournaledSeries, decode_catalog, decode_series};
use super::{HEARTBEAT, Journal};
use crate::clock::{Millis, millis};
use crate::registry::{CatalogPin, Registry};
use crate::remote_write::agent_state::Shown;
use crate::remote_write::destination::Destination;
use crate::remote_write::forwarder::Forwarder;
use crate::state::CollectorState;

/// Maximum number of agents that are marked in one tick, so that the samples of others do not wait
/// long behind their markers.
const MARKED_AT_ONCE: usize = 1_000;

/// The agents, encoded as in the file.
#[derive(Debug, Default)]
pub(super) struct Recovered {
    agents: HashMap<AgentId, RecoveredAgent>,
    catalogs: HashMap<u32, Box<[u8]>>,
    /// Catalogs that were decoded for agents that have not returned.
    pins: HashMap<u32, Option<CatalogPin>>,
}

#[derive(Debug, Clone)]
struct RecoveredAgent {
    journaled: JournaledAgent,
    /// Time at which it is marked, on the collector's clock. `None` while it is connected: no
    /// destination was given a report yet, because those before it are missing.
    due: Option<Millis>,
}

impl RecoveredAgent {
    fn is_due(&self, now: Millis) -> bool {
        self.due.is_some_and(|due| due <= now)
    }
}

impl Recovered {
    fn remove(&mut self, id: &AgentId) {
        self.agents.remove(id);
        self.drop_unused();
    }

    /// Drops the catalogs once no agent remains.
    fn drop_unused(&mut self) {
        if self.agents.is_empty() {
            *self = Self::default();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.agents.is_empty()
    }

    pub(super) fn contains(&self, id: &AgentId) -> bool {
        self.agents.contains_key(id)
    }

    pub(super) fn agent(&self, id: &AgentId) -> Option<&JournaledAgent> {
        self.agents.get(id).map(|agent| &agent.journaled)
    }

    /// Returns the agents, to write them again.
    pub(super) fn agents(&self) -> impl Iterator<Item = (&AgentId, &JournaledAgent)> {
        self.agents.iter().map(|(id, agent)| (id, &agent.journaled))
    }

    /// Returns the catalogs that agents refer to, by number.
    pub(super) fn catalogs(&self) -> impl Iterator<Item = (u32, &[u8])> {
        self.catalogs.iter().map(|(number, frame)| (*number, &**frame))
    }

    /// Returns agents that are due, at most [`MARKED_AT_ONCE`].
    fn due(&self, now: Millis) -> Vec<AgentId> {
        let due = self.agents.iter().filter(|(_, agent)| agent.is_due(now));
        due.map(|(id, _)| id.clone()).take(MARKED_AT_ONCE).collect()
    }

    /// Decodes the series of an agent; `None` if they are invalid or there is no room for them.
    fn decode(
        &mut self,
        id: &AgentId,
        agent: &JournaledAgent,
        registry: &Registry,
        limits: &Limits,
    ) -> Option<JournaledSeries> {
        let Self { catalogs, pins, .. } = self;
        decode_series(id, &agent.series, registry, limits, |number| {
            let decode = || decode_catalog(catalogs.get(&number)?, registry, limits);
            pins.entry(number).or_insert_with(decode).clone()
        })
    }
}

impl Journal {
    /// Awaits the agents of a journal, after a start at `now`. Those that were connected are marked
    /// after the last heartbeat.
    pub(super) fn recover(&self, contents: JournalContents, collector: &CollectorState) {
        let JournalContents { heartbeat_ms, catalogs, agents, .. } = contents;
        let killed_ms = heartbeat_ms.map(|beat| beat.saturating_add(millis(HEARTBEAT)));
        let now = collector.clock.now();
        let agents = agents.into_iter().filter_map(|(id, mut journaled)| {
            journaled.ended_ms = journaled.ended_ms.or(killed_ms);
            journaled.ended_ms?;
            let interval_ms = journaled.interval_ms.min(MAX_INTERVAL_MS);
            let due = Some(now + collector.roster.return_time(interval_ms));
            Some((id, RecoveredAgent { journaled, due }))
        });
        let agents = agents.collect();
        *self.recovered.lock() = Recovered { agents, catalogs, pins: HashMap::new() };
    }

    /// Records that an agent has begun a session: it is not marked while that lasts.
    pub(in crate::remote_write) fn entered(&self, id: &AgentId) {
        if let Some(agent) = self.recovered.lock().agents.get_mut(id) {
            agent.due = None;
        }
    }

    /// Records that the session of an agent has ended. If no destination was given a report, it is
    /// marked at once.
    pub(in crate::remote_write) fn ended(&self, id: &AgentId) {
        if let Some(agent) = self.recovered.lock().agents.get_mut(id)
            && agent.due.is_none()
        {
            agent.due = Some(0);
        }
    }

    /// Forgets an agent: a destination was given a report, or it reports to another collector.
    pub(in crate::remote_write) fn forget_recovered(&self, id: &AgentId) {
        self.recovered.lock().remove(id);
    }

    /// Gives stale markers of agents that have not returned in time to the destinations.
    fn mark_due(&self, collector: &CollectorState, forwarder: &Forwarder) {
        let due = self.recovered.lock().due(collector.clock.now());
        let (mut agents, mut unusable) = (0_usize, 0_usize);
        for id in due {
            match self.mark(&id, collector, forwarder) {
                Some(true) => agents += 1,
                Some(false) => unusable += 1,
                None => {}
            }
        }
        if agents + unusable > 0 {
            info!(agents, unusable, "agents that have not returned marked as stale");
        }
    }

    /// Marks an agent if it is still due. Returns whether its series could be used.
    fn mark(
        &self,
        id: &AgentId,
        collector: &CollectorState,
        forwarder: &Forwarder,
    ) -> Option<bool> {
        let limits = &collector.config.bounds.limits;
        // Until the markers are queued, so that a session that begins meanwhile queues its samples
        // behind them. Not across agents, because sessions wait for this lock.
        let mut recovered = self.recovered.lock();
        recovered.agents.get(id).filter(|agent| agent.is_due(collector.clock.now()))?;
        let RecoveredAgent { journaled, .. } = recovered.agents.remove(id)?;
        let series = recovered.decode(id, &journaled, &collector.registry, limits);
        recovered.drop_unused();
        let is_usable = series.is_some();
        if let Some(series) = series {
            let marker_ms = journaled.ended_ms.unwrap_or(0).min(collector.clock.unix_ms());
            forwarder.mark_journaled(id, series, marker_ms);
            self.metrics.marked.inc();
        } else {
            self.metrics.unusable.inc();
        }
        drop(recovered);
        self.changed(id);
        Some(is_usable)
    }
}

impl Forwarder {
    /// Whether agents that were there before a kill of the collector have not returned yet.
    pub(in crate::remote_write) fn awaits_agents(&self) -> bool {
        self.journal.as_ref().is_some_and(|journal| !journal.recovered.lock().agents.is_empty())
    }

    /// Marks agents as stale that were there before a kill of the collector and have not returned
    /// in time. They wait if the queues of no destination have room.
    pub(in crate::remote_write) fn mark_not_returned(&self, collector: &CollectorState) {
        let Some(journal) = &self.journal else { return };
        if self.destinations().iter().any(|destination| destination.has_room()) {
            journal.mark_due(collector, self);
        }
    }

    fn mark_journaled(&self, id: &AgentId, series: JournaledSeries, marker_ms: u64) {
        let JournaledSeries { labels, layout, present } = series;
        let marker_ms = i64::try_from(marker_ms).unwrap_or(i64::MAX);
        // A marker has the time after that of the report.
        let unix_ms = marker_ms.saturating_sub(1);
        let shown = Shown { labels, layout, present: Arc::new(present), unix_ms };
        let hash = self.hash_of(id);
        let push = |to: &Arc<Destination>| to.push_markers(hash, shown.all_markers());
        self.destinations().iter().for_each(push);
    }
}

/// Decodes the agents of a journal as a collector would that marks them all. Returns the numbers of
/// series of those that are valid. For fuzzing.
#[must_use]
pub fn check_agents(contents: JournalContents, registry: &Registry, limits: &Limits) -> Vec<usize> {
    let JournalContents { catalogs, agents, .. } = contents;
    let mut recovered = Recovered { agents: HashMap::new(), catalogs, pins: HashMap::new() };
    let decoded = agents.iter().filter_map(|(id, agent)| {
        let series = recovered.decode(id, agent, registry, limits)?;
        assert!(series.present.len() <= series.layout.cells() + 1, "more series than values");
        Some(series.present.len())
    });
    decoded.collect()
}

#[cfg(test)]
#[path = "recovered_tests.rs"]
mod tests;
