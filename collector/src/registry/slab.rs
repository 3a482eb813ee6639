//! Rows: the labels and newest values of the agents of one schema, in blocks.
//!
//! The lock of a block is held only to copy one agent's values in, or the block's rows out. So
//! reports and scrapes wait for each other only briefly. Adding and removing rows also takes the
//! lock of the stripe.

use std::collections::BTreeSet;
use std::sync::Arc;

use fleetgauge_proto::report::Values;
use parking_lot::Mutex;

use super::FleetShard;
use super::schemas::{Pinned, SchemaEntry};
use crate::exposition::{CLOSE, Group, agent_of};

/// Target size of the values in a block, in bytes: 85 agents with six values, copied in a fraction
/// of a microsecond.
const BLOCK_BYTES: usize = 4096;
/// A block with this many bytes of labels accepts no more agents, so that copies stay short.
const BLOCK_LABEL_BYTES: usize = 16 * 1024;

/// Rows of several agents under one lock.
#[derive(Debug)]
struct RowBlock {
    schema: Arc<SchemaEntry>,
    /// Index of the block in the slab.
    index: usize,
    rows: Mutex<Rows>,
}

/// Labels and values of several agents, in arrays that a snapshot copies whole.
#[derive(Debug, Default)]
struct Rows {
    /// The session that may write to each row.
    sessions: Vec<u64>,
    values: Vec<f64>,
    /// Labels of all rows, concatenated.
    labels: String,
    /// Length of each row's labels, in bytes; 0 for a vacant row. The last row is never vacant.
    label_lens: Vec<u32>,
}

impl Rows {
    /// Adds a row of a session and returns its index. `max` is the maximum number of rows.
    fn insert(&mut self, session: u64, labels: &str, width: usize, max: usize) -> usize {
        let vacant = self.label_lens.iter().position(|len| *len == 0);
        let row = vacant.unwrap_or(self.label_lens.len());
        if vacant.is_none() {
            reserve(&mut self.sessions, 1, max);
            reserve(&mut self.label_lens, 1, max);
            reserve(&mut self.values, width, max * width);
            self.sessions.push(session);
            self.label_lens.push(0);
            self.values.resize(self.values.len() + width, 0.0);
        }
        self.sessions[row] = session;
        let at = self.labels_at(row);
        let bytes = labels.len() + CLOSE.len();
        if self.labels.capacity() - self.labels.len() < bytes {
            self.labels.reserve_exact(bytes.max(self.labels.len() / GROWTH));
        }
        self.labels.insert_str(at, CLOSE);
        self.labels.insert_str(at, labels);
        self.label_lens[row] = u32::try_from(bytes).unwrap_or(u32::MAX);
        row
    }

    fn remove(&mut self, row: usize, width: usize) {
        let at = self.labels_at(row);
        let bytes = self.label_lens[row] as usize;
        self.labels.replace_range(at..at + bytes, "");
        self.label_lens[row] = 0;
        self.sessions[row] = 0;
        let rows = self.label_lens.iter().rposition(|len| *len > 0).map_or(0, |last| last + 1);
        self.sessions.truncate(rows);
        self.label_lens.truncate(rows);
        self.values.truncate(rows * width);
        // After agents have left, at most a quarter of an array is unused.
        if self.labels.capacity() / 4 * 3 > self.labels.len() {
            self.labels.shrink_to(self.labels.len() + self.labels.len() / GROWTH);
        }
        if self.values.capacity() / 4 * 3 > self.values.len() {
            self.sessions.shrink_to_fit();
            self.label_lens.shrink_to_fit();
            self.values.shrink_to_fit();
        }
    }

    /// Returns the memory that it takes, in bytes.
    fn bytes(&self) -> usize {
        self.sessions.capacity() * size_of::<u64>()
            + self.values.capacity() * size_of::<f64>()
            + self.label_lens.capacity() * size_of::<u32>()
            + self.labels.capacity()
    }

    fn labels_at(&self, row: usize) -> usize {
        self.label_lens[..row].iter().map(|len| *len as usize).sum()
    }

    fn labels_of(&self, row: usize) -> &str {
        let at = self.labels_at(row);
        &self.labels[at..at + self.label_lens[row] as usize]
    }

