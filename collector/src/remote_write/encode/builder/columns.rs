//! The lines of columns.

use fleetgauge_proto::catalog::{Column, FamilyKind, Table};

use super::super::super::rules::NAME;
use super::super::fixed::Span;
use super::super::template::{Line, Piece};
use super::{Builder, FamilyNames};
use crate::exposition::{KindLines, label_number};

/// Where a label of a series comes from.
#[derive(Debug, Clone, Copy)]
enum Part {
    Name,
    Parameter,
    /// Index among the forwarded labels of the column, which are sorted.
    Column(usize),
    /// Index among the forwarded labels of the row, which are sorted.
    Row(usize),
    /// Index of an [`AgentLabel`](super::AgentLabel).
    Agent(usize),
}

/// The labels of a column.
#[derive(Debug, Default)]
pub(super) struct ColumnLabels<'a> {
    /// Declared names of the labels of the column and its rows.
    taken: Vec<&'a str>,
    /// Names under which the labels of the column are forwarded, sorted.
    names: Vec<&'a str>,
    /// The labels of the column.
    span: Span,
}

impl<'a> Builder<'a> {
    /// Adds the lines of a column. `rows` are the forwarded labels of its rows, sorted.
    pub(super) fn column(
        &mut self,
        table: &Table,
        column: &Column,
        family: &FamilyNames,
        rows: &[&str],
    ) {
        let labels = self.column_labels(table, column);
        let (own, metadata) = (labels.span, family.metadata);
        let lines = KindLines::of(family.kind);
        if let Some((parameter, name)) = lines.parameter.as_ref().zip(family.parameter) {
            let label = self.name(parameter.label);
            let sequence = self.sequence(&labels, rows, label);
            for (at, value) in (0..).zip(parameter.parameters(column)) {
                let value = label_number(value, false);
                let parameter = label.map(|label| self.fixed.label(label, &value));
                let parameter = parameter.unwrap_or_default();
                let value = Some(at);
                self.lines.push(Line { name, own, parameter, metadata, sequence, value });
            }
        }
        if family.plain.iter().all(Option::is_none) {
            return;
        }
        let sequence = self.sequence(&labels, rows, None);
        let parameter = Span::default();
        let first = column.width.saturating_sub(family.plain.len());
        for (at, name) in (first..).zip(&family.plain) {
            let Some(name) = *name else { continue };
            let value = u16::try_from(at).ok().filter(|_| family.kind != FamilyKind::Info);
            self.lines.push(Line { name, own, parameter, metadata, sequence, value });
        }
    }

    /// Adds the labels of a column.
    fn column_labels<'n>(&mut self, table: &'n Table, column: &'n Column) -> ColumnLabels<'n>
    where
        'a: 'n,
    {
        let own = column.labels.iter();
        let mut own: Vec<_> =
            own.filter_map(|(name, value)| Some((self.name(name)?, value))).collect();
        own.sort_unstable();
        let span = self.fixed.labels(own.iter().copied());
        let of_rows = table.row_labels.iter().map(|name| &**name);
        let taken = of_rows.chain(column.labels.iter().map(|(name, _)| name)).collect();
        ColumnLabels { taken, names: own.into_iter().map(|(name, _)| name).collect(), span }
    }

    /// Returns the index of the sequence of a line. `rows` are the forwarded labels of the rows,
    /// `parameter` is that of the bound or quantile.
    pub(super) fn sequence(
        &mut self,
        labels: &ColumnLabels<'_>,
        rows: &[&str],
        parameter: Option<&str>,
    ) -> u32 {
        let own = &labels.names;
        let names: Vec<_> = own.iter().chain(rows).copied().chain(parameter).collect();
        let mut parts = self.agent_parts(&labels.taken, &names);
        parts.push((NAME, Part::Name));
        parts.extend(parameter.map(|name| (name, Part::Parameter)));
        parts.extend(own.iter().enumerate().map(|(at, name)| (*name, Part::Column(at))));
        parts.extend(rows.iter().enumerate().map(|(at, name)| (*name, Part::Row(at))));
        parts.sort_by_key(|(name, _)| *name);
        let mut pieces: Vec<Piece> = Vec::new();
        for (_, part) in parts {
            let piece = piece(part);
            match pieces.last_mut().and_then(|last| Some((joined(*last, piece)?, last))) {
                Some((joined, last)) => *last = joined,
                None => pieces.push(piece),
            }
        }
        self.intern(pieces.into())
    }

    fn intern(&mut self, pieces: Box<[Piece]>) -> u32 {
        if let Some(known) = self.known.get(&pieces) {
            return *known;
        }
        let index = u32::try_from(self.sequences.len()).unwrap_or(u32::MAX);
        self.sequences.push(pieces.clone());
        self.known.insert(pieces, index);
        index
    }

    /// Returns the labels of the agent and the external labels on a series. `taken` are the
    /// declared names of its other labels, `names` those under which they are forwarded.
    fn agent_parts<'n>(&self, taken: &[&str], names: &[&'n str]) -> Vec<(&'n str, Part)>
    where
        'a: 'n,
    {
        let own = self
            .agent_names
            .iter()
            .filter_map(|own| if taken.contains(&own.declared) { own.renamed } else { own.plain });
        let mut parts: Vec<_> = own.map(|(name, place)| (name, Part::Agent(place))).collect();
        for &(name, place) in &self.external {
            if !names.contains(&name) && !parts.iter().any(|(own, _)| *own == name) {
                parts.push((name, Part::Agent(place)));
            }
        }
        parts
    }
}

/// Returns the piece of one label. The protocol allows 32 labels of each origin.
fn piece(part: Part) -> Piece {
    let short = |at: usize| u8::try_from(at).unwrap_or(u8::MAX);
    match part {
        Part::Name => Piece::Name,
        Part::Parameter => Piece::Parameter,
        Part::Column(at) => Piece::Column { start: short(at), end: short(at + 1) },
        Part::Row(at) => Piece::Row { start: short(at), end: short(at + 1) },
        Part::Agent(at) => Piece::Agent { start: short(at), end: short(at + 1) },
    }
}

/// Joins two pieces if the second one follows the first one.
fn joined(first: Piece, second: Piece) -> Option<Piece> {
    match (first, second) {
        (Piece::Column { start, end }, Piece::Column { start: next, end: last }) if end == next => {
            Some(Piece::Column { start, end: last })
        }
        (Piece::Row { start, end }, Piece::Row { start: next, end: last }) if end == next => {
            Some(Piece::Row { start, end: last })
        }
        (Piece::Agent { start, end }, Piece::Agent { start: next, end: last }) if end == next => {
            Some(Piece::Agent { start, end: last })
        }
        _ => None,
    }
}
