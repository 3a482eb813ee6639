//! Slabs: the labels and newest values of agents with the same fixed layout, in blocks.
//!
//! A fleet can have a million agents of six values each. A snapshot copies a block of them at once,
//! instead of following pointers for every agent.
//!
//! The lock of a block is held only to store one agent's values, or to copy the block. Adding and
//! removing agents also takes the lock of the stripe.

use std::collections::BTreeSet;
use std::sync::Arc;

use fleetgauge_proto::Violation;
use fleetgauge_proto::report::Values;
use parking_lot::Mutex;

use super::agent::{SeriesData, decode};
use super::layout::Layout;

/// Target size of the values in a block, in bytes: 85 agents with six values, copied in a fraction
/// of a microsecond.
const BLOCK_BYTES: usize = 4096;
/// A block with this many bytes of labels accepts no more agents, so that copies stay short.
const BLOCK_LABEL_BYTES: usize = 16 * 1024;
/// Divisor of array growth: an array grows by an eighth, not to twice its size, so at most an
/// eighth is unused while agents connect.
const GROWTH: usize = 8;

/// Bytes of a slab without its layout and blocks.
const SLAB_BYTES: usize = size_of::<Slab>() + 128;
/// Bytes of a block without its agents.
const BLOCK_RECORD_BYTES: usize = size_of::<Block>() + 32;

/// The agents of one layout in a stripe.
#[derive(Debug)]
pub(super) struct Slab {
    layout: Arc<Layout>,
    agents_per_block: usize,
    /// Blocks by index; the last is never `None`.
    blocks: Vec<Option<Arc<Block>>>,
    /// Indices of blocks that accept another agent.
    open: BTreeSet<usize>,
    agents: usize,
    /// Memory of the slab with its blocks, in bytes.
    bytes: usize,
}

/// Several agents under one lock.
#[derive(Debug)]
struct Block {
    layout: Arc<Layout>,
    /// Number of values of an agent.
    width: usize,
    /// Index of the block in the slab.
    index: usize,
    agents: Mutex<Agents>,
}

/// Labels and values of several agents, in arrays that a snapshot copies whole.
#[derive(Debug, Default)]
struct Agents {
    values: Vec<f64>,
    /// Labels of all agents, concatenated.
    labels: String,
    /// Length of each agent's labels, in bytes; 0 for a vacant place. The last is never vacant.
    label_lens: Vec<u32>,
    /// Number of vacant places.
    vacant: usize,
}

/// The place of an agent in a slab.
#[derive(Debug)]
pub(super) struct SlabPlace {
    block: Arc<Block>,
    index: u32,
}

/// A view of a locked block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockView<'a> {
    pub(super) layout: &'a Layout,
    /// Labels of all agents, concatenated.
    pub(crate) labels: &'a str,
    /// Length of each agent's labels; 0 for a vacant place.
    pub(crate) label_lens: &'a [u32],
    /// Values of all places.
    pub(crate) values: &'a [f64],
    /// Number of values of an agent.
    pub(crate) width: usize,
    /// Whether a place is vacant.
    pub(super) has_gaps: bool,
}

impl<'a> BlockView<'a> {
    /// Returns the labels and values of each agent.
    pub(super) fn agents(self) -> impl Iterator<Item = (&'a str, &'a [f64])> {
        let mut rest = self.labels;
        let places = self.label_lens.iter().enumerate().filter(|(_, len)| **len > 0);
        places.map(move |(index, len)| {
            let (own, after) = rest.split_at(*len as usize);
            rest = after;
            (own, &self.values[index * self.width..][..self.width])
        })
    }
}

impl SlabPlace {
    /// Stores the values of a report. Returns their number.
    pub(super) fn store(&self, values: &Values<'_>) -> Result<usize, Violation> {
        let Block { layout, width, agents, .. } = &*self.block;
        let own = &mut agents.lock().values[self.index() * width..][..*width];
        decode(values, own, layout)
    }

    /// Calls `read` with labels, layout and values.
    pub(super) fn read<T>(&self, read: impl FnOnce(&str, &Arc<Layout>, &[f64]) -> T) -> T {
        let Block { layout, width, agents, .. } = &*self.block;
        let agents = agents.lock();
        let labels = agents.labels_of(self.index());
        read(labels, layout, &agents.values[self.index() * width..][..*width])
    }

    pub(super) fn layout(&self) -> &Arc<Layout> {
        &self.block.layout
    }

    fn index(&self) -> usize {
        self.index as usize
    }
}

