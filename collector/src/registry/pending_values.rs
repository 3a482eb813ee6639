//! Values under construction: an agent's layout and values between Catalog or Rows frames and the
//! next Report, which makes them visible.

use std::collections::HashSet;
use std::sync::Arc;

use fleetgauge_proto::catalog::Family;
use fleetgauge_proto::message::RowChange;
use fleetgauge_proto::report::{ABSENT, Values};
use fleetgauge_proto::rows::{RowEdit, TableRows};
use fleetgauge_proto::{Code, Limits, Violation};

use super::catalogs::Pinned;
use super::layout::{LabelledTable, Layout, Section};
use super::row_store::RowStore;
use crate::limits::memory_budget::{MemoryBudget, Reservation};

/// A layout and values that no page shows yet.
#[derive(Debug)]
pub struct PendingValues {
    layout: Layout,
    /// The values of the layout; empty while all are absent, so that a catalog or rows without a
    /// report take no memory for values.
    values: Vec<f64>,
    /// Memory of both, taken from the limit until they are visible.
    charge: Option<Reservation>,
}

/// Why pending values are not changed.
#[derive(Debug, thiserror::Error)]
pub enum NotChanged {
    /// The frame is invalid.
    #[error(transparent)]
    Violation(#[from] Violation),
    /// The collector has no memory for them.
    #[error("{0}")]
    Full(Code),
}

impl PendingValues {
    /// Continues from the values of an agent.
    pub(super) fn from_current(layout: &Layout, values: &[f64]) -> Self {
        Self { layout: layout.clone(), values: values.to_vec(), charge: None }
    }

    /// Creates values without catalogs.
    #[must_use]
    pub fn empty() -> Self {
        Self { layout: Layout::default(), values: Vec::new(), charge: None }
    }

    /// Returns the layout.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Takes the memory of layout and values from the budget. Returns whether the limit allows it.
    #[must_use]
    pub(super) fn charge(&mut self, budget: &Arc<MemoryBudget>) -> bool {
        self.charge_for(self.values.len(), budget)
    }

    /// Like [`Self::charge`], before all values are stored.
    #[must_use]
    pub(super) fn charge_all(&mut self, budget: &Arc<MemoryBudget>) -> bool {
        self.charge_for(self.layout.cells(), budget)
    }

    fn charge_for(&mut self, values: usize, budget: &Arc<MemoryBudget>) -> bool {
        let bytes = values * size_of::<f64>() + self.layout.bytes();
        self.charge.get_or_insert_with(|| Reservation::empty(budget)).resize(bytes)
    }

    /// Gives the memory back to the budget, and returns layout and values.
    pub(super) fn into_parts(self) -> (Layout, Box<[f64]>) {
        (self.layout, self.values.into())
    }

    /// Sets the catalog of a slot. Its tables with row labels have no rows then, and all its values
    /// are absent.
    pub(super) fn set_catalog(
        &mut self,
        slot: usize,
        catalog: Pinned,
        rows: &RowStore,
    ) -> Result<(), Code> {
        let section = Section::new(catalog, rows)?;
        let cells = section.cells();
        let place = self.layout.place(slot);
        self.layout.set(slot, section);
        if !self.values.is_empty() {
            self.values.splice(place, std::iter::repeat_n(ABSENT, cells));
        }
        Ok(())
    }

    /// Returns the number of rows that changes add and remove; they ascend by slot and table. Each
    /// label value for an unknown table counts as a row.
    #[must_use]
    pub fn changed_rows(&self, changes: &[RowChange<'_>]) -> usize {
        let mut tables = self.layout.labelled_tables().peekable();
        let changed = |change: &RowChange<'_>| {
            let place = (usize::from(change.slot), change.table as usize);
            while tables.next_if(|table| (table.slot, table.index) < place).is_some() {}
            let table = tables.next_if(|table| (table.slot, table.index) == place);
            let labels = table.map_or(1, |table| table.table.row_labels.len());
            change.removed.len() + change.added.len().div_ceil(labels)
        };
        changes.iter().map(changed).sum()
    }

