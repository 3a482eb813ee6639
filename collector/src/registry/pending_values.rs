//! Values under construction: an agent's layout and values between Catalog or Rows frames and the
//! next Report, which makes them visible.

use std::collections::HashSet;

use fleetgauge_proto::catalog::{Family, Table};
use fleetgauge_proto::message::RowChange;
use fleetgauge_proto::report::{ABSENT, Values};
use fleetgauge_proto::rows::{RowEdit, TableRows};
use fleetgauge_proto::{Code, Limits, Violation};

use super::catalogs::Pinned;
use super::layout::{LabelledTable, Layout, Section};
use super::row_store::RowStore;

/// A layout and values that no page shows yet.
#[derive(Debug)]
pub struct PendingValues {
    pub(super) layout: Layout,
    /// The values of the layout.
    pub(super) values: Vec<f64>,
}

/// Why rows cannot be changed.
#[derive(Debug, thiserror::Error)]
pub enum RowsRefused {
    /// The frame is invalid.
    #[error(transparent)]
    Violation(#[from] Violation),
    /// The collector has no memory for the rows.
    #[error("{0}")]
    Full(Code),
}

impl PendingValues {
    /// Continues from the values of an agent.
    pub(super) fn from_current(layout: &Layout, values: &[f64]) -> Self {
        Self { layout: layout.clone(), values: values.to_vec() }
    }

    /// Creates values without catalogs.
    #[must_use]
    pub fn empty() -> Self {
        Self { layout: Layout::default(), values: Vec::new() }
    }

    /// Returns the layout.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
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
        self.values.splice(place, std::iter::repeat_n(ABSENT, cells));
        Ok(())
    }

    /// Adds and removes rows of a table. The values of new rows are absent.
    ///
    /// # Errors
    /// [`RowsRefused`]; the layout is then unchanged.
    pub(super) fn change_rows(
        &mut self,
        change: &RowChange<'_>,
        limits: &Limits,
        store: &RowStore,
    ) -> Result<(), RowsRefused> {
        let unknown = Violation::UnknownTable { slot: change.slot, table: change.table };
        let placed = self.layout.labelled_table(change.slot, change.table).ok_or(unknown)?;
        let LabelledTable { table, rows: before, start } = placed;
        let (rows, edits) = before.edit(table.row_labels.len(), change)?;
        self.check_size(table, before, &rows, limits)?;
        let (width, end) = (table.width, start + before.len() * table.width);
        let rows = store.intern(rows).map_err(RowsRefused::Full)?;
        let moved = moved(&self.values[start..end], width, &edits);
        self.values.splice(start..end, moved);
        self.layout.set_rows(change.slot, change.table, rows);
        Ok(())
    }

    fn check_size(
        &self,
        table: &Table,
        before: &TableRows,
        after: &TableRows,
        limits: &Limits,
    ) -> Result<(), Violation> {
        let (width, columns) = (table.width, table.columns.len());
        let cells = self.values.len() - before.len() * width + after.len() * width;
        if cells > limits.max_values as usize {
            return Err(Violation::TooManyValues { count: cells as u64, max: limits.max_values });
        }
        let series = self.layout.series() - before.len() * columns + after.len() * columns;
        if series > limits.max_series as usize {
            return Err(Violation::TooManySeries { count: series, max: limits.max_series });
        }
        let bytes = self.layout.row_bytes() - before.bytes() + after.bytes();
        if bytes > limits.max_label_bytes as usize {
            return Err(Violation::LabelsTooLong { bytes, max: limits.max_label_bytes });
        }
        Ok(())
    }

    /// Checks that the catalogs fit together: their size, and that no two have a family name.
    ///
    /// # Errors
    /// The first [`Violation`] found.
    pub fn check_catalogs(&self, limits: &Limits) -> Result<(), Violation> {
        let cells = self.values.len();
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

    /// Returns the maximum size of the agent's lines on a page, if its labels have this many bytes.
    #[must_use]
    pub fn page_bytes(&self, labels: usize) -> usize {
        self.layout.page_bytes(labels)
    }

    /// Writes the values of a report.
    ///
    /// # Errors
    /// The first [`Violation`] found; some values are then already written.
    pub fn apply(&mut self, values: &Values<'_>) -> Result<(), Violation> {
        values.decode(&mut self.values, self.layout.shape())
    }
}

/// Returns the values of a table after its rows have changed.
fn moved(before: &[f64], width: usize, edits: &[RowEdit]) -> Vec<f64> {
    let mut values = Vec::with_capacity(before.len());
    for edit in edits {
        match edit {
            RowEdit::Keep(rows) => {
                values.extend_from_slice(&before[rows.start * width..rows.end * width]);
            }
            RowEdit::Add(rows) => values.extend(std::iter::repeat_n(ABSENT, rows * width)),
        }
    }
    values
}
