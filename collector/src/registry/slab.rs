//! Rows: the labels and newest values of the agents of one schema, side by side in pages.
//!
//! A page's lock is held only to copy: one agent's values in, or a page's rows out. That copy is the longest that a
//! report and a scrape wait for each other. Rows come and go under the lock of the shard as well.

use std::collections::BTreeSet;
use std::sync::Arc;

use fleetgauge_proto::report::Values;
use parking_lot::Mutex;

use super::PageShard;
use super::schemas::{Pinned, SchemaEntry};
use crate::exposition::{CLOSE, Group, agent_of};

/// Size aimed at for a page's values, in bytes: eighty-five agents of six values, copied in a fraction of a
/// microsecond.
const PAGE_BYTES: usize = 4096;
/// Bytes of labels from which on a page takes no more agents, so that long labels do not make for long copies.
const PAGE_LABEL_BYTES: usize = 16 * 1024;

/// The rows of several agents.
#[derive(Debug)]
struct Page {
    schema: Arc<SchemaEntry>,
    /// Its place in the slab.
    number: usize,
    rows: Mutex<Rows>,
}

/// Labels and values of several agents, in arrays as a snapshot wants them.
#[derive(Debug, Default)]
struct Rows {
    /// Who may write to each row.
    sessions: Vec<u64>,
    values: Vec<f64>,
    /// Every row's labels, one after another.
    labels: String,
    /// Bytes of each row's labels; 0 for a vacant row, and the last is never vacant.
    label_lens: Vec<u32>,
}

impl Rows {
    /// Gives a row to a session; `most` is how many rows there may be.
    fn insert(&mut self, session: u64, labels: &str, width: usize, most: usize) -> usize {
        let vacant = self.label_lens.iter().position(|len| *len == 0);
        let row = vacant.unwrap_or(self.label_lens.len());
        if vacant.is_none() {
            make_room(&mut self.sessions, 1, most);
            make_room(&mut self.label_lens, 1, most);
            make_room(&mut self.values, width, most * width);
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
        // Once agents have gone no more than a quarter of an array lies idle.
        if self.labels.capacity() / 4 * 3 > self.labels.len() {
            self.labels.shrink_to(self.labels.len() + self.labels.len() / GROWTH);
        }
        if self.values.capacity() / 4 * 3 > self.values.len() {
            self.sessions.shrink_to_fit();
            self.label_lens.shrink_to_fit();
            self.values.shrink_to_fit();
        }
    }

    /// Bytes of memory.
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

/// Arrays grow by an eighth: what lies idle in them as agents come is an eighth at most, and not a half.
const GROWTH: usize = 8;

fn make_room<T>(array: &mut Vec<T>, more: usize, most: usize) {
    if array.capacity() - array.len() < more {
        let spare = (array.len() / GROWTH).min(most - array.len());
        array.reserve_exact(spare.max(more));
    }
}

/// A session's right to write to its row. Worthless, not harmful, once the row is another's.
#[derive(Debug)]
pub struct Seat {
    page: Arc<Page>,
    row: u32,
}

impl Seat {
    /// Writes a session's checked values into the row; `false` if the row is no longer that session's.
    #[must_use]
    pub fn store(&self, session: u64, values: &Values<'_>) -> bool {
        let width = self.schema().schema().width;
        let row = self.row();
        let mut rows = self.page.rows.lock();
        if rows.sessions.get(row) != Some(&session) {
            return false;
        }
        values.apply(&mut rows.values[row * width..][..width]);
        true
    }

    /// The labels in the row; `None` if it is no longer that session's.
    pub(super) fn labels(&self, session: u64) -> Option<Box<str>> {
        let rows = self.page.rows.lock();
        let labels = (rows.sessions.get(self.row()) == Some(&session))
            .then(|| rows.labels_of(self.row()))?;
        labels.strip_suffix(CLOSE).map(Box::from)
    }

    /// The schema of its values.
    #[must_use]
    pub fn schema(&self) -> &Arc<SchemaEntry> {
        &self.page.schema
    }

    /// Copies the row into `group`, unless it is vacant.
    pub(super) fn copy_into(&self, group: &mut Group) {
        let width = self.schema().schema().width;
        let rows = self.page.rows.lock();
        if !rows.is_vacant(self.row()) {
            group.push(rows.labels_of(self.row()), &rows.values[self.row() * width..][..width]);
        }
    }

    fn row(&self) -> usize {
        self.row as usize
    }
}

/// The rows of a page, which stays locked while it is looked at.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    labels: &'a str,
    label_lens: &'a [u32],
    values: &'a [f64],
    width: usize,
}

impl<'a> View<'a> {
    /// Every agent's labels, with what closes them.
    pub fn labels(self) -> impl Iterator<Item = &'a str> {
        let mut rest = self.labels;
        self.label_lens.iter().filter(|len| **len > 0).map(move |len| {
            let (own, after) = rest.split_at(*len as usize);
            rest = after;
            own
        })
    }

    /// Every agent's values, in the same order.
    pub fn values(self) -> impl Iterator<Item = &'a [f64]> {
        let rows = self.label_lens.iter().enumerate().filter(|(_, len)| **len > 0);
        rows.map(move |(row, _)| &self.values[row * self.width..][..self.width])
    }
}

