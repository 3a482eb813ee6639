//! The layout of an agent's values: its catalogs and the rows of their tables.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Weak};

use fleetgauge_proto::catalog::Table;
use fleetgauge_proto::report::TableShape;
use parking_lot::Mutex;

use super::IDLE_SLOTS;
use super::catalogs::{CatalogEntry, CatalogPin};
use super::measured_catalog::MeasuredCatalog;
use super::row_store::SharedRows;
use crate::exposition::label_bytes;

/// Minimum number of shared layouts that are stored before those without agents are removed.
const MIN_SWEEP: usize = 64;

/// The layout of an agent's values. The values of its catalogs follow each other by slot, those of
/// a catalog by table, row and column.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    /// By slot.
    sections: Vec<Option<Section>>,
}

/// A catalog of an agent, with the rows of its tables.
#[derive(Debug, Clone)]
pub(super) struct Section {
    catalog: CatalogPin,
    /// Rows of the tables with row labels, in the order of these tables; empty while none of them
    /// has rows, so that a Hello that names a catalog of many tables takes no memory for them.
    rows: Box<[SharedRows]>,
    /// Number of values.
    cells: usize,
}

/// A table of a layout.
#[derive(Debug, Clone, Copy)]
pub struct PlacedTable<'a> {
    /// The table.
    pub table: &'a Table,
    /// Its rows; `None` for the single row of a table without row labels.
    pub rows: Option<&'a SharedRows>,
    /// Index of its first value.
    pub start: usize,
}

impl PlacedTable<'_> {
    /// Returns the number of rows.
    #[must_use]
    pub fn row_count(&self) -> usize {
        self.rows.map_or(1, |rows| rows.len())
    }

    /// Returns the number of values.
    #[must_use]
    pub fn cells(&self) -> usize {
        self.row_count() * self.table.width
    }

    /// Returns the bytes of the rendered labels of all rows.
    fn text_bytes(&self) -> usize {
        let Some(rows) = self.rows else { return 0 };
        let names = &self.table.row_labels;
        let of_row =
            |values| names.iter().zip(values).map(|(name, value)| label_bytes(name, value));
        rows.iter(names.len()).flat_map(of_row).sum()
    }
}

/// A table with row labels.
#[derive(Debug)]
pub(super) struct LabelledTable<'a> {
    /// Slot of its catalog.
    pub(super) slot: usize,
    /// Index in its catalog.
    pub(super) index: usize,
    /// Index among the tables of its catalog that have row labels.
    pub(super) rows_index: usize,
    pub(super) table: &'a Table,
    pub(super) rows: &'a SharedRows,
    /// Index of its first value.
    pub(super) start: usize,
}

impl Layout {
    /// Returns the catalogs.
    pub fn catalogs(&self) -> impl Iterator<Item = &Arc<CatalogEntry>> + Clone {
        self.sections.iter().flatten().map(|section| section.catalog.entry())
    }

    /// Returns the catalogs with their slots.
    pub(super) fn slots(&self) -> impl Iterator<Item = (usize, &CatalogEntry)> {
        let slots = self.sections.iter().enumerate();
        slots.filter_map(|(slot, section)| Some((slot, &**section.as_ref()?.catalog.entry())))
    }

    /// Whether no table has row labels. Agents with the same catalogs then share the layout.
    pub(crate) fn is_fixed(&self) -> bool {
        self.measured().all(|catalog| catalog.labelled_tables == 0)
    }

    /// Whether the other layout has the same catalogs in the same slots.
    pub(super) fn has_catalogs_of(&self, other: &Self) -> bool {
        let key = |section: &Option<Section>| Some(section.as_ref()?.catalog.entry().key());
        self.sections.iter().map(key).eq(other.sections.iter().map(key))
    }

    /// Returns the tables of each catalog.
    pub fn tables(
        &self,
    ) -> impl Iterator<Item = (&Arc<CatalogEntry>, impl Iterator<Item = PlacedTable<'_>>)> {
        let mut start = 0;
        self.sections.iter().flatten().map(move |section| {
            let begin = start;
            start += section.cells;
            (section.catalog.entry(), section.tables(begin))
        })
    }

