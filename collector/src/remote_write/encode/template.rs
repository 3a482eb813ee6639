//! Template of a catalog: what the series of all agents with equal label names have in common.
//!
//! The labels of a series are sorted by name, so labels of the agent, the column and the row
//! alternate. A template has that order as a sequence of pieces. Sequences contain no text of a
//! column, so columns share them.

use std::ops::Range;

use super::fixed::{Fixed, Span};

/// A template.
#[derive(Debug, Default)]
pub(super) struct Template {
    /// Names of the agent's labels: [`AgentLabels::names`](super::labels::AgentLabels::names).
    pub(super) names: Box<str>,
    /// Labels, and names of labels with other values for each agent or row.
    pub(super) fixed: Fixed,
    pub(super) shape: Shape,
}

/// The order in which labels are written.
#[derive(Debug, Default)]
pub(super) struct Shape {
    pub(super) agent: Box<[AgentLabel]>,
    pub(super) sequences: Box<[Box<[Piece]>]>,
    /// In the order of the catalog.
    pub(super) tables: Box<[TableTemplate]>,
    pub(super) lines: Box<[Line]>,
}

/// A label that is encoded once per entry.
#[derive(Debug, Clone, Copy)]
pub(super) enum AgentLabel {
    /// A label of the agent: its name, and the index of its value.
    Own { name: Span, index: usize },
    /// An external label.
    External(Span),
}

/// A part of a series' labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Piece {
    /// The metric name.
    Name,
    /// The bound or quantile.
    Parameter,
    /// Labels of the column, in the order of [`Line::own`].
    Column { start: u8, end: u8 },
    /// Row labels, in the order of [`TableTemplate::rows`].
    Row { start: u8, end: u8 },
    /// Labels of the agent, in the order of [`Shape::agent`].
    Agent { start: u8, end: u8 },
}

/// The row labels and columns of a table.
#[derive(Debug)]
pub(super) struct TableTemplate {
    /// Row labels that are forwarded, sorted by name.
    pub(super) rows: Box<[RowLabel]>,
    /// Columns with a line that is forwarded.
    pub(super) columns: Box<[ColumnTemplate]>,
    /// Number of row labels that the catalog declares.
    pub(super) labels: usize,
    /// Number of values of a row.
    pub(super) width: usize,
}

/// A label of a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowLabel {
    /// Its name.
    pub(super) name: Span,
    /// Index of its value in a row.
    pub(super) index: usize,
    /// The external label of this name, which rows without a value have.
    pub(super) external: Option<Span>,
}

/// A column: its place in a row and its lines.
#[derive(Debug, Clone)]
pub(super) struct ColumnTemplate {
    pub(super) offset: usize,
    pub(super) width: usize,
    /// Its lines in [`Shape::lines`].
    pub(super) lines: Range<usize>,
}

/// A series of a column in each row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    /// Label of the metric name.
    pub(super) name: Span,
    /// Labels of the column, sorted.
    pub(super) own: Span,
    /// Label of the bound or quantile; empty if the line has none.
    pub(super) parameter: Span,
    /// Metadata of the family; empty in remote write 1.0.
    pub(super) metadata: Span,
    /// Index in [`Shape::sequences`].
    pub(super) sequence: u32,
    /// Index of the value among those of the column; `None` if the value is always 1.
    pub(super) value: Option<u16>,
}

impl Template {
    /// Returns the memory, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let table = |table: &TableTemplate| {
            size_of_val(&*table.rows) + size_of_val(&*table.columns) + size_of_val(table)
        };
        let Shape { agent, sequences, tables, lines } = &self.shape;
        size_of::<Self>()
            + self.names.len()
            + self.fixed.bytes()
            + size_of_val(&**agent)
            + size_of_val(&**sequences)
            + sequences.iter().map(|sequence| size_of_val(&**sequence)).sum::<usize>()
            + tables.iter().map(table).sum::<usize>()
            + size_of_val(&**lines)
    }
}