    fn is_vacant(&self, row: usize) -> bool {
        self.label_lens.get(row).is_none_or(|len| *len == 0)
    }
}

/// Divisor of array growth: an array grows by an eighth, not to twice its size, so at most an
/// eighth is unused while agents connect.
const GROWTH: usize = 8;

fn reserve<T>(array: &mut Vec<T>, more: usize, max: usize) {
    if array.capacity() - array.len() < more {
        let spare = (array.len() / GROWTH).min(max - array.len());
        array.reserve_exact(spare.max(more));
    }
}

/// Access of a session to its row. Writes have no effect after another session has taken over the
/// row.
#[derive(Debug)]
pub struct RowHandle {
    block: Arc<RowBlock>,
    row: u32,
}

impl RowHandle {
    /// Stores the checked values of a session. Returns `false` if another session has the row.
    #[must_use]
    pub fn store(&self, session: u64, values: &Values<'_>) -> bool {
        let width = self.schema().schema().width;
        let row = self.row();
        let mut rows = self.block.rows.lock();
        if rows.sessions.get(row) != Some(&session) {
            return false;
        }
        values.apply(&mut rows.values[row * width..][..width]);
        true
    }

    /// Returns the row's labels; `None` if another session has the row.
    pub(super) fn labels(&self, session: u64) -> Option<Box<str>> {
        let rows = self.block.rows.lock();
        let labels = (rows.sessions.get(self.row()) == Some(&session))
            .then(|| rows.labels_of(self.row()))?;
        labels.strip_suffix(CLOSE).map(Box::from)
    }

    /// Returns the schema of the row's values.
    #[must_use]
    pub fn schema(&self) -> &Arc<SchemaEntry> {
        &self.block.schema
    }

    /// Copies the row into `group` unless it is vacant.
    pub(super) fn copy_into(&self, group: &mut Group) {
        let width = self.schema().schema().width;
        let rows = self.block.rows.lock();
        if !rows.is_vacant(self.row()) {
            group.push(rows.labels_of(self.row()), &rows.values[self.row() * width..][..width]);
        }
    }

    fn row(&self) -> usize {
        self.row as usize
    }
}

/// A view of a locked block.
#[derive(Debug, Clone, Copy)]
pub struct RowBlockView<'a> {
    labels: &'a str,
    label_lens: &'a [u32],
    values: &'a [f64],
    width: usize,
}

impl<'a> RowBlockView<'a> {
    /// Returns each agent's labels, with the closing brace.
    pub fn labels(self) -> impl Iterator<Item = &'a str> {
        let mut rest = self.labels;
        self.label_lens.iter().filter(|len| **len > 0).map(move |len| {
            let (own, after) = rest.split_at(*len as usize);
            rest = after;
            own
        })
    }

    /// Returns each agent's values, in the order of [`Self::labels`].
    pub fn values(self) -> impl Iterator<Item = &'a [f64]> {
        let rows = self.label_lens.iter().enumerate().filter(|(_, len)| **len > 0);
        rows.map(move |(row, _)| &self.values[row * self.width..][..self.width])
    }
}

/// The rows of one schema in a stripe.
#[derive(Debug)]
pub(super) struct Slab {
    schema: Pinned,
    rows_per_block: usize,
    /// Blocks by index; the last is never `None`.
    blocks: Vec<Option<Arc<RowBlock>>>,
    /// Indices of blocks that accept another agent.
    open: BTreeSet<usize>,
    agents: usize,
    label_bytes: usize,
    /// Memory of the slab with its blocks, in bytes.
    bytes: usize,
}

/// Bytes of a slab without its blocks, and of a block without its rows.
const SLAB_BYTES: usize = size_of::<Slab>() + 128;
const BLOCK_RECORD_BYTES: usize = size_of::<RowBlock>() + 32;

