//! One reading of a declared table.

use std::sync::Arc;

use fleetgauge_proto::limits::MAX_LABEL_VALUE_BYTES;
use fleetgauge_proto::message::RowChange;
use fleetgauge_proto::report::ABSENT;
use fleetgauge_proto::rows::TableRows;

use super::TableSpec;
use super::texts::Texts;

/// The rows that a source sets in one reading of a table. A row that is not set does not exist.
///
/// Buffers are kept between readings, and so are the sorted rows as long as the source sets the
/// same rows in the same order: then a reading allocates nothing.
#[derive(Debug)]
pub(super) struct TableWriter {
    labels: usize,
    width: usize,
    /// Label values, row after row, in the order of the calls.
    texts: Texts,
    /// Values, row after row, in the order of the calls.
    values: Vec<f64>,
    /// The label values from which `rows` and `order` were made.
    sorted_texts: Texts,
    rows: Arc<TableRows>,
    /// For each sorted row, the call that set it.
    order: Vec<usize>,
    left_out: usize,
}

impl TableWriter {
    pub(super) fn new(spec: &TableSpec) -> Self {
        Self {
            labels: spec.row_labels.len(),
            width: spec.width(),
            texts: Texts::default(),
            values: Vec::new(),
            sorted_texts: Texts::default(),
            rows: Arc::default(),
            order: Vec::new(),
            left_out: 0,
        }
    }

    /// Begins a reading: there are no rows.
    pub(super) fn begin(&mut self) {
        self.texts.clear();
        self.values.clear();
        if self.labels == 0 {
            self.values.resize(self.width, ABSENT);
        }
    }

    /// Adds a row, or returns the only one of a table without row labels.
    pub(super) fn row(&mut self, labels: &[&str]) -> &mut [f64] {
        assert_eq!(labels.len(), self.labels, "label values of a row");
        if self.labels == 0 {
            return &mut self.values;
        }
        labels.iter().for_each(|value| self.texts.push(value));
        let start = self.values.len();
        self.values.resize(start + self.width, ABSENT);
        &mut self.values[start..]
    }

    /// Ends the reading: sorts the rows, unless they are those of the reading before. Of two rows
    /// with the same labels, the first one counts.
    pub(super) fn finish(&mut self) {
        if self.labels == 0 || self.texts == self.sorted_texts {
            return;
        }
        let texts: Vec<&str> = self.texts.iter().collect();
        let given = texts.len() / self.labels;
        let mut rows: Vec<(&[&str], usize)> = texts.chunks(self.labels).zip(0..).collect();
        rows.retain(|(values, _)| values.iter().all(|text| text.len() <= MAX_LABEL_VALUE_BYTES));
        // The call breaks ties: the first of equal rows stays.
        rows.sort_unstable();
        rows.dedup_by_key(|(values, _)| *values);

        let added = rows.iter().flat_map(|(values, _)| values.iter().copied()).collect();
        self.rows = Arc::new(sorted_rows(self.labels, added));
        self.order = rows.iter().map(|(_, call)| *call).collect();
        self.left_out = given - rows.len();
        self.sorted_texts.clone_from(&self.texts);
    }

    /// Returns the rows of the last finished reading; empty for a table without row labels.
    pub(super) const fn rows(&self) -> &Arc<TableRows> {
        &self.rows
    }

    /// Returns the values of each row of the last finished reading, in the order of the rows.
    pub(super) fn values(&self) -> impl Iterator<Item = &[f64]> {
        let only = (self.labels == 0).then_some(&*self.values);
        let of_call = |call: &usize| &self.values[call * self.width..][..self.width];
        only.into_iter().chain(self.order.iter().map(of_call))
    }

    /// Returns the number of rows that were left out: a label value is too long, or the row was set
    /// before.
    pub(super) const fn left_out(&self) -> usize {
        self.left_out
    }
}

/// Makes rows of label values: sorted, unique, and each at most of the legal length.
pub(super) fn sorted_rows(labels: usize, added: Vec<&str>) -> TableRows {
    let given = added.len() / labels;
    let change = RowChange { slot: 0, table: 0, removed: Vec::new(), added };
    // Sorted, unique and short rows are valid.
    let (rows, _) = TableRows::default().edit(labels, &change).unwrap_or_default();
    debug_assert_eq!(rows.len(), given);
    rows
}