    /// Adds and removes rows. The values of new rows are absent. Takes time in proportion to all
    /// tables, values and changes together.
    ///
    /// # Errors
    /// [`NotChanged`]; layout and values are then unchanged.
    pub(super) fn change_rows(
        &mut self,
        changes: &[RowChange<'_>],
        limits: &Limits,
        store: &RowStore,
    ) -> Result<(), NotChanged> {
        let edited = edit(&self.layout, changes)?;
        let cells = self.check_size(&edited, limits)?;
        let values =
            if self.values.is_empty() { Vec::new() } else { self.moved_values(&edited, cells) };
        let stored = edited.into_iter().map(|edited| {
            let LabelledTable { slot, rows_index, .. } = edited.before;
            store.intern(edited.rows).map(|rows| (slot, rows_index, rows))
        });
        let stored = stored.collect::<Result<Vec<_>, _>>().map_err(NotChanged::Full)?;
        for (slot, rows_index, rows) in stored {
            self.layout.set_rows(slot, rows_index, rows);
        }
        self.values = values;
        Ok(())
    }

    /// Returns the values of the rows after a change.
    fn moved_values(&self, edited: &[EditedTable<'_>], cells: usize) -> Vec<f64> {
        let mut values = Vec::with_capacity(cells);
        let mut copied = 0;
        for edited in edited {
            values.extend_from_slice(&self.values[copied..edited.before.start]);
            copied = edited.move_values(&self.values, &mut values);
        }
        values.extend_from_slice(&self.values[copied..]);
        values
    }

    /// Checks the limits of all rows together. Returns the number of values.
    fn check_size(&self, edited: &[EditedTable<'_>], limits: &Limits) -> Result<usize, Violation> {
        // Adds before it subtracts, because the result cannot be negative.
        let total = |now: usize, of_row: &dyn Fn(&LabelledTable<'_>) -> usize| {
            let after = edited.iter().map(|edited| edited.rows.len() * of_row(&edited.before));
            let before =
                edited.iter().map(|edited| edited.before.rows.len() * of_row(&edited.before));
            now + after.sum::<usize>() - before.sum::<usize>()
        };
        let cells = total(self.layout.cells(), &|before| before.table.width);
        if cells > limits.max_values as usize {
            return Err(Violation::TooManyValues { count: cells as u64, max: limits.max_values });
        }
        let count = total(self.layout.series(), &|before| before.table.columns.len());
        if count > limits.max_series as usize {
            return Err(Violation::TooManySeries { count, max: limits.max_series });
        }
        let after = edited.iter().map(|edited| edited.rows.label_bytes()).sum::<usize>();
        let before = edited.iter().map(|edited| edited.before.rows.label_bytes()).sum::<usize>();
        let bytes = self.layout.row_label_bytes() + after - before;
        if bytes > limits.max_label_bytes as usize {
            return Err(Violation::LabelsTooLong { bytes, max: limits.max_label_bytes });
        }
        Ok(cells)
    }

    /// Checks that the catalogs fit together: their size, and that no two have a family name.
    ///
    /// # Errors
    /// The first [`Violation`] found.
    pub fn check_catalogs(&self, limits: &Limits) -> Result<(), Violation> {
        let cells = self.layout.cells();
        if cells > limits.max_values as usize {
            return Err(Violation::TooManyValues { count: cells as u64, max: limits.max_values });
        }
        let count = self.layout.series();
        if count > limits.max_series as usize {
            return Err(Violation::TooManySeries { count, max: limits.max_series });
        }
        if self.layout.catalogs().nth(1).is_none() {
            return Ok(());
        }
        let mut names = HashSet::new();
        let families = self.layout.catalogs().flat_map(|catalog| &catalog.catalog().families);
        for name in families.flat_map(Family::sample_names) {
            if let Some(taken) = names.replace(name) {
                return Err(Violation::DuplicateFamily(taken.into()));
            }
        }
        Ok(())
    }

    /// Returns the maximum size of the agent's lines on a page. `labels` are those of the agent, as
    /// written on each line.
    #[must_use]
    pub fn page_bytes(&self, labels: &str) -> usize {
        self.layout.page_bytes(labels)
    }

    /// Writes the values of a report.
    ///
    /// # Errors
    /// The first [`Violation`] found; some values are then already written.
    pub fn apply(&mut self, values: &Values<'_>) -> Result<(), Violation> {
        let cells = self.layout.cells();
        values.check_count(cells)?;
        self.values.resize(cells, ABSENT);
        values.decode(&mut self.values, self.layout.shape())
    }
}

/// A table whose rows change.
#[derive(Debug)]
struct EditedTable<'a> {
    before: LabelledTable<'a>,
    rows: TableRows,
    edits: Vec<RowEdit>,
}

impl EditedTable<'_> {
    /// Appends the values of the changed rows. Returns the end of the values before.
    fn move_values(&self, before: &[f64], values: &mut Vec<f64>) -> usize {
        let LabelledTable { table, rows, start, .. } = &self.before;
        let before = &before[*start..];
        for edit in &self.edits {
            match edit {
                RowEdit::Keep(rows) => {
                    let place = rows.start * table.width..rows.end * table.width;
                    values.extend_from_slice(&before[place]);
                }
                RowEdit::Add(rows) => {
                    values.extend(std::iter::repeat_n(ABSENT, rows * table.width));
                }
            }
        }
        start + rows.len() * table.width
    }
}

/// Applies changes to the rows of a layout. Returns the changed tables by slot and index.
fn edit<'a>(
    layout: &'a Layout,
    changes: &[RowChange<'_>],
) -> Result<Vec<EditedTable<'a>>, Violation> {
    let mut sorted: Vec<_> = changes.iter().collect();
    sorted.sort_by_key(|change| (change.slot, change.table));
    let is_same =
        |pair: &&[&RowChange<'_>]| (pair[0].slot, pair[0].table) == (pair[1].slot, pair[1].table);
    if let Some(pair) = sorted.windows(2).find(is_same) {
        return Err(Violation::BadRow { table: pair[0].table });
    }
    let mut tables = layout.labelled_tables().peekable();
    let edit = |change: &RowChange<'_>| {
        let place = (usize::from(change.slot), change.table as usize);
        while tables.next_if(|table| (table.slot, table.index) < place).is_some() {}
        let before = tables.next_if(|table| (table.slot, table.index) == place);
        let unknown = Violation::UnknownTable { slot: change.slot, table: change.table };
        let before = before.ok_or(unknown)?;
        let (rows, edits) = before.rows.edit(before.table.row_labels.len(), change)?;
        Ok(EditedTable { before, rows, edits })
    };
    sorted.into_iter().map(edit).collect()
}
