//! One report, as the caller of a [`Client`](super::Client) gives it.

use std::time::Duration;

use fleetgauge_proto::message::RowChange;
use fleetgauge_proto::report::{EncodedValues, TableShape, Values};

use super::ClientError;
use crate::catalogs::Catalogs;

/// The rows and values of one report, and the previous values.
///
/// Values are in the order of the profile's tables, then rows, then the values of a row. Before the
/// first report of a session or of a new catalog, a table with row labels has no rows, and one
/// without has absent values. `changes` and `before` start from that state.
///
/// [`Baseline`](super::Baseline) makes updates from samples. A caller that can compute the previous
/// values of an agent, such as the load test, makes them itself and stores nothing.
#[derive(Debug, Clone)]
pub struct Update<'a> {
    /// Changes of rows since the previous report of the session, in ascending order of slot and
    /// table, at most one for each table.
    pub changes: Vec<RowChange<'a>>,
    /// Number of rows of each table after the changes; 1 for a table without row labels.
    pub row_counts: &'a [usize],
    /// Values of the previous report, at the places of their rows after the changes. Values of
    /// added rows are absent.
    pub before: &'a [f64],
    /// The values to report.
    pub values: &'a [f64],
    /// Time of the sample on the caller's monotonic clock.
    pub sampled: Duration,
}

impl Update<'_> {
    /// Returns the shape of the values.
    ///
    /// # Errors
    /// [`ClientError::WrongTableCount`] or [`ClientError::WrongValueCount`].
    pub(super) fn shape<'a>(
        &'a self,
        catalogs: &'a Catalogs,
    ) -> Result<impl Iterator<Item = TableShape<'a>> + Clone, ClientError> {
        let (tables, row_counts) = (catalogs.tables(), self.row_counts);
        if row_counts.len() != tables.len() {
            return Err(ClientError::WrongTableCount {
                given: row_counts.len(),
                expected: tables.len(),
            });
        }
        let shape = row_counts.iter().zip(tables).map(|(rows, table)| (*rows, table.decimals()));
        let expected = shape.clone().map(|(rows, decimals)| rows * decimals.len()).sum();
        for given in [self.values.len(), self.before.len()] {
            if given != expected {
                return Err(ClientError::WrongValueCount { given, expected });
            }
        }
        Ok(shape)
    }
}

/// Encodes the values of reports. One for all agents of a thread is enough: it holds only buffers.
#[derive(Debug, Default)]
pub struct ReportEncoder {
    all: EncodedValues,
    changed: EncodedValues,
}

impl ReportEncoder {
    /// Encodes all values or the changed ones, whichever takes fewer bytes.
    pub(super) fn encode<'a>(
        &mut self,
        before: &[f64],
        values: &[f64],
        shape: impl Iterator<Item = TableShape<'a>> + Clone,
    ) -> Values<'_> {
        self.changed.encode_changed(before, values, shape.clone());
        // A code of four bits for each value is the least that all values take.
        if encoded_len(&self.changed) < values.len().div_ceil(2) {
            return self.changed.values();
        }
        self.all.encode_all(values, shape);
        let all_is_shorter = encoded_len(&self.all) <= encoded_len(&self.changed);
        if all_is_shorter { self.all.values() } else { self.changed.values() }
    }
}

fn encoded_len(encoded: &EncodedValues) -> usize {
    match encoded.values() {
        Values::All(values) => values.len(),
        Values::Changed { bitmap, values } => bitmap.len() + values.len(),
    }
}
