//! A copy of what pages show of all agents.

use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use super::headline::{HeadlinePlan, HeadlineValues};
use super::html::Page;
use crate::clock::{Millis, Moment};
use crate::exposition::agent_of;
use crate::roster::Departure;
use crate::state::CollectorState;

/// Maximum age of a copy. However many people look, the fleet is copied at most this often.
const MAX_AGE: Millis = 1_000;

/// What pages show of all agents.
#[derive(Debug)]
pub(crate) struct FleetCopy {
    /// When it was copied.
    pub(crate) at: Moment,
    /// Connected agents.
    pub(crate) agents: Vec<AgentRow>,
    /// Agents that are not connected, the latest departure first.
    pub(crate) departed: Vec<DepartedRow>,
    /// The page of the whole fleet, rendered once for all who look.
    pub(crate) overview: OnceLock<Arc<Page>>,
}

/// A connected agent.
#[derive(Debug)]
pub(crate) struct AgentRow {
    /// Its labels, as rendered on the metrics pages.
    pub(crate) labels: Box<str>,
    pub(crate) values: HeadlineValues,
}

/// An agent that is not connected.
#[derive(Debug)]
pub(crate) struct DepartedRow {
    pub(crate) departure: Departure,
    /// Whether it is missing: it left without Bye, or is expected.
    pub(crate) is_missing: bool,
}

impl AgentRow {
    /// Returns the agent's id.
    pub(crate) fn id(&self) -> &str {
        agent_of(&self.labels)
    }
}

impl FleetCopy {
    pub(super) fn take(collector: &CollectorState) -> Self {
        let CollectorState { registry, roster, clock, .. } = collector;
        let at = clock.moment();
        let expected = roster.expected();
        // First: an agent that returns meanwhile is in the registry before it leaves the roster.
        let departures = roster.departures();
        let plan = HeadlinePlan::of(registry);
        let mut agents = Vec::with_capacity(registry.agent_count());
        registry.each_agent(|labels, layout, values| {
            agents.push(AgentRow { labels: labels.into(), values: plan.values(layout, values) });
        });
        let away = departures.into_iter().rev().filter(|one| registry.find(&one.id).is_none());
        let departed = away.map(|departure| {
            let is_missing = departure.is_down(&expected);
            DepartedRow { departure, is_missing }
        });
        let departed = departed.collect();
        Self { at, agents, departed, overview: OnceLock::new() }
    }

    /// Returns the agents that are missing, the latest departure first.
    pub(crate) fn missing(&self) -> impl Iterator<Item = &DepartedRow> {
        self.departed.iter().filter(|row| row.is_missing)
    }
}

/// The newest copy, while somebody looks.
#[derive(Debug, Default)]
pub(crate) struct FleetCache(Mutex<Option<Arc<FleetCopy>>>);

impl FleetCache {
    /// Returns a copy that is at most a second old. Takes milliseconds for a large fleet.
    pub(crate) fn get(&self, collector: &CollectorState) -> Arc<FleetCopy> {
        // Others wait meanwhile, and get the same copy.
        let mut newest = self.0.lock();
        match &*newest {
            Some(copy) if is_fresh(copy, collector.clock.now()) => Arc::clone(copy),
            _ => Arc::clone(newest.insert(Arc::new(FleetCopy::take(collector)))),
        }
    }

    /// Drops a copy that nobody will get any more.
    pub(crate) fn expire(&self, now: Millis) {
        // A copy that is being made is fresh.
        if let Some(mut newest) = self.0.try_lock() {
            newest.take_if(|copy| !is_fresh(copy, now));
        }
    }
}

fn is_fresh(copy: &FleetCopy, now: Millis) -> bool {
    now.saturating_sub(copy.at.awake) < MAX_AGE
}
