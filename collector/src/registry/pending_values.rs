//! Values under construction: an agent's layout and values between Catalog or Rows frames and the
//! next Report, which makes them visible.

use std::sync::Arc;

use fleetgauge_proto::message::RowChange;
use fleetgauge_proto::report::{ABSENT, Values};
use fleetgauge_proto::rows::{RowEdit, TableRows};
use fleetgauge_proto::{Code, Limits, Violation};

use super::catalogs::CatalogPin;
use super::layout::{LabelledTable, Layout, Section};
use super::sample_names::common_name;
use super::{RegisteredAgent, Registry};
use crate::limits::memory_budget::{MemoryBudget, Reservation};

/// A layout and values that no page shows yet.
#[derive(Debug)]
pub struct PendingValues {
    layout: Layout,
    /// The values of the layout; empty while all are absent, so that a catalog or rows without a
    /// report take no memory for values.
    values: Vec<f64>,
    /// One bit for each slot whose catalog was set after the last check.
    unchecked: u16,
    /// Memory of layout and values, taken from the limit until they are visible.
    charge: Option<Reservation>,
}

/// Why a change to pending values failed. Drop the values then: they may be partly changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The frame is invalid.
    #[error(transparent)]
    Violation(#[from] Violation),
    /// The collector has no memory for them.
    #[error("{0}")]
    Full(Code),
}

impl PendingValues {
    /// Creates values without catalogs.
    #[must_use]
    pub fn empty() -> Self {
        Self { layout: Layout::default(), values: Vec::new(), unchecked: 0, charge: None }
    }

    /// Returns the layout.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Returns the values; none while all are absent.
    pub(crate) fn values(&self) -> &[f64] {
        &self.values
    }

    /// Returns the layout, the values, and the reservation of memory for both.
    pub(super) fn into_parts(
        self,
        budget: &Arc<MemoryBudget>,
    ) -> (Layout, Box<[f64]>, Reservation) {
        let charge = self.charge.unwrap_or_else(|| Reservation::empty(budget));
        (self.layout, self.values.into(), charge)
    }

    /// Counts the rows that `changes` add and remove. `changes` must ascend by slot and table. Each
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

