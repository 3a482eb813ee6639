//! Copies of the registry for scrapes and lists, one stripe at a time.

use std::collections::HashMap;
use std::sync::Arc;

use fleetgauge_proto::AgentId;

use super::{FleetShard, GaugeFamily, Registry, RowBlockView, STRIPES, SchemaEntry};
use crate::exposition::{CLOSE, FamilyHead, Group, PageFamily, Snapshot, agent_of};

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
        let mut groups = self.empty_groups(shard);
        for stripe in shard.among(&self.stripes) {
            let stripe = stripe.lock();
            for (key, slab) in &stripe.slabs {
                let group = groups
                    .entry(*key)
                    .or_insert_with(|| Group::new(Arc::clone(slab.schema()), 0, 0));
                if shard.divides(STRIPES) {
                    slab.copy_into(group);
                } else {
                    slab.copy_shard_into(shard, group);
                }
            }
        }
        groups.retain(|_, group| !group.is_empty());
        let (positions, groups): (HashMap<_, _>, Vec<_>) = groups
            .into_iter()
            .enumerate()
            .map(|(position, (key, group))| ((key, position), group))
            .unzip();
        let copied: Vec<_> = groups.iter().map(Group::schema).collect();
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

    /// Returns empty groups with capacity for the current agents of the shard, by schema key.
    fn empty_groups(&self, shard: FleetShard) -> HashMap<u64, Group> {
        let mut sizes = HashMap::new();
        for stripe in shard.among(&self.stripes) {
            for (key, slab) in &stripe.lock().slabs {
                let size = sizes.entry(*key).or_insert_with(|| (Arc::clone(slab.schema()), 0, 0));
                let (agents, label_bytes) = slab.size();
                size.1 += agents;
                size.2 += label_bytes;
            }
        }
        let share = |all| shard.share_of(all, STRIPES);
        let group = |(key, (schema, agents, label_bytes))| {
            (key, Group::new(schema, share(agents), share(label_bytes)))
        };
        sizes.into_iter().map(group).collect()
    }

    /// Returns the gauges on the shared pages, sorted by name; `only` selects the one with this
    /// name.
    #[must_use]
    pub fn gauges(&self, only: Option<&str>) -> Vec<GaugeFamily> {
        self.families.lock().gauges(only)
    }

    /// Calls `visit` for each block of rows. The block is locked meanwhile, and reports to it wait.
    pub fn each_block(&self, mut visit: impl FnMut(&SchemaEntry, RowBlockView<'_>)) {
        for stripe in &self.stripes {
            for slab in stripe.lock().slabs.values() {
                slab.each_block(|block| visit(slab.schema(), block));
            }
        }
    }

    /// Copies one agent's values, with the kinds of its own schema; `None` if it is not connected.
    #[must_use]
    pub fn snapshot_of(&self, id: &str) -> Option<Snapshot> {
        let id = AgentId::try_new(id).ok()?;
        let stripe = self.stripe(&id).lock();
        let agent = self.find(&id)?;
        let mut group = Group::new(Arc::clone(agent.row.schema()), 1, 0);
        agent.row.copy_into(&mut group);
        drop(stripe);
        let declared = group.schema().schema().families.iter().enumerate();
        let families = declared
            .filter_map(|(position, family)| {
                let head = Arc::new(FamilyHead::new(family, family.kind?));
                Some(PageFamily { head, members: vec![(0, position)] })
            })
            .collect();
        Some(Snapshot { families, groups: vec![group] })
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
            for slab in stripe.lock().slabs.values() {
                slab.each_block(|block| {
                    let later = block.labels().filter(|own| agent_of(own) > after);
                    later.for_each(|own| first.add(own.strip_suffix(CLOSE).unwrap_or(own)));
                });
            }
            first.sorted()
        });
        labels.take(max)
    }
}

/// Collects the labels of the first `max` agents in the order of their ids.
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
