//! The tables of all sources, joined into a catalog.

use std::collections::HashMap;

use fleetgauge_proto::Violation;
use fleetgauge_proto::message::{self, Catalog, Family};

use super::{ColumnSpec, TableSpec};
use crate::catalogs::Catalogs;

/// The tables of all sources.
///
/// The catalog depends on nothing but the declarations, so that hosts with the same sources have
/// the same catalog.
#[derive(Debug, Clone)]
pub struct TableSet {
    catalog: Catalog<'static>,
    catalogs: Catalogs,
    /// Places of the tables of each source.
    pub(super) places: Vec<Vec<Place>>,
    /// Shape of each table of the catalog.
    pub(super) shapes: Vec<Shape>,
}

/// Where the rows of a source's table belong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// In the table without row labels, which is the first: the position of each value.
    Fixed(Vec<usize>),
    /// In a table of its own.
    Table(usize),
}

/// Shape of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// Number of row labels.
    pub(super) labels: usize,
    /// Number of values of a row.
    pub(super) width: usize,
    /// Number of series of a row.
    pub(super) columns: usize,
}

impl TableSet {
    /// Joins the tables of all sources, given by source. The catalog declares the families of
    /// `order` first, and then all others in the order of their columns.
    ///
    /// # Errors
    /// The catalog is illegal: the declarations contradict each other.
    pub fn try_new<'a>(
        order: impl IntoIterator<Item = Family<'static>>,
        sources: impl IntoIterator<Item = &'a [TableSpec]>,
    ) -> Result<Self, Violation> {
        let mut families = Families::default();
        for family in order {
            families.add(family)?;
        }
        let sources: Vec<_> = sources.into_iter().collect();
        let columns = sources.iter().flat_map(|tables| tables.iter());
        for column in columns.flat_map(|table| &table.columns) {
            families.add(column.family)?;
        }
        let mut set = Self {
            catalog: Catalog { stream: 0, slot: 0, families: Vec::new(), tables: Vec::new() },
            catalogs: Catalogs::try_new(Vec::new())?,
            places: Vec::new(),
            shapes: Vec::new(),
        };
        let mut fixed = FixedTable::new(&sources, &mut families);
        if !fixed.columns.is_empty() {
            set.push(&[], &fixed.columns, &mut families);
        }
        for tables in sources {
            let mut places = Vec::with_capacity(tables.len());
            for table in tables {
                places.push(if table.row_labels.is_empty() {
                    Place::Fixed(fixed.next_positions())
                } else {
                    set.push(table.row_labels, &table.columns, &mut families)
                });
            }
            set.places.push(places);
        }
        set.catalog.families = families.list;
        set.catalogs = Catalogs::try_new(vec![set.catalog.clone()])?;
        Ok(set)
    }

    /// Adds sources without declared tables after all others.
    #[must_use]
    pub(crate) fn with_found_sources(mut self, count: usize) -> Self {
        self.places.resize_with(self.places.len() + count, Vec::new);
        self
    }

    /// Returns the catalog, validated and encoded, as the only one.
    #[must_use]
    pub const fn catalogs(&self) -> &Catalogs {
        &self.catalogs
    }

    /// Returns the catalog.
    #[must_use]
    pub const fn catalog(&self) -> &Catalog<'static> {
        &self.catalog
    }

    /// Adds a table to the catalog. Returns its place.
    fn push(
        &mut self,
        row_labels: &[&'static str],
        columns: &[ColumnSpec],
        families: &mut Families,
    ) -> Place {
        let width = columns.iter().map(ColumnSpec::width).sum();
        let columns = columns.iter().map(|column| column.to_message(families.index(column.family)));
        let table = message::Table { row_labels: row_labels.to_vec(), columns: columns.collect() };
        let labels = row_labels.len();
        self.shapes.push(Shape { labels, width, columns: table.columns.len() });
        self.catalog.tables.push(table);
        Place::Table(self.shapes.len() - 1)
    }
}

/// Families without duplicates.
#[derive(Default)]
struct Families {
    list: Vec<Family<'static>>,
    indices: HashMap<&'static str, u32>,
}

impl Families {
    /// Adds a family. The same name cannot have two declarations: one of them would be ignored.
    fn add(&mut self, family: Family<'static>) -> Result<(), Violation> {
        let index = self.index(family) as usize;
        if self.list.get(index).is_some_and(|known| *known != family) {
            return Err(Violation::DuplicateFamily(family.name.into()));
        }
        Ok(())
    }

    /// Returns the index of the family with this name. Adds it if it is not there.
    fn index(&mut self, family: Family<'static>) -> u32 {
        *self.indices.entry(family.name).or_insert_with(|| {
            self.list.push(family);
            u32::try_from(self.list.len() - 1).unwrap_or(u32::MAX)
        })
    }
}

/// The table without row labels, from the tables of all sources.
struct FixedTable {
    /// Columns in the order of their families.
    columns: Vec<ColumnSpec>,
    /// Positions of the values of each source's table, in the order of the tables.
    positions: std::vec::IntoIter<Vec<usize>>,
}

impl FixedTable {
    fn new(sources: &[&[TableSpec]], families: &mut Families) -> Self {
        let tables = sources.iter().flat_map(|tables| tables.iter());
        let tables: Vec<_> = tables.filter(|table| table.row_labels.is_empty()).collect();
        let columns = tables.iter().enumerate();
        let mut columns: Vec<_> = columns
            .flat_map(|(table, spec)| spec.columns.iter().map(move |column| (table, *column)))
            .enumerate()
            .map(|(at, (table, column))| (families.index(column.family), at, table, column))
            .collect();
        columns.sort_by_key(|(family, at, ..)| (*family, *at));

        let mut ranges = vec![(0, 0..0); columns.len()];
        let mut end = 0;
        for (_, at, table, column) in &columns {
            ranges[*at] = (*table, end..end + column.width());
            end += column.width();
        }
        let mut positions = vec![Vec::new(); tables.len()];
        for (table, range) in ranges {
            positions[table].extend(range);
        }
        let columns = columns.into_iter().map(|(.., column)| column).collect();
        Self { columns, positions: positions.into_iter() }
    }

    /// Returns the positions of the next table's values.
    fn next_positions(&mut self) -> Vec<usize> {
        self.positions.next().unwrap_or_default()
    }
}