    /// Checks the numbers of values, columns and series, and that no two catalogs reserve the same
    /// sample name. Takes time in proportion to the names of the catalogs that were set after the
    /// last check.
    ///
    /// # Errors
    /// The first [`Violation`] found.
    pub fn check_catalogs(&mut self, limits: &Limits) -> Result<(), Violation> {
        let cells = self.layout.cells();
        if cells > limits.max_values as usize {
            return Err(Violation::TooManyValues { count: cells as u64, max: limits.max_values });
        }
        // Everything below takes time in proportion to the tables, whose number this check bounds.
        let count = self.layout.columns();
        if count > limits.max_series as usize {
            return Err(Violation::TooManyColumns { count, max: limits.max_series });
        }
        let count = self.layout.series();
        if count > limits.max_series as usize {
            return Err(Violation::TooManySeries { count, max: limits.max_series });
        }
        let (mut new, mut old) = (Vec::new(), Vec::new());
        for (slot, catalog) in self.layout.slots() {
            let is_new = self.unchecked >> slot & 1 == 1;
            (if is_new { &mut new } else { &mut old }).push(catalog.named_families());
        }
        if let Some(name) = common_name(&new, &old) {
            return Err(Violation::DuplicateFamily(name.into()));
        }
        self.unchecked = 0;
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
    /// Appends the table's values after the change. Returns the index after its previous values.
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

/// Computes the new rows of the tables that changes name. Does not change the layout.
fn edit<'a>(
    layout: &'a Layout,
    changes: &[RowChange<'_>],
) -> Result<Vec<EditedTable<'a>>, Violation> {
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
    changes.iter().map(edit).collect()
}

/// Checks the size of the layout after the edits. Returns its number of values.
fn check_size(
    layout: &Layout,
    edited: &[EditedTable<'_>],
    limits: &Limits,
) -> Result<usize, Violation> {
    // Add before subtracting: no intermediate result is negative then.
    let total = |now: usize, of_row: &dyn Fn(&LabelledTable<'_>) -> usize| {
        let after = edited.iter().map(|edited| edited.rows.len() * of_row(&edited.before));
        let before = edited.iter().map(|edited| edited.before.rows.len() * of_row(&edited.before));
        now + after.sum::<usize>() - before.sum::<usize>()
    };
    let cells = total(layout.cells(), &|before| before.table.width);
    if cells > limits.max_values as usize {
        return Err(Violation::TooManyValues { count: cells as u64, max: limits.max_values });
    }
    let count = total(layout.series(), &|before| before.table.columns.len());
    if count > limits.max_series as usize {
        return Err(Violation::TooManySeries { count, max: limits.max_series });
    }
    let after = edited.iter().map(|edited| edited.rows.label_bytes()).sum::<usize>();
    let before = edited.iter().map(|edited| edited.before.rows.label_bytes()).sum::<usize>();
    let bytes = layout.row_label_bytes() + after - before;
    if bytes > limits.max_label_bytes as usize {
        return Err(Violation::LabelsTooLong { bytes, max: limits.max_label_bytes });
    }
    Ok(cells)
}

/// Returns all values after a change of rows. Those of new rows are absent.
fn moved_values(before: &[f64], edited: &[EditedTable<'_>], cells: usize) -> Vec<f64> {
    let mut values = Vec::with_capacity(cells);
    let mut copied = 0;
    for edited in edited {
        values.extend_from_slice(&before[copied..edited.before.start]);
        copied = edited.move_values(before, &mut values);
    }
    values.extend_from_slice(&before[copied..]);
    values
}

impl Registry {
    /// Copies the layout and values of an agent, to change them; `None` if another connection has
    /// taken over the id.
    ///
    /// # Errors
    /// [`Code::CollectorFull`] if the memory limit is reached.
    pub fn pending_values_of(
        &self,
        agent: &RegisteredAgent,
    ) -> Result<Option<PendingValues>, Code> {
        let read = |_: &str, layout: &Arc<Layout>, values: &[f64]| (layout.bytes(), values.len());
        let Some((layout, values)) = agent.series.lock().read(read) else { return Ok(None) };
        let mut pending = PendingValues::empty();
        self.charge(&mut pending.charge, layout, values)?;
        // Only the session of the agent changes its layout.
        let series = agent.series.lock();
        Ok(series.read(|_, layout, values| PendingValues {
            layout: Layout::clone(layout),
            values: values.to_vec(),
            ..pending
        }))
    }

    /// Sets the catalog of a slot of pending values. Its tables with row labels have no rows then,
    /// and all its values are absent.
    ///
    /// # Errors
    /// [`Code::CollectorFull`] if the memory limit is reached.
    pub fn set_catalog(
        &self,
        pending: &mut PendingValues,
        slot: usize,
        catalog: CatalogPin,
    ) -> Result<(), Code> {
        let PendingValues { layout, values, unchecked, charge } = pending;
        let section = Section::new(catalog);
        let place = layout.place(slot);
        let (before, after) =
            if values.is_empty() { (0, 0) } else { (place.len(), section.cells()) };
        self.charge(charge, layout.bytes_with_catalog(slot), values.len() + after - before)?;
        layout.set(slot, section);
        if !values.is_empty() {
            values.splice(place, std::iter::repeat_n(ABSENT, after));
        }
        *unchecked |= 1 << slot;
        Ok(())
    }

    /// Adds and removes rows of pending values. The values of new rows are absent. The changes
    /// ascend by slot and table. Takes time in proportion to all tables, values and changes
    /// together.
    ///
    /// # Errors
    /// [`ChangeError`]
    pub fn change_rows(
        &self,
        pending: &mut PendingValues,
        changes: &[RowChange<'_>],
        limits: &Limits,
    ) -> Result<(), ChangeError> {
        let PendingValues { layout, values, charge, .. } = pending;
        let edited = edit(layout, changes)?;
        let cells = check_size(layout, &edited, limits)?;
        let is_absent = values.is_empty();
        let cells = if is_absent { 0 } else { cells };
        let has_rows = |edited: &EditedTable<'_>| !edited.rows.is_empty();
        let slots =
            edited.iter().filter(|edited| has_rows(edited)).map(|edited| edited.before.slot);
        let slots = slots.fold(0_u16, |slots, slot| slots | 1 << slot);
        let bytes = layout.bytes_with_rows(|slot| slots >> slot & 1 == 1);
        self.charge(charge, bytes, cells).map_err(ChangeError::Full)?;
        let moved = if is_absent { Vec::new() } else { moved_values(values, &edited, cells) };
        let stored = edited.into_iter().map(|edited| {
            let LabelledTable { slot, rows_index, .. } = edited.before;
            let rows = self.rows.intern(edited.rows, |bytes| self.take(bytes))?;
            Ok((slot, rows_index, rows))
        });
        let stored = stored.collect::<Result<_, _>>().map_err(ChangeError::Full)?;
        layout.set_rows(stored);
        *values = moved;
        self.charge(charge, layout.bytes(), values.len()).map_err(ChangeError::Full)
    }

    /// Writes the values of a report into pending values.
    ///
    /// # Errors
    /// [`ChangeError`]
    pub fn apply(
        &self,
        pending: &mut PendingValues,
        values: &Values<'_>,
    ) -> Result<(), ChangeError> {
        let (layout, cells) = (pending.layout.bytes(), pending.layout.cells());
        values.check_count(cells)?;
        self.charge(&mut pending.charge, layout, cells).map_err(ChangeError::Full)?;
        Ok(pending.apply(values)?)
    }

    /// Resizes the reservation to the bytes of a layout and a number of values.
    fn charge(
        &self,
        charge: &mut Option<Reservation>,
        layout: usize,
        values: usize,
    ) -> Result<(), Code> {
        let charge = charge.get_or_insert_with(|| Reservation::empty(&self.budget));
        self.take_by(|| charge.resize(layout + values * size_of::<f64>()))
    }
}
