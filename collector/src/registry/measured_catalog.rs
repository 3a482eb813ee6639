//! A catalog with its numbers and sizes, which take time in proportion to its tables to compute.

use fleetgauge_proto::Catalog;
use fleetgauge_proto::catalog::{Column, Family, FamilyKind, Table};

use super::catalogs::{CatalogEntry, RECORD_BYTES};
use super::families::{DECLARED_BYTES, NAME_BYTES};
use super::sample_names::HASHED_NAME_BYTES;
use crate::exposition::{CatalogSize, FamilyHead, Renames, prefixes};

/// A catalog with its size, before its plan is built.
#[derive(Debug)]
pub struct MeasuredCatalog {
    catalog: Catalog,
    size: CatalogSize,
    /// Bytes of memory, its plan included.
    memory: usize,
    /// Maximum number of [`prefixes`] of its label names.
    most_prefixes: usize,
    /// Whether every value is one sample.
    is_plain: bool,
    /// Number of columns of all tables.
    pub(super) columns: usize,
    /// Number of tables with row labels.
    pub(super) labelled_tables: usize,
    /// Number of values while no table with row labels has rows.
    pub(super) cells_without_rows: usize,
}

impl MeasuredCatalog {
    /// Returns the catalog.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Whether every value is one sample: there are no histograms, no summaries and no families of
    /// unknown kinds.
    pub(crate) fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// Returns the bytes of memory of the catalog: with its plan, its family names and their
    /// metadata.
    pub(super) fn memory(&self) -> usize {
        self.memory
    }

    /// Returns the maximum size of an agent's lines. `labels` are those of the agent, as written on
    /// each line; `rows` are the number of rows of each table and the bytes of their labels.
    #[must_use]
    pub fn page_bytes(&self, labels: &str, rows: impl Iterator<Item = (usize, usize)>) -> usize {
        let growth = self.renames(labels).growth();
        self.size.page_bytes(labels.len() + growth, rows)
    }

    /// Returns the new names of the static labels in `labels` that collide with labels of the
    /// catalog.
    pub(crate) fn renames(&self, labels: &str) -> Renames {
        Renames::of(labels, &self.catalog, self.most_prefixes)
    }

    /// Like [`Self::page_bytes`], before tables with row labels have rows.
    #[must_use]
    pub fn page_bytes_without_rows(&self, labels: &str) -> usize {
        let rows = |table: &Table| (usize::from(table.row_labels.is_empty()), 0);
        self.page_bytes(labels, self.catalog.tables.iter().map(rows))
    }
}

impl From<Catalog> for MeasuredCatalog {
    fn from(catalog: Catalog) -> Self {
        let size = CatalogSize::of(&catalog);
        let memory = memory(&catalog, &size);
        let tables = &catalog.tables;
        let fixed = tables.iter().filter(|table| table.row_labels.is_empty());
        let columns = tables.iter().map(|table| table.columns.len()).sum();
        let labelled_tables = tables.len() - fixed.clone().count();
        let cells_without_rows = fixed.map(|table| table.width).sum();
        let most_prefixes =
            catalog.label_names.iter().map(|name| prefixes(name)).max().unwrap_or(0);
        let is_plain = catalog.families.iter().all(|family| family.kind.is_some())
            && tables.iter().all(|table| table.width == table.columns.len());
        Self {
            catalog,
            size,
            memory,
            most_prefixes,
            is_plain,
            columns,
            labelled_tables,
            cells_without_rows,
        }
    }
}

fn memory(catalog: &Catalog, size: &CatalogSize) -> usize {
    let label = |(name, value): (&str, &str)| 2 * size_of::<Box<str>>() + name.len() + value.len();
    let column = |column: &Column| {
        size_of::<Column>()
            + size_of_val(&*column.parameters)
            + column.width
            + column.labels.iter().map(label).sum::<usize>()
    };
    let names = |names: &[Box<str>]| {
        names.iter().map(|name| size_of::<Box<str>>() + name.len()).sum::<usize>()
    };
    let table = |table: &Table| {
        size_of::<Table>()
            + names(&table.row_labels)
            + table.columns.iter().map(column).sum::<usize>()
    };
    let head =
        |family: &Family, kind: FamilyKind| DECLARED_BYTES + FamilyHead::memory(family, kind);
    let family = |family: &Family| {
        let texts = family.name.len() + family.unit.len() + family.help.len();
        let name = |name: String| name.len() + family.name.len() + NAME_BYTES + HASHED_NAME_BYTES;
        let head = family.kind.map_or(0, |kind| head(family, kind));
        size_of::<Family>() + texts + head + family.sample_names().map(name).sum::<usize>()
    };
    size_of::<CatalogEntry>()
        + RECORD_BYTES
        + catalog.families.iter().map(family).sum::<usize>()
        + catalog.tables.iter().map(table).sum::<usize>()
        + names(&catalog.label_names)
        + size.memory
        + size.heap_bytes()
}
