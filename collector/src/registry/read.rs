//! Copies of the registry for scrapes and lists, one stripe at a time.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use fleetgauge_proto::AgentId;
use fleetgauge_proto::catalog::Family;
use parking_lot::MutexGuard;

use super::agent::{SeriesData, SeriesStorage};
use super::families::{can_be_counter, counter_of};
use super::slab::BlockView;
use super::{CatalogEntry, FleetShard, GaugeFamily, Layout, RegisteredAgent, Registry, STRIPES};
use crate::exposition::{FamilyHead, Group, PageFamily, Snapshot, agent_of};

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
        let is_whole = shard.divides(STRIPES);
        let is_wanted = |id: &str| is_whole || shard.has(id);
        let expected = |catalog: &CatalogEntry| self.size_of(catalog, shard);
        for stripe in shard.among(&self.stripes) {
            let stripe = stripe.lock();
            for agents in stripe.own().chunks(BATCH) {
                groups.push_all(agents, is_wanted, expected);
            }
            stripe.each_block(|block| groups.push_block(block, is_whole, is_wanted, expected));
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
            PageFamily { head: family.head, is_counter: family.is_counter, members }
        });
        let families = families.collect();
        Snapshot { families, groups }
    }

    /// Returns the expected number of agents with a catalog in a shard.
    fn size_of(&self, catalog: &CatalogEntry, shard: FleetShard) -> usize {
        shard.share_of(self.families.lock().agents(catalog), STRIPES)
    }

    /// Returns the gauges on the shared pages, sorted by name, with the columns that have no row
    /// labels; gauges without such columns are omitted. `only` selects one gauge with this name and
    /// all its columns.
    #[must_use]
    pub fn gauges(&self, only: Option<&str>) -> Vec<GaugeFamily> {
        self.families.lock().gauges(only)
    }

    /// Calls `visit` with each agent's labels, layout and values. Its reports wait meanwhile.
    pub fn each_agent(&self, mut visit: impl FnMut(&str, &Layout, &[f64])) {
        for stripe in &self.stripes {
            stripe.lock().each_agent(&mut visit);
        }
    }

    /// Copies one agent's values, with the kinds of its own catalogs; `None` if it is not
    /// connected.
    #[must_use]
    pub fn snapshot_of(&self, id: &str) -> Option<Snapshot> {
        let id = AgentId::try_new(id).ok()?;
        // The series of an agent move when its catalogs change.
        let stripe = self.stripe(&id).lock();
        let agent = self.find(&id)?;
        let mut groups = Groups::default();
        agent.series.lock().read(|labels, layout, values| {
            groups.push(labels, layout, values, &|_| 1);
        })?;
        drop(stripe);
        let groups = groups.finish();
        let families = families_of(&groups);
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
            stripe.lock().each_agent(|labels, _, _| {
                if agent_of(labels) > after {
                    first.add(labels);
                }
            });
            first.sorted()
        });
        labels.take(max)
    }
}

/// Returns the families of one agent, with the kinds of its catalogs.
fn families_of(groups: &[Group]) -> Vec<PageFamily> {
    let declared = |group: &Group| Arc::clone(group.catalog());
    let catalogs: Vec<_> = groups.iter().map(declared).collect();
    let all = || catalogs.iter().flat_map(|catalog| &catalog.catalog().families);
    let counter = |family: &Family| counter_of((&family.name, family.kind?)).map(ToOwned::to_owned);
    let taken: HashSet<_> = if all().any(|family| counter(family).is_some()) {
        all().flat_map(Family::sample_names).collect()
    } else {
        HashSet::new()
    };
    let mut families = Vec::new();
    for (group, catalog) in catalogs.iter().enumerate() {
        for (position, family) in catalog.catalog().families.iter().enumerate() {
            let Some(kind) = family.kind else { continue };
            let head = Arc::new(FamilyHead::new(family, kind));
            let is_counter = counter(family)
                .is_some_and(|name| can_be_counter(&name, |other| taken.contains(other)));
            families.push(PageFamily { head, is_counter, members: vec![(group, position)] });
        }
    }
    families
}

/// Number of agents copied together, so that their cache misses overlap.
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
    /// Adds those of up to [`BATCH`] agents whose ids are wanted. `expected` returns the expected
    /// number of agents with a catalog.
    fn push_all(
        &mut self,
        batch: &[Arc<RegisteredAgent>],
        is_wanted: impl Fn(&str) -> bool,
        expected: impl Fn(&CatalogEntry) -> usize,
    ) {
        // Touch all records and then all their data before use, so that the cache misses overlap.
        let locked: [Option<MutexGuard<'_, SeriesStorage>>; BATCH] = std::array::from_fn(|index| {
            let agent = batch.get(index).filter(|agent| is_wanted(agent.id.as_str()));
            agent.map(|agent| agent.series.lock())
        });
        let own: [Option<&SeriesData>; BATCH] =
            std::array::from_fn(|index| locked[index].as_deref().and_then(SeriesStorage::own));
        let first = |own: &SeriesData| {
            let label = own.labels.as_bytes().first().copied().map_or(0, u64::from);
            own.values.first().map_or(0, |value| value.to_bits()).wrapping_add(label)
        };
        let touched = own.iter().flatten().map(|own| first(own)).fold(0, u64::wrapping_add);
        std::hint::black_box(touched);
        for SeriesData { labels, layout, values, .. } in own.into_iter().flatten() {
            self.push(labels, layout, values, &expected);
        }
    }

    /// Adds those agents of a block whose ids are wanted: at once if the block `is_whole`.
    fn push_block(
        &mut self,
        block: BlockView<'_>,
        is_whole: bool,
        is_wanted: impl Fn(&str) -> bool,
        expected: impl Fn(&CatalogEntry) -> usize,
    ) {
        if !is_whole || block.has_gaps {
            for (labels, values) in block.agents().filter(|(own, _)| is_wanted(agent_of(own))) {
                self.push(labels, block.layout, values, &expected);
            }
            return;
        }
        for (catalog, mut tables) in block.layout.tables() {
            let start = tables.next().map_or(0, |first| first.start);
            self.group(catalog, &expected).push_block(block, start);
        }
    }

    fn push(
        &mut self,
        labels: &str,
        layout: &Layout,
        values: &[f64],
        expected: &impl Fn(&CatalogEntry) -> usize,
    ) {
        let mut rest = values;
        for (catalog, tables) in layout.tables() {
            rest = self.group(catalog, expected).push(labels, tables, rest);
        }
    }

    /// Returns the group of a catalog.
    fn group(
        &mut self,
        catalog: &Arc<CatalogEntry>,
        expected: &impl Fn(&CatalogEntry) -> usize,
    ) -> &mut Group {
        let is_own = |group: &Group| Arc::ptr_eq(group.catalog(), catalog);
        if !self.groups.get(self.last).is_some_and(is_own) {
            let next = self.groups.len();
            self.last = *self.by_catalog.entry(catalog.key()).or_insert(next);
            if self.last == next {
                self.groups.push(Group::new(Arc::clone(catalog), expected(catalog)));
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
