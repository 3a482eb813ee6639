//! A copy of what pages show of all agents.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use super::headline::{HeadlinePlan, HeadlineValues};
use super::html::{self, Page};
use super::listing::Search;
use super::overview::Overview;
use crate::clock::{Millis, Moment};
use crate::exposition::agent_range;
use crate::roster::Departure;
use crate::state::CollectorState;

/// Maximum age of a copy. However many people look, the fleet is copied at most this often.
const MAX_AGE: Millis = 1_000;
/// Maximum number of lists that are kept with a copy, of at most 100 kB each. Others are rendered
/// for each who looks.
pub(super) const MAX_LISTS: usize = 16;

/// What pages show of all agents.
#[derive(Debug)]
pub(crate) struct FleetCopy {
    /// When it was copied.
    pub(crate) at: Moment,
    /// Connected agents.
    pub(crate) agents: Vec<AgentRow>,
    /// Agents that are not connected, the latest departure first.
    pub(crate) departed: Vec<DepartedRow>,
    pages: RenderedPages,
}

/// Pages of a copy, rendered once for all who look at the same.
#[derive(Debug, Default)]
struct RenderedPages {
    overview: OnceLock<Arc<Page>>,
    lists: Mutex<Vec<(Search, Arc<Page>)>>,
}

/// A connected agent.
#[derive(Debug)]
pub(crate) struct AgentRow {
    /// Its labels, as rendered on the metrics pages.
    pub(crate) labels: Box<str>,
    /// Where its id is in the labels: a search compares ids often.
    id: Range<usize>,
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
    pub(crate) fn new(labels: &str, values: HeadlineValues) -> Self {
        Self { labels: labels.into(), id: agent_range(labels), values }
    }

    /// Returns the agent's id.
    pub(crate) fn id(&self) -> &str {
        &self.labels[self.id.clone()]
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
            agents.push(AgentRow::new(labels, plan.values(layout, values)));
        });
        let away = departures.into_iter().rev().filter(|one| registry.find(&one.id).is_none());
        let departed = away.map(|departure| {
            let is_missing = departure.is_down(&expected);
            DepartedRow { departure, is_missing }
        });
        let departed = departed.collect();
        Self::new(at, agents, departed)
    }

    pub(super) fn new(at: Moment, agents: Vec<AgentRow>, departed: Vec<DepartedRow>) -> Self {
        Self { at, agents, departed, pages: RenderedPages::default() }
    }

    /// Returns the page of the whole fleet.
    pub(crate) fn overview_page(&self, collector: &CollectorState) -> Arc<Page> {
        let render = || Arc::new(html::overview(&Overview::of(self, collector)));
        Arc::clone(self.pages.overview.get_or_init(render))
    }

    /// Returns the page of a search.
    pub(crate) fn list_page(&self, search: &Search) -> Arc<Page> {
        let lists = &self.pages.lists;
        let known =
            lists.lock().iter().find(|(own, _)| own == search).map(|(_, page)| page.clone());
        known.unwrap_or_else(|| {
            let page = Arc::new(html::agents(search, &search.list(self), self.at.unix));
            let mut lists = lists.lock();
            if lists.len() < MAX_LISTS {
                lists.push((search.clone(), Arc::clone(&page)));
            }
            page
        })
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
