//! Recorded pages of node_exporter as a catalog, rows and values.
//!
//! `benches/traces/README.md` says how they were recorded.

pub(crate) mod decimals;
mod page;
mod recording;
mod tables;
mod text;

pub use page::{Page, Row};
pub use recording::BadLine;

use std::hash::{DefaultHasher, Hash, Hasher};

use fleetgauge_proto::catalog::FamilyKind;
use fleetgauge_proto::message::{self, Label, RowChange};
use fleetgauge_proto::report::{TableShape, is_absent};

use recording::{Family, Recording};
use tables::Table;

const FAMILIES: &str = include_str!("../../traces/families.txt");
/// Bits of the largest step of a counter between two pages if all counters move. A step is in units
/// of the last decimal place.
const MAX_STEP_BITS: u64 = 12;

/// Pages of one host, a fixed interval apart.
///
/// ```
/// use fleetgauge_benches::Trace;
/// use fleetgauge_proto::{Catalog, Limits};
///
/// let trace = Trace::idle();
/// let catalog = Catalog::try_new(&trace.catalog(), &Limits::default())?;
/// assert_eq!(trace.pages()[0].rows.len(), catalog.tables.len());
/// # Ok::<(), fleetgauge_proto::Violation>(())
/// ```
#[derive(Debug)]
pub struct Trace {
    families: Vec<Family>,
    tables: Vec<Table>,
    pages: Vec<Page>,
}

impl Trace {
    /// Returns the trace of an idle host.
    #[must_use]
    pub fn idle() -> Self {
        Self::recorded(include_str!("../../traces/idle.trace"))
    }

    /// Returns the trace of a busy host.
    #[must_use]
    pub fn busy() -> Self {
        Self::recorded(include_str!("../../traces/busy.trace"))
    }

    /// Returns the trace of a busy host whose network devices and mounts change.
    #[must_use]
    pub fn churn() -> Self {
        Self::recorded(include_str!("../../traces/churn.trace"))
    }

    fn recorded(trace: &str) -> Self {
        Self::parse(FAMILIES, trace).expect("the committed traces are valid")
    }

    /// Parses a trace and the file with its families.
    ///
    /// # Errors
    /// The first [`BadLine`].
    pub fn parse(families: &str, trace: &str) -> Result<Self, BadLine> {
        let recording = Recording::parse(families, trace)?;
        let (tables, pages) = tables::of(&recording);
        Ok(Self { families: recording.families, tables, pages })
    }

    /// Returns the pages, in the order of time.
    #[must_use]
    pub fn pages(&self) -> &[Page] {
        &self.pages
    }

