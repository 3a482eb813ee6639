//! A page of a trace: rows and values.

use std::collections::HashMap;

use fleetgauge_proto::message::RowChange;
use fleetgauge_proto::report::{ABSENT, TableShape};

use super::tables::Table;

/// Label values of a row.
pub type Row = Vec<String>;

/// What a host reports at one time.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// Rows of each table in ascending order; none for a table without row labels.
    pub rows: Vec<Vec<Row>>,
    /// Values in the order of tables, rows and columns.
    pub values: Vec<f64>,
}

impl Page {
    /// Iterates over the rows of all tables: the index of the table, the label values and the
    /// values. The only row of a table without row labels has no label values.
    pub(super) fn rows<'a>(
        &'a self,
        tables: &'a [Table],
    ) -> impl Iterator<Item = (usize, &'a [String], &'a [f64])> {
        let labels = self.rows.iter().zip(tables).enumerate().flat_map(|(index, (rows, table))| {
            let only = table.row_labels.is_empty().then_some(&[][..]);
            only.into_iter().chain(rows.iter().map(Vec::as_slice)).map(move |row| (index, row))
        });
        let mut rest = &*self.values;
        labels.map(move |(index, row)| {
            let (values, after) = rest.split_at(tables[index].columns.len());
            rest = after;
            (index, row, values)
        })
    }

    /// Returns the shape of a report with these values.
    pub(super) fn shape<'a>(&self, tables: &'a [Table]) -> impl Iterator<Item = TableShape<'a>> {
        let rows = self.rows.iter().zip(tables);
        rows.map(|(rows, table)| {
            let count = if table.row_labels.is_empty() { 1 } else { rows.len() };
            (count, &*table.decimals)
        })
    }

    /// Returns the values of this page in the rows of `next`. New rows have absent values.
    pub(super) fn values_in_rows_of(&self, next: &Self, tables: &[Table]) -> Vec<f64> {
        let own: HashMap<_, _> =
            self.rows(tables).map(|(table, row, values)| ((table, row), values)).collect();
        let mut moved = Vec::with_capacity(next.values.len());
        for (table, row, values) in next.rows(tables) {
            match own.get(&(table, row)) {
                Some(own) => moved.extend_from_slice(own),
                None => moved.extend(std::iter::repeat_n(ABSENT, values.len())),
            }
        }
        moved
    }

    /// Returns how the rows differ from those of `next`, as an agent sends it for slot 0.
    pub(super) fn changes_to<'a>(&self, next: &'a Self) -> Vec<RowChange<'a>> {
        let mut changes = Vec::new();
        for ((before, now), table) in self.rows.iter().zip(&next.rows).zip(0..) {
            let gone = before.iter().zip(0..).filter(|(row, _)| now.binary_search(row).is_err());
            let new = now.iter().filter(|row| before.binary_search(row).is_err());
            let removed: Vec<u32> = gone.map(|(_, position)| position).collect();
            let added: Vec<_> = new.flatten().map(String::as_str).collect();
            if !removed.is_empty() || !added.is_empty() {
                changes.push(RowChange { slot: 0, table, removed, added });
            }
        }
        changes
    }
}
