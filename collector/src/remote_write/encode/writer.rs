//! Writes the series of an entry by templates: copies of prepared bytes.

use std::ops::Range;

use fleetgauge_proto::limits::MAX_LABELS;
use fleetgauge_proto::rows::TableRows;

use super::coding::Coding;
use super::fixed::Fixed;
use super::labels::AgentLabels;
use super::points::{Cells, Source, Written};
use super::template::{AgentLabel, Line, Piece, Shape, TableTemplate};

/// Encoded labels of the current agent and row. The memory is reused.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    agent: Labels,
    /// For each sequence of the template: bytes of the agent's labels.
    agent_bytes: Vec<usize>,
    row: Labels,
}

/// Encoded labels, and where each begins and ends.
#[derive(Debug, Default)]
struct Labels {
    bytes: Vec<u8>,
    /// Zero, and the end of each label.
    ends: Vec<usize>,
}

impl Labels {
    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.ends.push(0);
    }

    fn end_label(&mut self) {
        self.ends.push(self.bytes.len());
    }

    fn get(&self, start: u8, end: u8) -> &[u8] {
        let at = |label: u8| self.ends.get(usize::from(label)).copied().unwrap_or_default();
        self.bytes.get(at(start)..at(end)).unwrap_or_default()
    }
}

/// Writes series of one catalog.
pub(super) struct Writer<'a, S: ?Sized> {
    pub(super) shape: &'a Shape,
    pub(super) fixed: &'a mut Fixed,
    pub(super) coding: &'a mut Coding,
    pub(super) source: &'a S,
    /// Indexes of the first values of the series to write.
    pub(super) cells: &'a Range<usize>,
    pub(super) scratch: &'a mut Scratch,
    pub(super) out: &'a mut Vec<u8>,
    /// Number of points written.
    pub(super) written: Written,
}

impl<S: Source + ?Sized> Writer<'_, S> {
    /// Encodes the labels of the agent. Call it first.
    pub(super) fn start(&mut self, labels: &AgentLabels) {
        let Scratch { agent, agent_bytes, row } = &mut *self.scratch;
        let (fixed, coding) = (&mut *self.fixed, &mut *self.coding);
        fixed.start(coding);
        agent.clear();
        row.clear();
        for label in &self.shape.agent {
            match *label {
                AgentLabel::Own { name, index } => {
                    let name = fixed.encoded(name, coding);
                    coding.push_label(name, labels.value(index), &mut agent.bytes);
                }
                AgentLabel::External(label) => {
                    agent.bytes.extend_from_slice(fixed.encoded(label, coding));
                }
            }
            agent.end_label();
        }
        agent_bytes.clear();
        agent_bytes.extend(self.shape.sequences.iter().map(|pieces| {
            let of_agent = pieces.iter().map(|piece| match piece {
                Piece::Agent { start, end } => agent.get(*start, *end).len(),
                _ => 0,
            });
            of_agent.sum::<usize>()
        }));
    }

    /// Writes the series of a table. `start` is the index of its first value.
    pub(super) fn table(&mut self, table: &TableTemplate, rows: Option<&TableRows>, start: usize) {
        if table.columns.is_empty() {
            return;
        }
        let Some(rows) = rows else { return self.row(table, start, std::iter::empty()) };
        let starts = (start..).step_by(table.width.max(1));
        for (values, start) in rows.iter(table.labels).zip(starts) {
            if start >= self.cells.end {
                break;
            }
            if start + table.width > self.cells.start {
                self.row(table, start, values);
            }
        }
    }

    fn row<'r>(
        &mut self,
        table: &TableTemplate,
        start: usize,
        values: impl Iterator<Item = &'r str>,
    ) {
        let mut values = Some(values);
        for column in &table.columns {
            let cells = Cells { first: start + column.offset, width: column.width };
            if !self.cells.contains(&cells.first) {
                continue;
            }
            let (points, bytes) = self.source.size(cells);
            if bytes == 0 {
                continue;
            }
            // The labels of a row without samples are not encoded.
            if let Some(values) = values.take() {
                self.start_row(table, values);
            }
            let lines = column.lines.clone().zip(&self.shape.lines[column.lines.clone()]);
            for (index, line) in lines {
                self.line(index, line, cells, bytes);
            }
            self.written = self.written.plus(points.times(column.lines.len()));
        }
    }

    /// Encodes the labels of a row.
    fn start_row<'r>(&mut self, table: &TableTemplate, values: impl Iterator<Item = &'r str>) {
        let row = &mut self.scratch.row;
        row.clear();
        if table.rows.is_empty() {
            return;
        }
        let mut by_index = [""; MAX_LABELS];
        by_index.iter_mut().zip(values).for_each(|(place, value)| *place = value);
        let (fixed, coding) = (&mut *self.fixed, &mut *self.coding);
        for label in &table.rows {
            match by_index.get(label.index).copied().unwrap_or_default() {
                // A label without a value is none.
                "" => {
                    let external = label.external.unwrap_or_default();
                    row.bytes.extend_from_slice(fixed.encoded(external, coding));
                }
                value => {
                    let name = fixed.encoded(label.name, coding);
                    coding.push_label(name, value, &mut row.bytes);
                }
            }
            row.end_label();
        }
    }

    /// Writes a series of the current row. `index` is that of the line, `cells` are the values of
    /// its column, `points` is the size of its points in bytes.
    fn line(&mut self, index: usize, line: &Line, cells: Cells, points: usize) {
        let Scratch { agent, agent_bytes, row } = &*self.scratch;
        let sequence = line.sequence as usize;
        let mut labels = self.fixed.size(index);
        if labels == 0 {
            let own = [line.name, line.parameter, line.own];
            labels = self.fixed.encode_line(index, own, line.metadata, self.coding);
        }
        let fixed = &*self.fixed;
        let labels = labels + row.bytes.len() + agent_bytes[sequence];
        let metadata = fixed.get(line.metadata);
        self.coding.push_head(labels, points + metadata.len(), self.out);
        for piece in &self.shape.sequences[sequence] {
            self.out.extend_from_slice(match *piece {
                Piece::Name => fixed.get(line.name),
                Piece::Parameter => fixed.get(line.parameter),
                Piece::Column { start, end } => fixed.get(line.own.slice(start, end)),
                Piece::Row { start, end } => row.get(start, end),
                Piece::Agent { start, end } => agent.get(start, end),
            });
        }
        self.source.push(cells, line.value.map(usize::from), self.out);
        self.out.extend_from_slice(metadata);
    }
}