    /// Returns the catalog of all pages, for slot 0.
    #[must_use]
    pub fn catalog(&self) -> message::Catalog<'_> {
        // A catalog has no families without columns.
        let mut indices = vec![None; self.families.len()];
        let mut families = Vec::new();
        let mut index_of = |family: usize| {
            *indices[family].get_or_insert_with(|| {
                families.push(self.families[family].to_message());
                families.len() as u32 - 1
            })
        };
        let tables = self.tables.iter().map(|table| {
            let columns = table.columns.iter().zip(&table.decimals);
            let columns = columns.map(|(column, decimals)| {
                let labels = column.labels.iter();
                message::Column {
                    family: index_of(column.family),
                    width: 1,
                    decimals: *decimals,
                    parameters: Vec::new(),
                    labels: labels.map(|(name, value)| Label { name, value }).collect(),
                }
            });
            let columns = columns.collect();
            message::Table { row_labels: table.row_labels.iter().map(|n| &**n).collect(), columns }
        });
        let tables = tables.collect();
        message::Catalog { stream: 0, slot: 0, families, tables }
    }

    /// Returns the decimal places of the values of a page.
    pub fn decimals(&self, page: &Page) -> impl Iterator<Item = u8> {
        self.shape(page)
            .flat_map(|(rows, decimals)| std::iter::repeat_n(decimals, rows).flatten().copied())
    }

    /// Returns the shape of a report with the values of a page.
    pub fn shape(&self, page: &Page) -> impl Iterator<Item = TableShape<'_>> {
        page.shape(&self.tables)
    }

    /// Returns the changes of rows from one page to the next; `None` stands for no rows.
    #[must_use]
    pub fn row_changes<'a>(&self, before: Option<&Page>, now: &'a Page) -> Vec<RowChange<'a>> {
        match before {
            Some(before) => before.changes_to(now),
            None => self.without_rows().changes_to(now),
        }
    }

    /// Returns the values of one page in the rows of the next one; those of new rows are absent.
    #[must_use]
    pub fn values_in_rows_of(&self, next: &Page, before: &Page) -> Vec<f64> {
        before.values_in_rows_of(next, &self.tables)
    }

    /// Returns the names of the row labels of a table.
    #[must_use]
    pub fn row_labels(&self, table: usize) -> &[String] {
        &self.tables[table].row_labels
    }

    /// Returns the metric type of a family, as in the text format; `untyped` if it is unknown.
    #[must_use]
    pub fn metric_type(&self, family: &str) -> &str {
        let own = self.families.iter().find(|own| own.name == family);
        own.map_or("untyped", |family| &family.kind)
    }

    /// Returns the position of a family's only sample among the values of a page; `None` unless it
    /// is in a table without row labels.
    #[must_use]
    pub fn position_of(&self, family: &str, page: &Page) -> Option<usize> {
        let mut start = 0;
        for (table, row, values) in page.rows(&self.tables) {
            let mut columns = self.tables[table].columns.iter();
            let own = columns.position(|column| self.families[column.family].name == family);
            match own {
                Some(column) if row.is_empty() => return Some(start + column),
                _ => start += values.len(),
            }
        }
        None
    }

    /// Returns the page in the text format, as node_exporter writes it.
    #[must_use]
    pub fn text(&self, page: &Page) -> String {
        text::write(&self.families, &self.tables, page)
    }

    /// Iterates over the samples of a page: name, labels without empty values, and value.
    pub fn samples<'a>(
        &'a self,
        page: &'a Page,
    ) -> impl Iterator<Item = (&'a str, Vec<Label<'a>>, f64)> {
        page.rows(&self.tables).flat_map(move |(table, row, values)| {
            let Table { row_labels, columns, .. } = &self.tables[table];
            let own = row_labels.iter().zip(row);
            columns.iter().zip(values).filter(|(_, value)| !is_absent(**value)).map(
                move |(column, value)| {
                    let fixed = column.labels.iter().map(|(name, value)| (name, value));
                    let labels = own.clone().chain(fixed).filter(|(_, value)| !value.is_empty());
                    let labels = labels.map(|(name, value)| Label { name, value }).collect();
                    (&*self.families[column.family].name, labels, *value)
                },
            )
        })
    }

    /// Makes every counter rise between any two pages, by a step of its own.
    #[must_use]
    pub fn with_all_counters_moving(mut self) -> Self {
        for (index, page) in self.pages.iter_mut().enumerate() {
            let values = page.rows(&self.tables).flat_map(|(table, row, values)| {
                let Table { columns, decimals, .. } = &self.tables[table];
                let families = &self.families;
                let cells = columns.iter().zip(decimals).zip(values);
                cells.map(move |((column, places), value)| {
                    if !families[column.family].counts() || is_absent(*value) {
                        return *value;
                    }
                    let units = decimals::units(*places);
                    ((value * units).round_ties_even() + index as f64 * step(column, row)) / units
                })
            });
            page.values = values.collect();
        }
        self
    }

    fn without_rows(&self) -> Page {
        Page { rows: vec![Vec::new(); self.tables.len()], values: Vec::new() }
    }
}

impl Family {
    /// Whether to treat its values as counters. Untyped families are mostly kernel event counters.
    fn counts(&self) -> bool {
        matches!(self.kind.as_str(), "counter" | "untyped")
    }

    fn to_message(&self) -> message::Family<'_> {
        let (name, kind) = match (self.kind.as_str(), self.name.strip_suffix("_total")) {
            ("counter", Some(name)) => (name, FamilyKind::Counter),
            ("gauge", _) => (&*self.name, FamilyKind::Gauge),
            // A counter's name must end in `_total`.
            _ => (&*self.name, FamilyKind::Unknown),
        };
        message::Family { name, kind: kind as u8, unit: "", help: &self.help }
    }
}

/// Returns the step of a counter: any number of bits is as likely as any other.
fn step(column: &tables::Column, row: &[String]) -> f64 {
    let mut hasher = DefaultHasher::new();
    (column.family, &column.labels, row).hash(&mut hasher);
    let hash = hasher.finish();
    let bits = hash % MAX_STEP_BITS;
    ((1 << bits) + (hash >> 32) % (1 << bits)) as f64
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
