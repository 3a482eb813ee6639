//! Snapshots: copies of the registry, laid out for rendering.
//!
//! A page has all lines of a family together, so the values of a column are copied next to each
//! other: a transposition of the agents' own arrays. Agents are copied in batches, so that whole
//! cache lines are written.

use std::sync::Arc;

use fleetgauge_proto::catalog::Table;

use super::escape::push_label;
use super::labels::renamed_labels;
use super::{FamilyHead, Format};
use crate::registry::{BlockView, CatalogEntry, PlacedTable};

/// Agents that are transposed together: eight values fill a cache line.
const BATCH: usize = 8;
/// Maximum memory that is reserved for the rows of a group, in bytes. If the first agents have many
/// more rows than the others, a reservation for all could fail.
const MAX_RESERVED: usize = 256 << 20;

/// A copy of the families and agents that a page shows.
#[derive(Debug)]
pub struct Snapshot {
    /// The families, in the order of the page.
    pub families: Vec<PageFamily>,
    /// The agents, grouped by catalog. An agent with several catalogs is in several groups.
    pub groups: Vec<Group>,
}

/// A family on a page.
#[derive(Debug)]
pub struct PageFamily {
    /// The family's HELP, TYPE and UNIT lines.
    pub head: Arc<FamilyHead>,
    /// Whether OpenMetrics shows a counter that is named as is as a counter.
    pub is_counter: bool,
    /// Index of the group, and of the family in that group's catalog, for each catalog with this
    /// family.
    pub members: Vec<(usize, usize)>,
}

/// The agents of one catalog.
#[derive(Debug)]
pub struct Group {
    catalog: Arc<CatalogEntry>,
    /// Expected number of agents.
    expected: usize,
    /// Labels of all agents, concatenated.
    labels: String,
    /// End of each agent's labels.
    label_ends: Vec<usize>,
    /// For each agent: the number of prefixes of its renamed static labels, or 0. Empty if no agent
    /// has any.
    prefixes: Vec<usize>,
    tables: Vec<TableCopy>,
    batch: Batch,
}

/// The labels of an agent in a group.
#[derive(Debug, Clone, Copy)]
pub(super) struct AgentLabels<'a> {
    text: &'a str,
    /// Number of prefixes of static labels that collide with labels of a series.
    prefixes: usize,
}

impl<'a> AgentLabels<'a> {
    /// Returns the labels for a series whose other labels are `names`, which must be sorted. Uses
    /// `text` if a static label is renamed.
    pub(super) fn renamed(self, names: &[&str], text: &'a mut String) -> &'a str {
        renamed_labels(self.text, self.prefixes, names, text)
    }
}

/// The rows of one table over all agents of a group.
#[derive(Debug, Default)]
pub(super) struct TableCopy {
    /// For each position in a row: the values of all rows.
    pub(super) columns: Vec<Vec<f64>>,
    /// Agents with rows, in order: index and number of rows. Empty for a table without row labels,
    /// because each agent has one row of it.
    pub(super) rows: Vec<(usize, usize)>,
    /// Rendered labels of all rows, concatenated.
    pub(super) texts: String,
    /// Length of the rendered labels of each row.
    pub(super) text_lens: Vec<u32>,
}

impl PageFamily {
    /// Returns the HELP, TYPE and UNIT lines.
    pub(super) fn lines(&self, format: Format) -> &str {
        if self.is_counter { self.head.counter_lines(format) } else { self.head.lines(format) }
    }
}

impl Group {
    /// Creates an empty group with capacity for this many agents.
    pub(crate) fn new(catalog: Arc<CatalogEntry>, agents: usize) -> Self {
        let tables = catalog.catalog().tables.iter();
        let tables = tables.map(|table| TableCopy::new(table, agents)).collect();
        Self {
            catalog,
            expected: agents,
            labels: String::new(),
            label_ends: Vec::with_capacity(agents),
            prefixes: Vec::new(),
            tables,
            batch: Batch::default(),
        }
    }

