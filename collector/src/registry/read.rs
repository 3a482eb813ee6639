//! Copies of the registry for scrapes and lists, one stripe at a time.

use std::collections::HashMap;
use std::sync::Arc;

use fleetgauge_proto::AgentId;
use parking_lot::MutexGuard;

use super::agent::Series;
use super::{CatalogEntry, FleetShard, GaugeFamily, Layout, RegisteredAgent, Registry, STRIPES};
use crate::exposition::{FamilyHead, Group, PageFamily, Snapshot, agent_of, renames};

impl Registry {
    /// Copies all agents' values. Each agent's values come from one report.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.snapshot_of_shard(FleetShard::ALL)
    }

    /// Copies the values of a shard of the fleet.
    #[must_use]
    pub fn snapshot_of_shard(&self, shard: FleetShard) -> Snapshot {
        let begun = self.families.lock().moment();
        let mut groups = Groups::default();
        let is_wanted =
            |agent: &RegisteredAgent| shard.divides(STRIPES) || shard.has(agent.id.as_str());
        for stripe in shard.among(&self.stripes) {
            let stripe = stripe.lock();
            for agents in stripe.agents.chunks(BATCH) {
                groups.push_all(
                    agents,
                    |agent| is_wanted(agent),
                    |catalog| self.size_of(catalog, shard),
                );
            }
        }
        let groups = groups.finish();
        let positions: HashMap<_, _> =
            groups.iter().enumerate().map(|(at, group)| (group.catalog().key(), at)).collect();
        let copied: Vec<_> = groups.iter().map(Group::catalog).collect();
        let page = self.families.lock().page(&copied, begun);
        let families = page.into_iter().map(|family| {
            let members = family.members.iter();
            let members =
                members.filter_map(|(key, at)| Some((*positions.get(key)?, *at))).collect();
            PageFamily { head: family.head, members }
        });
        let families = families.collect();
        Snapshot { families, groups }
    }

    /// Returns the expected number of agents with a catalog in a shard.
    fn size_of(&self, catalog: &CatalogEntry, shard: FleetShard) -> usize {
        shard.share_of(self.families.lock().agents(catalog), STRIPES)
    }

    /// Returns the gauges on the shared pages, sorted by name; `only` selects the one with this
    /// name.
    #[must_use]
    pub fn gauges(&self, only: Option<&str>) -> Vec<GaugeFamily> {
        self.families.lock().gauges(only)
    }

    /// Calls `visit` with each agent's labels, layout and values. Its reports wait meanwhile.
    pub fn each_agent(&self, mut visit: impl FnMut(&str, &Layout, &[f64])) {
        for stripe in &self.stripes {
            for agent in &stripe.lock().agents {
                let series = agent.series.lock();
                if series.is_shown {
                    visit(&agent.labels, &series.layout, &series.values);
                }
            }
        }
    }

    /// Copies one agent's values, with the kinds of its own catalogs; `None` if it is not
    /// connected.
    #[must_use]
    pub fn snapshot_of(&self, id: &str) -> Option<Snapshot> {
        let agent = self.find(&AgentId::try_new(id).ok()?)?;
        let mut groups = Groups::default();
        groups.push_all(&[agent], |_| true, |_| 1);
        let groups = groups.finish();
        let mut families = Vec::new();
        for (group, copied) in groups.iter().enumerate() {
            for (position, family) in copied.catalog().catalog().families.iter().enumerate() {
                let Some(kind) = family.kind else { continue };
                let head = Arc::new(FamilyHead::new(family, kind));
                families.push(PageFamily { head, members: vec![(group, position)] });
            }
        }
        Some(Snapshot { families, groups })
    }

    /// Returns the labels of up to `max` agents after this id, or from the first on. The order is
    /// stable: an agent that stays connected is listed exactly once. At most `2 * max` labels are
    /// copied at a time, and never more than one stripe has.
    pub fn labels_after(
        &self,
        after: Option<&AgentId>,
        max: usize,
    ) -> impl Iterator<Item = Box<str>> {
        let start = after.map_or(0, Self::stripe_index);
        let labels = self.stripes[start..].iter().enumerate().flat_map(move |(n, stripe)| {
            let after = after.filter(|_| n == 0).map_or("", AgentId::as_str);
            let mut first = First { max, labels: Vec::new(), before: None };
            for agent in &stripe.lock().agents {
                if agent.id.as_str() > after {
                    first.add(&agent.labels);
                }
            }
            first.sorted()
        });
        labels.take(max)
    }
}