impl Slab {
    pub(super) fn new(layout: &Arc<Layout>) -> Self {
        let agent_bytes = size_of::<f64>() * layout.cells().max(1);
        Self {
            layout: Arc::clone(layout),
            agents_per_block: (BLOCK_BYTES / agent_bytes).max(1),
            blocks: Vec::new(),
            open: BTreeSet::new(),
            agents: 0,
            // The slabs of other stripes share the layout, but this may be the only one.
            bytes: SLAB_BYTES + layout.shared_bytes(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.agents == 0
    }

    /// Returns the memory that it takes, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds an agent.
    pub(super) fn insert(&mut self, series: &SeriesData) -> SlabPlace {
        let index = self.open.first().copied().unwrap_or(self.blocks.len());
        if index == self.blocks.len() {
            self.blocks.push(None);
            self.open.insert(index);
        }
        let block = self.blocks[index].get_or_insert_with(|| {
            self.bytes += BLOCK_RECORD_BYTES;
            let (layout, width) = (Arc::clone(&self.layout), self.layout.cells());
            Arc::new(Block { layout, width, index, agents: Mutex::default() })
        });
        let mut agents = block.agents.lock();
        self.bytes -= agents.bytes();
        let place = agents.insert(&series.labels, &series.values, self.agents_per_block);
        self.bytes += agents.bytes();
        self.agents += 1;
        let is_full = agents.label_lens.len() == self.agents_per_block && agents.vacant == 0;
        if is_full || agents.labels.len() >= BLOCK_LABEL_BYTES {
            self.open.remove(&index);
        }
        drop(agents);
        // A block has few agents.
        SlabPlace { block: Arc::clone(block), index: u32::try_from(place).unwrap_or(0) }
    }

    /// Removes an agent.
    pub(super) fn remove(&mut self, place: &SlabPlace) {
        let index = place.block.index;
        let mut agents = place.block.agents.lock();
        self.agents -= 1;
        self.bytes -= agents.bytes();
        agents.remove(place.index(), place.block.width);
        if agents.labels.len() < BLOCK_LABEL_BYTES {
            self.open.insert(index);
        }
        if agents.label_lens.is_empty() {
            *agents = Agents::default();
            self.bytes -= BLOCK_RECORD_BYTES;
            self.blocks[index] = None;
        }
        self.bytes += agents.bytes();
        drop(agents);
        while self.blocks.pop_if(|last| last.is_none()).is_some() {
            self.open.remove(&self.blocks.len());
        }
    }

    /// Calls `visit` for each block, which is locked meanwhile.
    pub(super) fn each_block(&self, mut visit: impl FnMut(BlockView<'_>)) {
        for block in self.blocks.iter().flatten() {
            let agents = block.agents.lock();
            visit(BlockView {
                layout: &block.layout,
                labels: &agents.labels,
                label_lens: &agents.label_lens,
                values: &agents.values,
                width: block.width,
                has_gaps: agents.vacant > 0,
            });
        }
    }

    /// Returns the number of places, vacant ones included, and of blocks.
    #[cfg(test)]
    pub(super) fn footprint(&self) -> (usize, usize) {
        let mut footprint = (0, 0);
        self.each_block(|block| {
            footprint = (footprint.0 + block.label_lens.len(), footprint.1 + 1);
        });
        footprint
    }
}

impl Agents {
    /// Adds an agent and returns its index. `max` is the maximum number of agents.
    fn insert(&mut self, labels: &str, values: &[f64], max: usize) -> usize {
        let index = if self.vacant == 0 {
            reserve(&mut self.label_lens, 1, max);
            reserve(&mut self.values, values.len(), max * values.len());
            self.label_lens.push(0);
            self.values.extend_from_slice(values);
            self.label_lens.len() - 1
        } else {
            self.vacant -= 1;
            let vacant = self.label_lens.iter().position(|len| *len == 0);
            let index = vacant.unwrap_or_default();
            self.values[index * values.len()..][..values.len()].copy_from_slice(values);
            index
        };
        let at = self.labels_at(index);
        if self.labels.capacity() - self.labels.len() < labels.len() {
            self.labels.reserve_exact(labels.len().max(self.labels.len() / GROWTH));
        }
        self.labels.insert_str(at, labels);
        self.label_lens[index] = u32::try_from(labels.len()).unwrap_or(u32::MAX);
        index
    }

    fn remove(&mut self, index: usize, width: usize) {
        let at = self.labels_at(index);
        let bytes = self.label_lens[index] as usize;
        self.labels.replace_range(at..at + bytes, "");
        self.label_lens[index] = 0;
        self.vacant += 1;
        while self.label_lens.pop_if(|len| *len == 0).is_some() {
            self.vacant -= 1;
        }
        self.values.truncate(self.label_lens.len() * width);
        // After agents have left, at most a quarter of an array is unused.
        if self.labels.capacity() / 4 * 3 > self.labels.len() {
            self.labels.shrink_to(self.labels.len() + self.labels.len() / GROWTH);
        }
        if self.values.capacity() / 4 * 3 > self.values.len() {
            self.label_lens.shrink_to_fit();
            self.values.shrink_to_fit();
        }
    }

    /// Returns the memory that it takes, in bytes.
    fn bytes(&self) -> usize {
        self.values.capacity() * size_of::<f64>()
            + self.label_lens.capacity() * size_of::<u32>()
            + self.labels.capacity()
    }

    fn labels_at(&self, index: usize) -> usize {
        self.label_lens[..index].iter().map(|len| *len as usize).sum()
    }

    fn labels_of(&self, index: usize) -> &str {
        &self.labels[self.labels_at(index)..][..self.label_lens[index] as usize]
    }
}

fn reserve<T>(array: &mut Vec<T>, more: usize, max: usize) {
    if array.capacity() - array.len() < more {
        let spare = (array.len() / GROWTH).min(max - array.len());
        array.reserve_exact(spare.max(more));
    }
}