    /// Returns the catalog.
    #[must_use]
    pub fn catalog(&self) -> &Arc<CatalogEntry> {
        &self.catalog
    }

    /// Whether the group has no agents.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.label_ends.is_empty()
    }

    /// Adds an agent: its labels, its tables of this catalog, and their values. Returns the values
    /// that follow these.
    pub(crate) fn push<'a, 'v>(
        &mut self,
        labels: &str,
        tables: impl Iterator<Item = PlacedTable<'a>>,
        values: &'v [f64],
    ) -> &'v [f64] {
        let mut cells = 0;
        let agent = self.label_ends.len();
        self.labels.push_str(labels);
        self.label_ends.push(self.labels.len());
        for (copy, placed) in self.tables.iter_mut().zip(tables) {
            self.batch.rows.push(placed.row_count());
            cells += placed.cells();
            copy.push_rows(agent, placed);
        }
        let (own, rest) = values.split_at(cells.min(values.len()));
        self.batch.values.extend_from_slice(own);
        self.batch.agents += 1;
        if self.batch.agents == BATCH {
            self.reserve();
            self.batch.transpose(&mut self.tables);
        }
        rest
    }

    /// Adds the agents of a block without vacant places. Each has one row of each table; `start` is
    /// the index of its first value.
    pub(crate) fn push_block(&mut self, block: BlockView<'_>, start: usize) {
        self.batch.transpose(&mut self.tables);
        let BlockView { labels, label_lens, values, width, .. } = block;
        if self.labels.is_empty() {
            let bytes = labels.len().saturating_mul(self.expected) / label_lens.len().max(1);
            self.labels.reserve(bytes.min(MAX_RESERVED));
        }
        let mut end = self.labels.len();
        self.labels.push_str(labels);
        self.label_ends.extend(label_lens.iter().map(|len| {
            end += *len as usize;
            end
        }));
        let columns = self.tables.iter_mut().flat_map(|table| &mut table.columns);
        for (offset, column) in (start..).zip(columns) {
            column.extend(values.iter().skip(offset).step_by(width));
        }
    }

    /// Reserves memory for the rows of all expected agents, as many as those of the first batch
    /// have on average.
    fn reserve(&mut self) {
        if self.label_ends.len() != BATCH {
            return;
        }
        let tables = self.tables.iter().map(TableCopy::row_bytes);
        let batch = self.labels.len() + tables.sum::<usize>();
        let batches = (self.expected / BATCH).min(MAX_RESERVED / batch.max(1));
        self.labels.reserve(batches * self.labels.len());
        for table in self.tables.iter_mut().filter(|table| !table.rows.is_empty()) {
            let rows = table.text_lens.len() * batches;
            table.rows.reserve(table.rows.len() * batches);
            table.text_lens.reserve(rows);
            table.texts.reserve(table.texts.len() * batches);
            table.columns.iter_mut().for_each(|column| column.reserve(rows));
        }
    }

    /// Completes the group after the last agent. Call it without locks: it reads all labels.
    pub(crate) fn finish(&mut self) {
        self.batch.transpose(&mut self.tables);
        if self.catalog.catalog().label_names.is_empty() {
            return;
        }
        let measured = self.catalog.measured();
        let prefixes = |labels: AgentLabels<'_>| measured.renames(labels.text).prefixes;
        let prefixes: Vec<_> =
            (0..self.agents()).map(|agent| prefixes(self.labels(agent))).collect();
        if prefixes.iter().any(|prefixes| *prefixes > 0) {
            self.prefixes = prefixes;
        }
    }

    /// Whether an agent has static labels with new names on some series.
    pub(super) fn has_renames(&self) -> bool {
        !self.prefixes.is_empty()
    }

    /// Returns the number of agents.
    pub(super) fn agents(&self) -> usize {
        self.label_ends.len()
    }

    /// Returns the labels of the agent with this index.
    pub(super) fn labels(&self, agent: usize) -> AgentLabels<'_> {
        let start = agent.checked_sub(1).map_or(0, |before| self.label_ends[before]);
        let text = &self.labels[start..self.label_ends[agent]];
        AgentLabels { text, prefixes: self.prefixes.get(agent).copied().unwrap_or(0) }
    }

    pub(super) fn table(&self, index: usize) -> &TableCopy {
        &self.tables[index]
    }
}