/// The rows of one schema within a shard.
#[derive(Debug)]
pub(super) struct Slab {
    schema: Pinned,
    rows_per_page: usize,
    /// The last is never `None`.
    pages: Vec<Option<Arc<Page>>>,
    /// Places of pages that take another agent.
    open: BTreeSet<usize>,
    agents: usize,
    label_bytes: usize,
    /// Of memory, in all.
    bytes: usize,
}

/// What a slab takes beside its pages, and a page beside its rows, in bytes.
const SLAB_BYTES: usize = size_of::<Slab>() + 128;
const PAGE_RECORD_BYTES: usize = size_of::<Page>() + 32;

impl Slab {
    pub(super) fn new(schema: &Arc<SchemaEntry>) -> Self {
        let row_bytes = size_of::<f64>() * schema.schema().width.max(1);
        Self {
            schema: Pinned::new(schema),
            rows_per_page: (PAGE_BYTES / row_bytes).max(1),
            pages: Vec::new(),
            open: BTreeSet::new(),
            agents: 0,
            label_bytes: 0,
            bytes: SLAB_BYTES,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.agents == 0
    }

    /// Gives a session a row with these labels and checked values.
    pub(super) fn insert(&mut self, session: u64, labels: &str, values: &Values<'_>) -> Seat {
        let number = self.open.first().copied().unwrap_or(self.pages.len());
        if number == self.pages.len() {
            self.pages.push(None);
            self.open.insert(number);
        }
        let schema = self.schema.entry();
        let page = self.pages[number].get_or_insert_with(|| {
            self.bytes += PAGE_RECORD_BYTES;
            Arc::new(Page { schema: Arc::clone(schema), number, rows: Mutex::default() })
        });
        let mut rows = page.rows.lock();
        self.bytes -= rows.bytes();
        let row = rows.insert(session, labels, schema.schema().width, self.rows_per_page);
        self.bytes += rows.bytes();
        self.agents += 1;
        self.label_bytes += rows.label_lens[row] as usize;
        let full = rows.label_lens.len() == self.rows_per_page && !rows.label_lens.contains(&0);
        if full || rows.labels.len() >= PAGE_LABEL_BYTES {
            self.open.remove(&number);
        }
        drop(rows);
        let row = u32::try_from(row).unwrap_or(0); // A page has few rows.
        let seat = Seat { page: Arc::clone(page), row };
        let stored = seat.store(session, values);
        debug_assert!(stored, "the row was just given to this session");
        seat
    }

    /// Takes a row of this slab back.
    pub(super) fn remove(&mut self, seat: &Seat) {
        let number = seat.page.number;
        let mut rows = seat.page.rows.lock();
        self.agents -= 1;
        self.label_bytes -= rows.label_lens[seat.row()] as usize;
        self.bytes -= rows.bytes();
        rows.remove(seat.row(), self.schema.entry().schema().width);
        if rows.labels.len() < PAGE_LABEL_BYTES {
            self.open.insert(number);
        }
        if rows.label_lens.is_empty() {
            *rows = Rows::default();
            self.bytes -= PAGE_RECORD_BYTES;
            self.pages[number] = None;
        }
        self.bytes += rows.bytes();
        drop(rows);
        while self.pages.pop_if(|last| last.is_none()).is_some() {
            self.open.remove(&self.pages.len());
        }
    }

    /// Bytes of memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of memory that a row takes: at least, for rows lie in arrays that grow by more than one.
    pub(super) fn row_bytes(labels: &str, width: usize) -> usize {
        size_of::<u64>() + width * size_of::<f64>() + size_of::<u32>() + labels.len() + CLOSE.len()
    }

    /// How many agents it has and how many bytes of labels.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.agents, self.label_bytes)
    }

    /// Copies every agent's row into `group`.
    pub(super) fn copy_into(&self, group: &mut Group) {
        for page in self.pages.iter().flatten() {
            let rows = page.rows.lock();
            group.push_all(&rows.labels, &rows.label_lens, &rows.values);
        }
    }

    /// Copies the rows of the agents of this part into `group`.
    pub(super) fn copy_part_into(&self, part: PageShard, group: &mut Group) {
        self.each_page(|page| {
            for (labels, values) in page.labels().zip(page.values()) {
                if part.has(agent_of(labels)) {
                    group.push(labels, values);
                }
            }
        });
    }

    /// Shows the rows, a page at a time.
    pub(super) fn each_page(&self, mut see: impl FnMut(View<'_>)) {
        let width = self.schema().schema().width;
        for page in self.pages.iter().flatten() {
            let rows = page.rows.lock();
            let Rows { labels, label_lens, values, .. } = &*rows;
            see(View { labels, label_lens, values, width });
        }
    }

    pub(super) fn schema(&self) -> &Arc<SchemaEntry> {
        self.schema.entry()
    }

    /// Rows, vacant ones included, and pages.
    #[cfg(test)]
    pub(super) fn footprint(&self) -> (usize, usize) {
        let pages = || self.pages.iter().flatten();
        (pages().map(|page| page.rows.lock().label_lens.len()).sum(), pages().count())
    }
}