    /// Returns the shape of each table, in the order of the values.
    pub fn shape(&self) -> impl Iterator<Item = TableShape<'_>> {
        let sections = self.sections.iter().flatten();
        sections
            .flat_map(|section| section.tables(0))
            .map(|placed| (placed.row_count(), &*placed.table.decimals))
    }

    /// Returns the maximum size of an agent's lines on a page. `labels` are those of the agent, as
    /// written on each line.
    #[must_use]
    pub fn page_bytes(&self, labels: &str) -> usize {
        let section = |section: &Section| {
            let rows = section.tables(0).map(|placed| (placed.row_count(), placed.text_bytes()));
            section.catalog.entry().measured().page_bytes(labels, rows)
        };
        self.sections.iter().flatten().map(section).sum()
    }

    /// Returns the bytes of memory, without the catalogs and rows that agents share.
    pub(crate) fn bytes(&self) -> usize {
        let rows = self.sections.iter().flatten().map(|section| section.rows.len()).sum();
        bytes(self.sections.len(), rows)
    }

    /// Returns the bytes of memory after the catalog of a slot is set.
    pub(super) fn bytes_with_catalog(&self, slot: usize) -> usize {
        let others = self.sections.iter().enumerate().filter(|(other, _)| *other != slot);
        let rows = others.filter_map(|(_, section)| Some(section.as_ref()?.rows.len())).sum();
        bytes(self.sections.len().max(slot + 1), rows)
    }

    /// Returns the bytes of memory after tables of these slots get rows.
    pub(super) fn bytes_with_rows(&self, slots: impl Fn(usize) -> bool) -> usize {
        let rows = |(slot, section): (usize, &Option<Section>)| {
            let section = section.as_ref()?;
            let all = section.catalog.entry().measured().labelled_tables;
            Some(if slots(slot) { all } else { section.rows.len() })
        };
        bytes(self.sections.len(), self.sections.iter().enumerate().filter_map(rows).sum())
    }

    /// Returns the bytes of memory of a layout that agents share, with its entry in
    /// [`LayoutStore`], which can be half empty after growth.
    pub(super) fn shared_bytes(&self) -> usize {
        self.bytes() + 2 * size_of::<Entry>() + self.sections.len() * size_of::<Option<u64>>()
    }

    fn measured(&self) -> impl Iterator<Item = &MeasuredCatalog> {
        self.catalogs().map(|catalog| catalog.measured())
    }

    /// Returns the number of columns of all tables.
    pub(super) fn columns(&self) -> usize {
        self.measured().map(|catalog| catalog.columns).sum()
    }

    /// Returns the number of values.
    #[must_use]
    pub fn cells(&self) -> usize {
        self.sections.iter().flatten().map(|section| section.cells).sum()
    }

    /// Returns the number of series.
    #[must_use]
    pub fn series(&self) -> usize {
        let tables = self.sections.iter().flatten().flat_map(|section| section.tables(0));
        tables.map(|placed| placed.row_count() * placed.table.columns.len()).sum()
    }

    /// Returns the number of rows of tables with row labels.
    #[must_use]
    pub fn rows(&self) -> usize {
        let sections = self.sections.iter().flatten();
        sections.flat_map(|section| &*section.rows).map(|rows| rows.len()).sum()
    }

    /// Returns the place of the values of a slot.
    pub(super) fn place(&self, slot: usize) -> Range<usize> {
        let cells = |section: &Option<Section>| section.as_ref().map_or(0, |own| own.cells);
        let start = self.sections.iter().take(slot).map(cells).sum::<usize>();
        start..start + self.sections.get(slot).map_or(0, cells)
    }

    pub(super) fn set(&mut self, slot: usize, section: Section) {
        if self.sections.len() <= slot {
            self.sections.resize_with(slot + 1, || None);
        }
        self.sections[slot] = Some(section);
    }

    /// Returns the tables with row labels, by slot and index.
    pub(super) fn labelled_tables(&self) -> impl Iterator<Item = LabelledTable<'_>> {
        let mut end = 0;
        self.sections.iter().enumerate().flat_map(move |(slot, section)| {
            let start = end;
            end += section.as_ref().map_or(0, |section| section.cells);
            let tables = section.iter().flat_map(move |section| section.tables(start).enumerate());
            let labelled = tables.filter_map(|(index, placed)| Some((index, placed, placed.rows?)));
            labelled.enumerate().map(move |(rows_index, (index, placed, rows))| {
                let PlacedTable { table, start, .. } = placed;
                LabelledTable { slot, index, rows_index, table, rows, start }
            })
        })
    }

    /// Replaces the rows of tables. `changed` has the slot, the index among the catalog's tables
    /// with row labels, and the new rows.
    pub(super) fn set_rows(&mut self, changed: Vec<(usize, usize, SharedRows)>) {
        for (slot, index, rows) in changed {
            if let Some(section) = self.sections.get_mut(slot).and_then(Option::as_mut) {
                section.set_rows(index, rows);
            }
        }
        self.sections.iter_mut().flatten().for_each(Section::count);
    }

    /// Returns the bytes of all rows' label values.
    pub(super) fn row_label_bytes(&self) -> usize {
        let sections = self.sections.iter().flatten();
        sections.flat_map(|section| &*section.rows).map(|rows| rows.label_bytes()).sum()
    }
}

