//! The forwarder: takes reports from sessions and gives them to the lanes of all destinations.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use dashmap::DashMap;
use fleetgauge_proto::AgentId;
use parking_lot::Mutex;
use prometheus_client::registry::Registry as MetricsRegistry;

use super::agent_state::{ForwardedAgent, Sent};
use super::destination::Destination;
use super::journal::Journal;
use super::metrics::RemoteWriteMetrics;
use super::replays::ReplayScheduler;
use super::session::ForwardedSession;
use crate::config::DestinationSettings;

/// Number of report intervals for which the state of an agent that was asked to leave is kept. If
/// the agent returns by then, series that it lacks are marked as stale.
const LEAVING_INTERVALS: u32 = 2;

/// Forwards reports to all destinations.
#[derive(Debug)]
pub struct Forwarder {
    destinations: Box<[Arc<Destination>]>,
    agents: DashMap<AgentId, Arc<ForwardedAgent>>,
    /// Agents that were asked to leave and did.
    leaving: Mutex<Vec<Leaving>>,
    replays: ReplayScheduler,
    /// `None` if no journal is kept.
    pub(super) journal: Option<Journal>,
}

/// How the session of a forwarded agent ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leave {
    /// Its series end.
    Ended,
    /// The agent was asked to leave and has not answered: it may be dead, or report elsewhere.
    Asked,
    /// The agent has agreed to leave: it reports to another collector, or returns.
    Agreed,
}

/// An agent that was asked to leave and did.
#[derive(Debug)]
struct Leaving {
    /// Time at which it is forgotten.
    due: Instant,
    id: AgentId,
    /// Its departures by then: another number means that it has returned.
    departures: u64,
    /// Whether it has agreed to leave: its series continue elsewhere.
    has_agreed: bool,
}

impl Forwarder {
    /// Creates a forwarder; `None` without destinations. Registers its metrics.
    pub(crate) fn new(
        settings: &[DestinationSettings],
        metrics: &mut MetricsRegistry,
    ) -> Option<Self> {
        if settings.is_empty() {
            return None;
        }
        let metrics = RemoteWriteMetrics::new(metrics);
        let destination = |settings| Arc::new(Destination::new(settings, &metrics));
        Some(Self {
            destinations: settings.iter().map(destination).collect(),
            agents: DashMap::new(),
            leaving: Mutex::default(),
            replays: ReplayScheduler::default(),
            journal: None,
        })
    }

    /// Keeps a journal of the agents. Registers its metrics.
    pub(crate) fn with_journal(self, metrics: &mut MetricsRegistry) -> Self {
        Self { journal: Some(Journal::new(metrics)), ..self }
    }

    /// Returns the hash of an agent's id, which selects its lanes.
    pub(super) fn hash_of(&self, id: &AgentId) -> u64 {
        self.agents.hasher().hash_one(id)
    }

    /// Returns an agent whose series have not ended.
    pub(super) fn agent(&self, id: &AgentId) -> Option<Arc<ForwardedAgent>> {
        self.agents.get(id).map(|agent| Arc::clone(&agent))
    }

    /// Returns the ids of all agents whose series have not ended.
    pub(super) fn agent_ids(&self) -> Vec<AgentId> {
        self.agents.iter().map(|agent| agent.key().clone()).collect()
    }

    pub(super) fn destinations(&self) -> &[Arc<Destination>] {
        &self.destinations
    }

    /// Whether agents should keep their reports until destinations have taken them.
    pub(crate) fn asks_for_logs(&self) -> bool {
        self.destinations.iter().any(|destination| destination.settings.durable)
    }

    /// Returns the scheduler of replays.
    pub(crate) fn replays(&self) -> &ReplayScheduler {
        &self.replays
    }

