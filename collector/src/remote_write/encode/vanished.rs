//! Series that end when the layout of an agent changes.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hash, Hasher};

use fleetgauge_proto::catalog::Column;
use hashbrown::DefaultHashBuilder;

use super::presence::CellSet;
use crate::registry::{CatalogEntry, Layout, PlacedTable};

/// Returns the series that are in `before` under the `old` layout and not in `now` under the `new`
/// one, as a set of the old layout; `None` if there are none. `labels` are those of the agent.
///
/// Catalogs of both layouts are compared by the rows of their tables. Those that were replaced are
/// compared by the names and labels of their series.
#[must_use]
pub fn vanished(
    labels: &str,
    old: &Layout,
    before: &CellSet,
    new: &Layout,
    now: &CellSet,
) -> Option<CellSet> {
    let mut comparison = Comparison { before, now, vanished: CellSet::empty(old) };
    let mut of_new: HashMap<u64, (&CatalogEntry, Vec<PlacedTable<'_>>)> =
        new.tables().map(|(entry, tables)| (entry.key(), (&**entry, tables.collect()))).collect();
    let mut replaced = Vec::new();
    for (entry, tables) in old.tables() {
        match of_new.remove(&entry.key()) {
            Some((_, new_tables)) => {
                tables.zip(new_tables).for_each(|(old, new)| comparison.compare_table(old, new));
            }
            None => replaced.push((entry, tables)),
        }
    }
    if !replaced.is_empty() {
        // No two catalogs of a layout have a sample name in common, so a series of a replaced
        // catalog can only continue in a new catalog.
        let hasher = DefaultHashBuilder::default();
        let mut continued = HashSet::new();
        for (entry, tables) in of_new.values() {
            for placed in tables {
                let add = |_, key| {
                    continued.insert(key);
                };
                each_series(&hasher, entry, labels, placed, now, add);
            }
        }
        for (entry, tables) in replaced {
            for placed in tables {
                let add = |cell, key| {
                    comparison.vanished.insert_if(cell, !continued.contains(&key));
                };
                each_series(&hasher, entry, labels, &placed, before, add);
            }
        }
    }
    comparison.compare_cell(old.cells(), Some(new.cells()));
    Some(comparison.vanished).filter(|vanished| !vanished.is_empty())
}

struct Comparison<'a> {
    before: &'a CellSet,
    now: &'a CellSet,
    vanished: CellSet,
}

impl Comparison<'_> {
    fn compare_table(&mut self, old: PlacedTable<'_>, new: PlacedTable<'_>) {
        let rows = old.rows.zip(new.rows).map(|(old, new)| (old.rows(), new.rows()));
        let Some((old_rows, new_rows)) =
            rows.filter(|(old, new)| !std::ptr::eq(*old, *new) && old != new)
        else {
            return self.compare_cells(old.start, Some(new.start), old.cells());
        };
        let (labels, width) = (old.table.row_labels.len(), old.table.width);
        let old_values: Vec<_> = old_rows.iter(labels).flatten().collect();
        let new_values: Vec<_> = new_rows.iter(labels).flatten().collect();
        let mut new_rows = new_values.chunks(labels).zip((new.start..).step_by(width)).peekable();
        // Both are in ascending order.
        for (row, start) in old_values.chunks(labels).zip((old.start..).step_by(width)) {
            while new_rows.next_if(|(other, _)| (*other).cmp(row) == Ordering::Less).is_some() {}
            let same = new_rows.next_if(|(other, _)| *other == row);
            self.compare_cells(start, same.map(|(_, start)| start), width);
        }
    }

    /// Compares series from this index on with those from an index of the new layout on.
    fn compare_cells(&mut self, old: usize, new: Option<usize>, count: usize) {
        for offset in 0..count {
            self.compare_cell(old + offset, new.map(|new| new + offset));
        }
    }

    fn compare_cell(&mut self, old: usize, new: Option<usize>) {
        let continues = new.is_some_and(|new| self.now.contains(new));
        self.vanished.insert_if(old, self.before.contains(old) && !continues);
    }
}

/// Passes the index of each series of a table that is in `present`, with the hash of its name and
/// labels.
fn each_series(
    hasher: &DefaultHashBuilder,
    entry: &CatalogEntry,
    labels: &str,
    placed: &PlacedTable<'_>,
    present: &CellSet,
    mut visit: impl FnMut(usize, u64),
) {
    let names = &placed.table.row_labels;
    let renames = entry.measured().renames(labels).prefixes;
    let mut row = |start: usize, values: &[&str]| {
        for column in &placed.table.columns {
            let cell = start + column.offset;
            if present.contains(cell) {
                let rows = names.iter().map(|name| &**name).zip(values.iter().copied());
                visit(cell, series_hash(hasher, entry, column, rows, renames));
            }
        }
    };
    let Some(rows) = placed.rows else { return row(placed.start, &[]) };
    let starts = (placed.start..).step_by(placed.table.width.max(1));
    for (values, start) in rows.iter(names.len()).zip(starts) {
        row(start, &values.collect::<Vec<_>>());
    }
}

/// Returns the hash of a series. Row labels without a value are part of it, as they can rename a
/// static label.
fn series_hash<'a>(
    hasher: &DefaultHashBuilder,
    entry: &'a CatalogEntry,
    column: &'a Column,
    rows: impl Iterator<Item = (&'a str, &'a str)>,
    renames: usize,
) -> u64 {
    let mut labels: Vec<_> = column.labels.iter().chain(rows).collect();
    labels.sort_unstable();
    let family = entry.catalog().families.get(column.family);
    let mut hash = hasher.build_hasher();
    family.map(|family| (&family.name, family.kind)).hash(&mut hash);
    labels.hash(&mut hash);
    renames.hash(&mut hash);
    column.parameters.iter().for_each(|parameter| parameter.to_bits().hash(&mut hash));
    hash.finish()
}

#[cfg(test)]
#[path = "vanished_tests.rs"]
mod tests;
