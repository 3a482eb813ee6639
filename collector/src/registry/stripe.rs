//! Stripes: partitions of the agents by hash of their id, and where their series are stored.

use std::collections::HashMap;
use std::sync::Arc;

use super::agent::{SeriesData, SeriesStorage};
use super::layout::Layout;
use super::slab::{BlockView, Slab};
use super::{IDLE_SLOTS, RegisteredAgent, STRIPES};

/// The agents of a stripe, in any order.
#[derive(Debug, Default)]
pub(super) struct Stripe {
    /// Agents whose layouts have row labels.
    own: Vec<Arc<RegisteredAgent>>,
    /// The other agents, by address of their shared layout.
    slabs: HashMap<usize, Slab>,
}

impl Stripe {
    /// Adds the series of an agent. Returns the memory that they take, in bytes.
    pub(super) fn insert(
        &mut self,
        agent: &Arc<RegisteredAgent>,
        place: &mut SeriesStorage,
        series: SeriesData,
    ) -> usize {
        if !series.layout.is_fixed() {
            let (index, bytes) = (self.own.len(), series.bytes());
            self.own.push(Arc::clone(agent));
            *place = SeriesStorage::Own(Box::new(SeriesData { index, ..series }));
            return bytes;
        }
        let key = key(&series.layout);
        let before = self.slabs.get(&key).map_or(0, Slab::bytes);
        let slab = self.slabs.entry(key).or_insert_with(|| Slab::new(&series.layout));
        *place = SeriesStorage::Shared(slab.insert(&series));
        slab.bytes() - before
    }

    /// Removes the series of an agent. Returns them, and the memory that becomes free, in bytes;
    /// `None` if the agent has none.
    pub(super) fn remove(&mut self, place: &mut SeriesStorage) -> Option<(SeriesData, usize)> {
        match std::mem::replace(place, SeriesStorage::Gone) {
            SeriesStorage::Gone => None,
            SeriesStorage::Own(own) => {
                self.remove_own(own.index);
                let bytes = own.bytes();
                Some((*own, bytes))
            }
            SeriesStorage::Shared(shared) => {
                let series = shared.read(|labels, layout, values| SeriesData {
                    labels: labels.into(),
                    layout: Arc::clone(layout),
                    values: values.into(),
                    index: 0,
                });
                let slab = self.slabs.get_mut(&key(shared.layout()))?;
                let before = slab.bytes();
                slab.remove(&shared);
                if slab.is_empty() {
                    self.slabs.remove(&key(shared.layout()));
                    return Some((series, before));
                }
                Some((series, before - slab.bytes()))
            }
        }
    }

    /// Removes an agent with series of its own. The last one takes its place.
    fn remove_own(&mut self, index: usize) {
        self.own.swap_remove(index);
        // No deadlock: an agent's lock is taken while another is held only under the stripe's lock.
        if let Some(moved) = self.own.get(index)
            && let SeriesStorage::Own(own) = &mut *moved.series.lock()
        {
            own.index = index;
        }
        if self.own.capacity() > IDLE_SLOTS / STRIPES + 8 * self.own.len() {
            self.own.shrink_to_fit();
        }
    }

    /// Returns the agents with series of their own.
    pub(super) fn own(&self) -> &[Arc<RegisteredAgent>] {
        &self.own
    }

    /// Calls `visit` for each block of the other agents. The block is locked meanwhile.
    pub(super) fn each_block(&self, mut visit: impl FnMut(BlockView<'_>)) {
        for slab in self.slabs.values() {
            slab.each_block(&mut visit);
        }
    }

    /// Calls `visit` with the labels, layout and values of each agent. Its reports wait meanwhile.
    pub(super) fn each_agent(&self, mut visit: impl FnMut(&str, &Layout, &[f64])) {
        for agent in &self.own {
            if let Some(own) = agent.series.lock().own() {
                visit(&own.labels, &own.layout, &own.values);
            }
        }
        self.each_block(|block| {
            for (labels, values) in block.agents() {
                visit(labels, block.layout, values);
            }
        });
    }

    /// Returns the number of places in blocks, vacant ones included, and of blocks.
    #[cfg(test)]
    pub(super) fn footprint(&self) -> (usize, usize) {
        let sum = |all: (usize, usize), one: (usize, usize)| (all.0 + one.0, all.1 + one.1);
        self.slabs.values().map(Slab::footprint).fold((0, 0), sum)
    }
}

/// Returns the key of a layout's slab: the layout's address. It stays unique, because the slab
/// keeps the layout alive.
fn key(layout: &Arc<Layout>) -> usize {
    Arc::as_ptr(layout).addr()
}