/// Splits a text into consecutive pieces of these lengths.
pub(super) fn pieces<'a>(text: &'a str, lens: &'a [u32]) -> impl Iterator<Item = &'a str> {
    let mut rest = text;
    lens.iter().map(move |len| {
        let (piece, after) = rest.split_at(*len as usize);
        rest = after;
        piece
    })
}

impl TableCopy {
    fn new(table: &Table, agents: usize) -> Self {
        let labelled = !table.row_labels.is_empty();
        let column = || Vec::with_capacity(if labelled { 0 } else { agents });
        Self {
            columns: std::iter::repeat_with(column).take(table.width).collect(),
            rows: Vec::new(),
            texts: String::new(),
            text_lens: Vec::new(),
        }
    }

    /// Returns the bytes of the labelled rows, including space for values not yet copied.
    fn row_bytes(&self) -> usize {
        let row = size_of::<u32>() + self.columns.len() * size_of::<f64>();
        self.texts.len() + self.text_lens.len() * row
    }

    /// Adds the rows of an agent, without their values.
    fn push_rows(&mut self, agent: usize, placed: PlacedTable<'_>) {
        let Some(rows) = placed.rows.filter(|rows| !rows.is_empty()) else { return };
        self.rows.push((agent, rows.len()));
        let names = &placed.table.row_labels;
        for values in rows.iter(names.len()) {
            let before = self.texts.len();
            for (name, value) in names.iter().zip(values).filter(|(_, value)| !value.is_empty()) {
                push_label(name, value, &mut self.texts);
            }
            self.text_lens.push(u32::try_from(self.texts.len() - before).unwrap_or(u32::MAX));
        }
    }
}

/// Agents whose values are not transposed yet.
#[derive(Debug, Default)]
struct Batch {
    agents: usize,
    /// Values of the agents, one after another.
    values: Vec<f64>,
    /// Number of rows, by agent and table.
    rows: Vec<usize>,
}

impl Batch {
    /// Appends the values to the columns of the tables, and empties the batch.
    fn transpose(&mut self, tables: &mut [TableCopy]) {
        let mut starts = [0; BATCH];
        let mut end = 0;
        for (agent, start) in starts.iter_mut().enumerate().take(self.agents) {
            *start = end;
            let rows = self.rows[agent * tables.len()..].iter().zip(&*tables);
            end += rows.map(|(rows, table)| rows * table.columns.len()).sum::<usize>();
        }
        let of_tables = tables.len();
        for (index, table) in tables.iter_mut().enumerate() {
            let width = table.columns.len();
            let rows = |agent: usize| self.rows[agent * of_tables + index];
            // Columns without rows cost an agent nothing, so they must not take time.
            if (0..self.agents).all(|agent| rows(agent) == 0) {
                continue;
            }
            for (offset, column) in table.columns.iter_mut().enumerate() {
                #[cfg(test)]
                visited::count_column();
                for (agent, start) in starts.iter().enumerate().take(self.agents) {
                    // If the last agents have no rows, `start + offset` can be past the end.
                    let own = self.values.get(start + offset..start + rows(agent) * width);
                    column.extend(own.unwrap_or_default().iter().step_by(width));
                }
            }
            for (agent, start) in starts.iter_mut().enumerate().take(self.agents) {
                *start += rows(agent) * width;
            }
        }
        self.agents = 0;
        self.values.clear();
        self.rows.clear();
    }
}

/// The number of columns that copying values has visited on this thread.
#[cfg(test)]
pub(crate) mod visited {
    use std::cell::Cell;

    thread_local! {
        static COLUMNS: Cell<usize> = const { Cell::new(0) };
    }

    pub(super) fn count_column() {
        COLUMNS.set(COLUMNS.get() + 1);
    }

    pub(crate) fn columns() -> usize {
        COLUMNS.get()
    }
}