/// Returns the bytes of memory of a layout with this many slots and sets of rows, one for each
/// table.
fn bytes(slots: usize, rows: usize) -> usize {
    2 * size_of::<usize>()
        + size_of::<Layout>()
        + slots * size_of::<Option<Section>>()
        + rows * size_of::<SharedRows>()
}

impl Section {
    /// Creates the section of a catalog whose tables with row labels have no rows. Takes constant
    /// time and memory.
    pub(super) fn new(catalog: CatalogPin) -> Self {
        let cells = catalog.entry().measured().cells_without_rows;
        Self { catalog, rows: Box::default(), cells }
    }

    fn tables(&self, start: usize) -> impl Iterator<Item = PlacedTable<'_>> {
        let mut rows = self.rows.iter();
        let mut start = start;
        self.catalog.entry().catalog().tables.iter().map(move |table| {
            let is_labelled = !table.row_labels.is_empty();
            let rows = is_labelled.then(|| rows.next().unwrap_or(SharedRows::NONE));
            let placed = PlacedTable { table, rows, start };
            start += placed.cells();
            placed
        })
    }

    pub(super) fn cells(&self) -> usize {
        self.cells
    }

    /// Replaces the rows of a table. [`Self::count`] must follow.
    fn set_rows(&mut self, index: usize, rows: SharedRows) {
        if self.rows.is_empty() {
            let tables = self.catalog.entry().measured().labelled_tables;
            self.rows = vec![SharedRows::default(); tables].into();
        }
        if let Some(own) = self.rows.get_mut(index) {
            *own = rows;
        }
    }

    /// Counts the values after rows have changed.
    fn count(&mut self) {
        if self.rows.iter().all(|rows| rows.is_empty()) {
            self.rows = Box::default();
        }
        self.cells = self.tables(0).map(|placed| placed.cells()).sum();
    }
}

/// Layouts without tables with row labels: all agents with the same catalogs share one.
#[derive(Debug, Default)]
pub(super) struct LayoutStore(Mutex<SharedLayouts>);

/// The keys of a layout's catalogs, and the layout.
type Entry = (Vec<Option<u64>>, Weak<Layout>);

#[derive(Debug, Default)]
struct SharedLayouts {
    /// Layouts by the keys of their catalogs.
    by_catalogs: HashMap<Vec<Option<u64>>, Weak<Layout>>,
    /// Number of layouts at which those without agents are removed: a multiple of those that
    /// remained the last time, so that each agent costs constant time on average.
    sweep_at: usize,
}

impl LayoutStore {
    /// Returns the shared layout if this one can be shared.
    pub(super) fn share(&self, layout: Layout) -> Arc<Layout> {
        if !layout.is_fixed() {
            return Arc::new(layout);
        }
        let key = |section: &Option<Section>| Some(section.as_ref()?.catalog.entry().key());
        let key = layout.sections.iter().map(key).collect();
        let mut layouts = self.0.lock();
        if let Some(known) = layouts.by_catalogs.get(&key).and_then(Weak::upgrade) {
            return known;
        }
        if layouts.by_catalogs.len() >= layouts.sweep_at {
            layouts.sweep();
        }
        let layout = Arc::new(layout);
        layouts.by_catalogs.insert(key, Arc::downgrade(&layout));
        layout
    }

    /// Frees idle capacity. There are at most as many layouts in use as `agents`.
    pub(super) fn shrink(&self, agents: usize) {
        let mut layouts = self.0.lock();
        if layouts.by_catalogs.capacity() > IDLE_SLOTS + 8 * agents {
            layouts.sweep();
            layouts.by_catalogs.shrink_to_fit();
        }
    }

    /// Returns the number of layouts, also of those without agents that were not removed yet.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.lock().by_catalogs.len()
    }
}

impl SharedLayouts {
    /// Removes the layouts without agents.
    fn sweep(&mut self) {
        self.by_catalogs.retain(|_, known| known.strong_count() > 0);
        self.sweep_at = 2 * self.by_catalogs.len() + MIN_SWEEP;
    }
}
