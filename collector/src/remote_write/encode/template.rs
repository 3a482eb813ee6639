//! Template of a catalog: what the series of all agents with equal label names have in common.
//!
//! The labels of a series are sorted by name, so labels of the agent, the column and the row
//! alternate. A template has that order as a sequence of pieces. Sequences contain no text of a
//! column, so columns share them.

use std::ops::Range;

/// A part of [`Template::fixed`].
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Span {
    start: u32,
    len: u32,
}

impl Span {
    /// Appends bytes to a text and returns their place. A text beyond 4 GiB would have empty
    /// labels; the limits of catalogs keep it far below.
    pub(super) fn append(fixed: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> Self {
        let start = fixed.len();
        write(fixed);
        let place = u32::try_from(start).ok().zip(u32::try_from(fixed.len() - start).ok());
        place.map_or_else(Self::default, |(start, len)| Self { start, len })
    }

    pub(super) fn range(self) -> Range<usize> {
        let start = self.start as usize;
        start..start + self.len as usize
    }

    pub(super) fn len(self) -> usize {
        self.len as usize
    }
}

/// A template.
#[derive(Debug, Default)]
pub(super) struct Template {
    /// Names of the agent's labels: [`AgentLabels::names`](super::labels::AgentLabels::names).
    pub(super) names: Box<str>,
    /// Encoded labels, and encoded names of labels with other values for each agent or row.
    pub(super) fixed: Box<[u8]>,
    pub(super) agent: Box<[AgentLabel]>,
    pub(super) sequences: Box<[Box<[Piece]>]>,
    /// In the order of the catalog.
    pub(super) tables: Box<[TableTemplate]>,
    pub(super) lines: Box<[Line]>,
}

/// A label that is encoded once per entry.
#[derive(Debug, Clone, Copy)]
pub(super) enum AgentLabel {
    /// A label of the agent: its encoded name, and the index of its value.
    Own { name: Span, index: usize },
    /// An external label, encoded.
    External(Span),
}

/// A part of a series' labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Piece {
    /// The metric name.
    Name,
    /// The bound or quantile.
    Parameter,
    /// Labels of the column: a part of [`Line::own`].
    Column { start: u16, end: u16 },
    /// Row labels, in the order of [`TableTemplate::rows`].
    Row { start: u8, end: u8 },
    /// Labels of the agent, in the order of [`Template::agent`].
    Agent { start: u8, end: u8 },
}

/// The row labels and columns of a table.
#[derive(Debug)]
pub(super) struct TableTemplate {
    /// Row labels that are forwarded, sorted by name.
    pub(super) rows: Box<[RowLabel]>,
    /// Columns of which a line is forwarded.
    pub(super) columns: Box<[ColumnTemplate]>,
    /// Number of row labels that the catalog declares.
    pub(super) labels: usize,
    /// Number of values of a row.
    pub(super) width: usize,
}

/// A label of a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowLabel {
    /// Its encoded name.
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
    /// Its lines in [`Template::lines`].
    pub(super) lines: Range<usize>,
}

/// A series of a column in each row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    /// Encoded label of the metric name.
    pub(super) name: Span,
    /// Encoded labels of the column, sorted.
    pub(super) own: Span,
    /// Encoded label of the bound or quantile; empty if the line has none.
    pub(super) parameter: Span,
    /// Index in [`Template::sequences`].
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
        let sequences = self.sequences.iter().map(|sequence| size_of_val(&**sequence));
        size_of::<Self>()
            + self.names.len()
            + self.fixed.len()
            + size_of_val(&*self.agent)
            + size_of_val(&*self.sequences)
            + sequences.sum::<usize>()
            + self.tables.iter().map(table).sum::<usize>()
            + size_of_val(&*self.lines)
    }
}
