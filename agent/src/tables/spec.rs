//! Declarations of tables.

use fleetgauge_proto::catalog::FamilyKind;
use fleetgauge_proto::message::{self, Family, Label};

/// Declares a table of a source.
///
/// ```
/// use fleetgauge_agent::tables::{ColumnSpec, TableSpec};
/// use fleetgauge_proto::catalog::FamilyKind;
/// use fleetgauge_proto::message::Family;
///
/// const READ: Family<'static> = Family {
///     name: "node_disk_read_bytes",
///     kind: FamilyKind::Counter as u8,
///     unit: "bytes",
///     help: "Bytes read from the device.",
/// };
/// let disk = TableSpec { row_labels: &["device"], columns: vec![ColumnSpec::new(READ)] };
/// assert_eq!(disk.width(), 1);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct TableSpec {
    /// Names of the labels that rows have values for. Without any, the table has exactly one row.
    pub row_labels: &'static [&'static str],
    /// Columns, in the order of the values of a row.
    pub columns: Vec<ColumnSpec>,
}

/// Declares a column: a family with fixed labels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ColumnSpec {
    /// The family. All columns with this family name must declare an identical family.
    pub family: Family<'static>,
    /// Decimal places that its values usually have, 0 to 9: the unit of steps in the compact
    /// coding. Values are exact whatever it is; only the size of reports depends on it.
    pub decimals: u8,
    /// Labels that all its series have: names and values.
    pub labels: &'static [(&'static str, &'static str)],
    /// Bucket bounds of a histogram or quantiles of a summary; otherwise empty.
    pub parameters: &'static [f64],
}

impl TableSpec {
    /// Returns the number of values of a row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.columns.iter().map(ColumnSpec::width).sum()
    }
}

impl ColumnSpec {
    /// Declares a column of whole numbers without labels.
    #[must_use]
    pub const fn new(family: Family<'static>) -> Self {
        Self { family, decimals: 0, labels: &[], parameters: &[] }
    }

    /// Returns the number of values in a row. A histogram has a value for each bound, then the
    /// count and the sum; a summary likewise.
    #[must_use]
    pub fn width(&self) -> usize {
        match FamilyKind::from_u8(self.family.kind) {
            Some(FamilyKind::Histogram | FamilyKind::Summary) => self.parameters.len() + 2,
            _ => 1,
        }
    }

    /// Returns the column as it is encoded, of the family with this index.
    pub(super) fn to_message(self, family: u32) -> message::Column<'static> {
        let label = |(name, value): &(&'static str, &'static str)| Label { name, value };
        message::Column {
            family,
            width: u32::try_from(self.width()).unwrap_or(u32::MAX),
            decimals: self.decimals,
            parameters: self.parameters.to_vec(),
            labels: self.labels.iter().map(label).collect(),
        }
    }
}