impl Slab {
    pub(super) fn new(schema: &Arc<SchemaEntry>) -> Self {
        let row_bytes = size_of::<f64>() * schema.schema().width.max(1);
        Self {
            schema: Pinned::new(schema),
            rows_per_block: (BLOCK_BYTES / row_bytes).max(1),
            blocks: Vec::new(),
            open: BTreeSet::new(),
            agents: 0,
            label_bytes: 0,
            bytes: SLAB_BYTES,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.agents == 0
    }

    /// Adds a row of a session with these labels and checked values.
    pub(super) fn insert(&mut self, session: u64, labels: &str, values: &Values<'_>) -> RowHandle {
        let index = self.open.first().copied().unwrap_or(self.blocks.len());
        if index == self.blocks.len() {
            self.blocks.push(None);
            self.open.insert(index);
        }
        let schema = self.schema.entry();
        let block = self.blocks[index].get_or_insert_with(|| {
            self.bytes += BLOCK_RECORD_BYTES;
            Arc::new(RowBlock { schema: Arc::clone(schema), index, rows: Mutex::default() })
        });
        let mut rows = block.rows.lock();
        self.bytes -= rows.bytes();
        let row = rows.insert(session, labels, schema.schema().width, self.rows_per_block);
        self.bytes += rows.bytes();
        self.agents += 1;
        self.label_bytes += rows.label_lens[row] as usize;
        let full = rows.label_lens.len() == self.rows_per_block && !rows.label_lens.contains(&0);
        if full || rows.labels.len() >= BLOCK_LABEL_BYTES {
            self.open.remove(&index);
        }
        drop(rows);
        let row = u32::try_from(row).unwrap_or(0); // A block has few rows.
        let handle = RowHandle { block: Arc::clone(block), row };
        let stored = handle.store(session, values);
        debug_assert!(stored, "the row is new");
        handle
    }

    /// Removes a row.
    pub(super) fn remove(&mut self, handle: &RowHandle) {
        let index = handle.block.index;
        let mut rows = handle.block.rows.lock();
        self.agents -= 1;
        self.label_bytes -= rows.label_lens[handle.row()] as usize;
        self.bytes -= rows.bytes();
        rows.remove(handle.row(), self.schema.entry().schema().width);
        if rows.labels.len() < BLOCK_LABEL_BYTES {
            self.open.insert(index);
        }
        if rows.label_lens.is_empty() {
            *rows = Rows::default();
            self.bytes -= BLOCK_RECORD_BYTES;
            self.blocks[index] = None;
        }
        self.bytes += rows.bytes();
        drop(rows);
        while self.blocks.pop_if(|last| last.is_none()).is_some() {
            self.open.remove(&self.blocks.len());
        }
    }

    /// Returns the memory that it takes, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the minimum bytes of a row. Its arrays can grow by more.
    pub(super) fn row_bytes(labels: &str, width: usize) -> usize {
        size_of::<u64>() + width * size_of::<f64>() + size_of::<u32>() + labels.len() + CLOSE.len()
    }

    /// Returns the number of agents and the bytes of their labels.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.agents, self.label_bytes)
    }

    /// Copies all rows into `group`.
    pub(super) fn copy_into(&self, group: &mut Group) {
        for block in self.blocks.iter().flatten() {
            let rows = block.rows.lock();
            group.push_all(&rows.labels, &rows.label_lens, &rows.values);
        }
    }

    /// Copies the rows of a shard of the fleet into `group`.
    pub(super) fn copy_shard_into(&self, shard: FleetShard, group: &mut Group) {
        self.each_block(|block| {
            for (labels, values) in block.labels().zip(block.values()) {
                if shard.has(agent_of(labels)) {
                    group.push(labels, values);
                }
            }
        });
    }

    /// Calls `visit` for each block, which is locked meanwhile.
    pub(super) fn each_block(&self, mut visit: impl FnMut(RowBlockView<'_>)) {
        let width = self.schema().schema().width;
        for block in self.blocks.iter().flatten() {
            let rows = block.rows.lock();
            let Rows { labels, label_lens, values, .. } = &*rows;
            visit(RowBlockView { labels, label_lens, values, width });
        }
    }

    pub(super) fn schema(&self) -> &Arc<SchemaEntry> {
        self.schema.entry()
    }

    /// Returns the number of rows, vacant ones included, and of blocks.
    #[cfg(test)]
    pub(super) fn footprint(&self) -> (usize, usize) {
        let blocks = || self.blocks.iter().flatten();
        (blocks().map(|block| block.rows.lock().label_lens.len()).sum(), blocks().count())
    }
}