/// Agents that are copied together, so that the processor waits for their memory at once instead of
/// one after the other.
const BATCH: usize = 8;

/// Copies of agents, by catalog.
#[derive(Default)]
struct Groups {
    groups: Vec<Group>,
    /// Indices of the groups by key of the catalog.
    by_catalog: HashMap<u64, usize>,
    /// Index of the group of the last catalog, which is often that of the next.
    last: usize,
}

impl Groups {
    /// Adds the wanted ones of up to [`BATCH`] agents. `agents` returns the expected number of
    /// agents with a catalog.
    fn push_all(
        &mut self,
        batch: &[Arc<RegisteredAgent>],
        is_wanted: impl Fn(&RegisteredAgent) -> bool,
        agents: impl Fn(&CatalogEntry) -> usize,
    ) {
        // Loads the records, then what they point to, and only then uses it.
        let lens: usize = batch.iter().map(|agent| agent.labels.len()).sum();
        std::hint::black_box(lens);
        let locked: [Option<MutexGuard<'_, Series>>; BATCH] = std::array::from_fn(|index| {
            batch.get(index).filter(|agent| is_wanted(agent)).map(|agent| agent.series.lock())
        });
        let first =
            |series: &MutexGuard<'_, Series>| series.values.first().map_or(0, |v| v.to_bits());
        let touched: u64 = locked.iter().flatten().map(first).fold(0, u64::wrapping_add);
        let bytes = batch.iter().map(|agent| u64::from(agent.labels.as_bytes()[0])).sum::<u64>();
        std::hint::black_box(touched.wrapping_add(bytes));
        for (agent, series) in batch.iter().zip(&locked) {
            if let Some(series) = series.as_ref().filter(|series| series.is_shown) {
                self.push(agent, series, &agents);
            }
        }
    }

    fn push(
        &mut self,
        agent: &RegisteredAgent,
        series: &Series,
        agents: &impl Fn(&CatalogEntry) -> usize,
    ) {
        let mut rest = &*series.values;
        for (catalog, tables) in series.layout.tables() {
            let group = self.group(catalog, agents);
            let renames = renames(&agent.labels, catalog.catalog());
            rest = group.push(&agent.labels, renames, tables, rest);
        }
    }

    /// Returns the group of a catalog.
    fn group(
        &mut self,
        catalog: &Arc<CatalogEntry>,
        agents: &impl Fn(&CatalogEntry) -> usize,
    ) -> &mut Group {
        let is_own = |group: &Group| Arc::ptr_eq(group.catalog(), catalog);
        if !self.groups.get(self.last).is_some_and(is_own) {
            let next = self.groups.len();
            self.last = *self.by_catalog.entry(catalog.key()).or_insert(next);
            if self.last == next {
                self.groups.push(Group::new(Arc::clone(catalog), agents(catalog)));
            }
        }
        &mut self.groups[self.last]
    }

    fn finish(mut self) -> Vec<Group> {
        self.groups.iter_mut().for_each(Group::finish);
        self.groups
    }
}

/// The first labels in the order of agent ids.
struct First {
    max: usize,
    labels: Vec<Box<str>>,
    /// Labels from this id on can be ignored, because `max` labels precede it; `None` until then.
    before: Option<Box<str>>,
}

impl First {
    fn add(&mut self, labels: &str) {
        if self.before.as_ref().is_some_and(|last| agent_of(labels) >= agent_of(last)) {
            return;
        }
        self.labels.push(labels.into());
        if self.labels.len() > self.max.saturating_mul(2) {
            self.labels
                .select_nth_unstable_by(self.max, |one, other| agent_of(one).cmp(agent_of(other)));
            self.labels.truncate(self.max + 1);
            self.before = self.labels.pop();
        }
    }

    fn sorted(mut self) -> Vec<Box<str>> {
        self.labels.sort_unstable_by(|one, other| agent_of(one).cmp(agent_of(other)));
        self.labels
    }
}
