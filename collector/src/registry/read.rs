//! What scrapes and lists are made of: copies of rows, a shard at a time.

use std::collections::HashMap;
use std::sync::Arc;

use fleetgauge_proto::AgentId;

use super::{GaugeFamily, PageShard, Registry, SHARDS, SchemaEntry, View};
use crate::exposition::{CLOSE, FamilyHead, Group, PageFamily, Snapshot, agent_of};

impl Registry {
    /// A copy of all agents' values: of each agent those of one report.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.snapshot_of_shard(PageShard::ALL)
    }

    /// A copy of the values of a part of the agents.
    #[must_use]
    pub fn snapshot_of_shard(&self, part: PageShard) -> Snapshot {
        let begun = self.families.lock().moment();
        let mut groups = self.empty_groups(part);
        for shard in part.among(&self.shards) {
            let shard = shard.lock();
            for (key, slab) in &shard.slabs {
                let group = groups
                    .entry(*key)
                    .or_insert_with(|| Group::new(Arc::clone(slab.schema()), 0, 0));
                if part.divides(SHARDS) {
                    slab.copy_into(group);
                } else {
                    slab.copy_part_into(part, group);
                }
            }
        }
        groups.retain(|_, group| !group.is_empty());
        let (places, groups): (HashMap<_, _>, Vec<_>) = groups
            .into_iter()
            .enumerate()
            .map(|(place, (key, group))| ((key, place), group))
            .unzip();
        let copied: Vec<_> = groups.iter().map(Group::schema).collect();
        let page = self.families.lock().page(&copied, begun);
        let families = page.into_iter().map(|family| {
            let members = family.members.iter();
            let members = members.filter_map(|(key, at)| Some((*places.get(key)?, *at))).collect();
            PageFamily { head: family.head, members }
        });
        let families = families.collect();
        Snapshot { families, groups }
    }

    /// Groups with room for the agents of this part that are there now, by their schema's key.
    fn empty_groups(&self, part: PageShard) -> HashMap<u64, Group> {
        let mut sizes = HashMap::new();
        for shard in part.among(&self.shards) {
            for (key, slab) in &shard.lock().slabs {
                let size = sizes.entry(*key).or_insert_with(|| (Arc::clone(slab.schema()), 0, 0));
                let (agents, label_bytes) = slab.size();
                size.1 += agents;
                size.2 += label_bytes;
            }
        }
        let share = |all| part.share_of(all, SHARDS);
        let group = |(key, (schema, agents, label_bytes))| {
            (key, Group::new(schema, share(agents), share(label_bytes)))
        };
        sizes.into_iter().map(group).collect()
    }

    /// The gauges of the shared pages, or the one of this name, sorted by name.
    #[must_use]
    pub fn gauges(&self, only: Option<&str>) -> Vec<GaugeFamily> {
        self.families.lock().gauges(only)
    }

    /// Shows all agents' rows, some at a time: of each agent those of one report. Reports to them wait meanwhile.
    pub fn each_page(&self, mut see: impl FnMut(&SchemaEntry, View<'_>)) {
        for shard in &self.shards {
            for slab in shard.lock().slabs.values() {
                slab.each_page(|page| see(slab.schema(), page));
            }
        }
    }

    /// A copy of one agent's values, every family of its own kind; `None` if it is not connected.
    #[must_use]
    pub fn snapshot_of(&self, id: &str) -> Option<Snapshot> {
        let id = AgentId::try_new(id).ok()?;
        let shard = self.shard(&id).lock();
        let holder = self.holder(&id)?;
        let mut group = Group::new(Arc::clone(holder.seat.schema()), 1, 0);
        holder.seat.copy_into(&mut group);
        drop(shard);
        let declared = group.schema().schema().families.iter().enumerate();
        let families = declared
            .filter_map(|(position, family)| {
                let head = Arc::new(FamilyHead::new(family, family.kind?));
                Some(PageFamily { head, members: vec![(0, position)] })
            })
            .collect();
        Some(Snapshot { families, groups: vec![group] })
    }

    /// The labels of all agents, or of those after this one, in an order that stays: whoever is connected throughout
    /// is met once. At most so many; no more than twice as many are copied at a time, nor more than a sixty-fourth of
    /// the fleet.
    pub fn roll(&self, after: Option<&AgentId>, most: usize) -> impl Iterator<Item = Box<str>> {
        let start = after.map_or(0, Self::place);
        let labels = self.shards[start..].iter().enumerate().flat_map(move |(n, shard)| {
            let after = after.filter(|_| n == 0).map_or("", AgentId::as_str);
            let mut first = First { most, labels: Vec::new(), before: None };
            for slab in shard.lock().slabs.values() {
                slab.each_page(|page| {
                    let later = page.labels().filter(|own| agent_of(own) > after);
                    later.for_each(|own| first.add(own.strip_suffix(CLOSE).unwrap_or(own)));
                });
            }
            first.sorted()
        });
        labels.take(most)
    }
}

/// The first labels by their agents' ids.
struct First {
    most: usize,
    labels: Vec<Box<str>>,
    /// As many as are wanted come before this one.
    before: Option<Box<str>>,
}

impl First {
    fn add(&mut self, labels: &str) {
        if self.before.as_ref().is_some_and(|last| agent_of(labels) >= agent_of(last)) {
            return;
        }
        self.labels.push(labels.into());
        if self.labels.len() > self.most.saturating_mul(2) {
            self.labels
                .select_nth_unstable_by(self.most, |one, other| agent_of(one).cmp(agent_of(other)));
            self.labels.truncate(self.most + 1);
            self.before = self.labels.pop();
        }
    }

    fn sorted(mut self) -> Vec<Box<str>> {
        self.labels.sort_unstable_by(|one, other| agent_of(one).cmp(agent_of(other)));
        self.labels
    }
}
