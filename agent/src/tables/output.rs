//! What a source writes in one reading.

use fleetgauge_proto::catalog::FamilyKind;

use super::{Readout, TableSpec, TableWriter};

/// What a source writes: rows of the tables that it declared, and samples of families that it found.
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
/// output.row(0, &["sdb"])[0] = 2e9;
/// output.row(0, &["sda"])[0] = 1e9;
/// let family = FoundFamily { name: "pool_reads", kind: FamilyKind::Unknown, help: "" };
/// output.sample(family, &[("pool", "tank")], 5.0);
/// ```
#[derive(Debug, Default)]
pub struct Output {
    tables: TableWriter,
    found: Vec<FoundSample>,
}

/// Name, labels and value of a sample.
type FoundSample = (Box<str>, Vec<(Box<str>, Box<str>)>, f64);

/// A family whose name the source found when it read the host: not declared in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundFamily<'a> {
    /// Name of the family.
    pub name: &'a str,
    /// Metric type: gauge, counter as named, or unknown.
    pub kind: FamilyKind,
    /// Help text.
    pub help: &'a str,
}

impl Output {
    /// Creates the output of a source with these tables.
    #[must_use]
    pub fn new(tables: &[TableSpec]) -> Self {
        Self { tables: TableWriter::new(tables), found: Vec::new() }
    }

    /// Adds a row to the source's table with this index. Returns its values, all of them absent.
    ///
    /// An empty label value means that the series do not have the label. A table without row labels
    /// has one row: all calls return the same values.
    ///
    /// # Panics
    /// The source did not declare the table, or the table has another number of row labels.
    pub fn row(&mut self, table: usize, labels: &[&str]) -> &mut [f64] {
        self.tables.row(table, labels)
    }

    /// Adds a sample of a family that was found. Of two samples with the same name and labels, the
    /// first one counts.
    pub fn sample(&mut self, family: FoundFamily<'_>, labels: &[(&str, &str)], value: f64) {
        let labels = labels.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        self.found.push((family.name.into(), labels.collect(), value));
    }

    /// Returns the samples of families that were found.
    #[cfg(test)]
    pub(super) fn found_samples(&self) -> Vec<FoundSample> {
        self.found.clone()
    }

    /// Ends the reading.
    #[must_use]
    pub fn finish(self) -> Readout {
        self.tables.finish()
    }
}
