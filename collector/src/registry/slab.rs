//! Rows: the newest values of the agents of one schema, side by side in pages.
//!
//! A page's lock is held only to copy: one agent's values in, or at most [`PAGE_BYTES`] (or one agent's values,
//! if those are more) out. That copy is the longest that a report and a scrape wait for each other.

use std::collections::BTreeSet;
use std::sync::Arc;

use fleetgauge_proto::report::Values;
use parking_lot::Mutex;

use super::Resident;
use super::schemas::{Pinned, SchemaEntry};
use crate::exposition::Group;

/// Size aimed at for a page, in bytes: some seventy agents of six values, copied in a fraction of a microsecond.
const PAGE_BYTES: usize = 4096;

/// Values of several agents, each row marked with the session that may write to it.
#[derive(Debug)]
struct Page(Mutex<Rows>);

#[derive(Debug)]
struct Rows {
    width: usize,
    sessions: Box<[u64]>,
    values: Box<[f64]>,
}

/// A session's right to write to its row. Worthless, not harmful, once the row is another's.
#[derive(Debug)]
pub struct Seat {
    page: Arc<Page>,
    index: u32,
}

impl Seat {
    /// Writes a session's checked values into the row; `false` if the row is no longer that session's.
    #[must_use]
    pub fn store(&self, session: u64, values: &Values<'_>) -> bool {
        let mut rows = self.page.0.lock();
        let (index, width) = (self.index as usize, rows.width);
        if rows.sessions[index] != session {
            return false;
        }
        values.apply(&mut rows.values[index * width..][..width]);
        true
    }
}

/// The rows of one schema within a shard.
#[derive(Debug)]
pub(super) struct Slab {
    schema: Pinned,
    rows_per_page: usize,
    pages: Vec<Arc<Page>>,
    /// Who lives in each row; the last is never vacant.
    residents: Vec<Option<Resident>>,
    vacant: BTreeSet<usize>,
}

impl Slab {
    pub(super) fn new(schema: &Arc<SchemaEntry>) -> Self {
        let row_bytes = size_of::<u64>() * (schema.schema().width + 1);
        Self {
            schema: Pinned::new(schema),
            rows_per_page: (PAGE_BYTES / row_bytes).max(1),
            pages: Vec::new(),
            residents: Vec::new(),
            vacant: BTreeSet::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.residents.is_empty()
    }

    /// Gives the resident a row with these checked values: the row's number and the right to write to it.
    pub(super) fn insert(
        &mut self,
        resident: Resident,
        session: u64,
        values: &Values<'_>,
    ) -> (usize, Seat) {
        let row = self.vacant.pop_first().unwrap_or(self.residents.len());
        if row == self.residents.len() {
            self.residents.push(Some(resident));
        } else {
            self.residents[row] = Some(resident);
        }
        let width = self.schema().schema().width;
        let (page, index) = (row / self.rows_per_page, row % self.rows_per_page);
        if page == self.pages.len() {
            self.pages.push(Arc::new(Page(Mutex::new(Rows {
                width,
                sessions: vec![0; self.rows_per_page].into(),
                values: vec![0.0; self.rows_per_page * width].into(),
            }))));
        }
        self.pages[page].0.lock().sessions[index] = session;
        let index = u32::try_from(index).unwrap_or(0); // A page has few rows.
        let seat = Seat { page: Arc::clone(&self.pages[page]), index };
        let stored = seat.store(session, values);
        debug_assert!(stored, "the row was just given to this session");
        (row, seat)
    }

    pub(super) fn remove(&mut self, row: usize) {
        self.residents[row] = None;
        self.vacant.insert(row);
        self.pages[row / self.rows_per_page].0.lock().sessions[row % self.rows_per_page] = 0;
        while self.residents.last().is_some_and(Option::is_none) {
            self.residents.pop();
            self.vacant.remove(&self.residents.len());
        }
        self.pages.truncate(self.residents.len().div_ceil(self.rows_per_page));
    }

    /// Copies the rows of all residents that are wanted into `group`.
    pub(super) fn copy_into(&self, group: &mut Group, wanted: impl Fn(&Resident) -> bool) {
        let width = self.schema().schema().width;
        for (page, residents) in self.pages.iter().zip(self.residents.chunks(self.rows_per_page)) {
            let start = group.values.len();
            group.values.extend_from_slice(&page.0.lock().values[..residents.len() * width]);
            let mut kept = start;
            for (index, resident) in residents.iter().enumerate() {
                let Some(resident) = resident.as_ref().filter(|one| wanted(one)) else { continue };
                group.push_labels(&resident.labels);
                let row = start + index * width;
                group.values.copy_within(row..row + width, kept);
                kept += width;
            }
            group.values.truncate(kept);
        }
    }

    /// Copies one row into `group`.
    pub(super) fn copy_row_into(&self, row: usize, group: &mut Group) {
        let Some(Some(resident)) = self.residents.get(row) else { return };
        let width = self.schema().schema().width;
        let (page, index) = (row / self.rows_per_page, row % self.rows_per_page);
        group.push_labels(&resident.labels);
        group.values.extend_from_slice(&self.pages[page].0.lock().values[index * width..][..width]);
    }

    /// Who lives there.
    pub(super) fn residents(&self) -> impl Iterator<Item = &Resident> {
        self.residents.iter().flatten()
    }

    pub(super) fn schema(&self) -> &Arc<SchemaEntry> {
        self.schema.entry()
    }

    /// Rows, vacant ones included, and pages.
    #[cfg(test)]
    pub(super) fn footprint(&self) -> (usize, usize) {
        (self.residents.len(), self.pages.len())
    }
}
