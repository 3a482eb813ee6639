//! What a source writes in one reading.

use std::sync::Arc;

use fleetgauge_proto::report::is_absent;

use super::found::{FoundGroups, FoundSamples};
use super::writer::TableWriter;
use super::{FoundFamily, TableSpec};

/// What a source writes: rows of the tables that it declared, and samples of families that it
/// found.
///
/// It is used for all readings of a source. A reading with the same rows and samples in the same
/// order as the one before allocates nothing.
///
/// ```
/// use fleetgauge_agent::tables::{ColumnSpec, FoundFamily, Output, TableSpec};
/// use fleetgauge_proto::catalog::FamilyKind;
/// use fleetgauge_proto::message::Family;
///
/// const SIZE: Family<'static> =
///     Family { name: "disk_size", kind: FamilyKind::Gauge as u8, unit: "", help: "" };
/// let disk = TableSpec { row_labels: &["device"], columns: vec![ColumnSpec::new(SIZE)] };
/// let mut output = Output::new(&[disk]);
/// output.begin();
/// output.row(0, &["sdb"])[0] = 2e9;
/// output.row(0, &["sda"])[0] = 1e9;
/// let family = FoundFamily { name: "pool_reads", kind: FamilyKind::Unknown, help: "" };
/// output.sample(family, &[("pool", "tank")], 5.0);
/// output.finish();
/// assert_eq!(output.series(), 3);
/// ```
#[derive(Debug, Default)]
pub struct Output {
    pub(super) tables: Vec<TableWriter>,
    found: FoundSamples,
}

impl Output {
    /// Creates the output of a source with these tables.
    #[must_use]
    pub fn new(tables: &[TableSpec]) -> Self {
        let tables = tables.iter().map(TableWriter::new).collect();
        Self { tables, found: FoundSamples::default() }
    }

    /// Begins a reading: there are no rows and no samples.
    pub fn begin(&mut self) {
        self.tables.iter_mut().for_each(TableWriter::begin);
        self.found.begin();
    }

    /// Adds a row to the source's table with this index. Returns its values, all of them absent.
    ///
    /// An empty label value means that the series do not have the label. A table without row labels
    /// has one row: all calls return the same values.
    ///
    /// # Panics
    /// The source did not declare the table, or the table has another number of row labels.
    pub fn row(&mut self, table: usize, labels: &[&str]) -> &mut [f64] {
        self.tables[table].row(labels)
    }

    /// Adds a sample of a family that was found. Of two samples with the same name and labels, the
    /// first one counts.
    pub fn sample(&mut self, family: FoundFamily<'_>, labels: &[(&str, &str)], value: f64) {
        self.found.push(family, labels, value);
    }

    /// Adds the sample that has the same position in the reading before, with another value. Costs
    /// no more than the value. Returns `false` and adds nothing if that reading had no sample
    /// there, or if this reading had a [`sample`](Self::sample) before.
    pub fn repeat(&mut self, value: f64) -> bool {
        self.found.repeat(value)
    }

    /// Returns whether [`repeat`](Self::repeat) would add a sample.
    #[must_use]
    pub const fn can_repeat(&self) -> bool {
        self.found.can_repeat()
    }

    /// Returns the number of samples of this reading, those of declared tables excluded.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.found.values().len()
    }

    /// Ends the reading. Of two rows with the same labels, the first one counts.
    pub fn finish(&mut self) {
        self.tables.iter_mut().for_each(TableWriter::finish);
        self.found.finish();
    }

    /// Returns the number of rows of the last reading that were left out: a label value is too
    /// long, or another row has the same labels.
    #[must_use]
    pub fn rows_left_out(&self) -> usize {
        self.tables.iter().map(TableWriter::left_out).sum()
    }

    /// Returns the number of samples of the last reading that were left out: a label value is too
    /// long, a label name is repeated, or another sample has the same name and labels, or another
    /// type.
    #[must_use]
    pub fn samples_left_out(&self) -> usize {
        self.found.groups().left_out
    }

    /// Returns whether the last reading has no value.
    pub(crate) fn is_empty(&self) -> bool {
        let mut values = self.tables.iter().flat_map(TableWriter::values).flatten();
        self.found.values().is_empty() && values.all(|value| is_absent(*value))
    }

    /// Returns the number of series of the last reading.
    #[must_use]
    pub fn series(&self) -> usize {
        let tables = self.tables.iter().map(|table| table.values().flatten().count());
        tables.sum::<usize>() + self.found.values().len()
    }

    /// Returns the names and labels of the samples that were found.
    pub(super) const fn found_groups(&self) -> &Arc<FoundGroups> {
        self.found.groups()
    }

    /// Returns the values of the samples that were found, by their positions.
    pub(crate) fn found_values(&self) -> &[f64] {
        self.found.values()
    }

    /// Iterates over the families that were found: name, kind and help text.
    #[cfg(test)]
    pub(crate) fn families(
        &self,
    ) -> impl Iterator<Item = (&str, fleetgauge_proto::catalog::FamilyKind, &str)> {
        let families = self.found.groups().families.iter();
        families.map(|(name, group)| (&**name, group.kind, &*group.help))
    }

    /// Returns the size of the texts of this reading, which [`repeat`](Self::repeat) does not copy.
    #[cfg(test)]
    pub(crate) fn text_bytes(&self) -> usize {
        self.found.text_bytes()
    }
}