    /// Begins a session of an agent: `log` is the first sequence number of its log, `first` that of
    /// its first report. Takes over the state of an earlier session that was not marked as stale.
    pub(crate) fn enter(
        &self,
        id: &AgentId,
        interval_ms: u32,
        log: Option<u64>,
        first: u64,
    ) -> ForwardedSession {
        let new = || Arc::new(ForwardedAgent::new(self.hash_of(id), self.destinations.len()));
        let (agent, is_back) = {
            let agent = self.agents.entry(id.clone()).or_insert_with(new);
            let is_back = agent.departures.load(Ordering::Relaxed) % 2 == 1;
            agent.departures.fetch_add(u64::from(is_back), Ordering::Relaxed);
            agent.interval_ms.store(interval_ms, Ordering::Relaxed);
            (Arc::clone(&agent), is_back)
        };
        if let Some(journal) = &self.journal {
            journal.entered(id);
        }
        {
            let mut sent = agent.sent.lock();
            let newest = sent.iter_mut().filter_map(|sent| sent.newest());
            let newest = newest.max_by_key(|shown| shown.unix_ms);
            if let Some(journal) = self.journal.as_ref().filter(|_| is_back) {
                // Its end would be marked, so a kill must not lose its series.
                newest.iter().for_each(|shown| journal.note(&agent, shown));
                journal.changed(id);
            }
        }
        ForwardedSession::new(agent, self.destinations.len(), log, first)
    }

    /// Marks the series of an agent as stale, because its session has ended. If the agent was asked
    /// to leave and has not answered, waits until it has had time to report to another collector.
    ///
    /// If it has agreed to leave, its series continue at another collector and are not marked. An
    /// engine that takes samples out of order would store the marker between samples of two
    /// collectors, and queries for that time would lack the agent.
    pub(crate) fn left(&self, id: &AgentId, interval: Duration, leave: Leave) {
        if leave != Leave::Ended {
            let Some(agent) = self.agent(id) else { return };
            let has_agreed = leave == Leave::Agreed;
            if has_agreed {
                *agent.noted.lock() = None;
                self.journal.iter().for_each(|journal| journal.forget_recovered(id));
            }
            let departures = agent.departures.fetch_add(1, Ordering::Relaxed) + 1;
            let due = Instant::now() + LEAVING_INTERVALS * interval;
            let id = id.clone();
            self.leaving.lock().push(Leaving { due, id, departures, has_agreed });
        } else if let Some((_, agent)) = self.agents.remove(id) {
            self.mark_stale(&agent);
            self.journal.iter().for_each(|journal| journal.ended(id));
        }
        if let Some(journal) = &self.journal {
            journal.changed(id);
        }
    }

    /// Forgets agents that were asked to leave and have not returned in time. Marks those as stale
    /// that have not agreed.
    pub(crate) fn expire(&self, now: Instant) {
        let mut due = Vec::new();
        self.leaving.lock().retain(|leaving| {
            let is_due = leaving.due <= now;
            if is_due {
                due.push((leaving.id.clone(), leaving.departures, leaving.has_agreed));
            }
            !is_due
        });
        for (id, departures, has_agreed) in due {
            let leaves = |agent: &ForwardedAgent| {
                let is_away = agent.departures.load(Ordering::Relaxed) == departures;
                if is_away && let Some(journal) = &self.journal {
                    // Before a session that begins meanwhile can find no agent, and enter.
                    journal.ended(&id);
                }
                is_away
            };
            let removed = self.agents.remove_if(&id, |_, agent| leaves(agent));
            if let Some((_, agent)) = removed.filter(|_| !has_agreed) {
                self.mark_stale(&agent);
            }
            if let Some(journal) = &self.journal {
                journal.changed(&id);
            }
        }
    }

    /// Returns the name of each destination, and how far it lags behind, in seconds.
    pub(crate) fn lags(&self) -> impl Iterator<Item = (&str, f64)> {
        let lag = |own: &Arc<Destination>| own.metrics.lag.get();
        self.destinations.iter().map(move |own| (&*own.settings.name, lag(own)))
    }

    /// Updates the gauges of the queues. `now_ms` is the time in unix milliseconds.
    pub(super) fn update_gauges(&self, now_ms: u64) {
        let now_ms = i64::try_from(now_ms).unwrap_or(i64::MAX);
        for destination in &self.destinations {
            destination.update_gauges(now_ms);
        }
    }

    fn mark_stale(&self, agent: &ForwardedAgent) {
        for (destination, sent) in self.destinations.iter().zip(agent.sent.lock().iter_mut()) {
            if let Some(newest) = sent.newest() {
                destination.push_markers(agent.hash, newest.all_markers());
            }
            *sent = Sent::default();
        }
    }
}

#[cfg(test)]
#[path = "forwarder_tests.rs"]
mod tests;
