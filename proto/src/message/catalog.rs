//! Catalog and Rows as they are encoded.

use crate::codec::{BorrowDecode, Encode};
use crate::labels::Label;

/// A metric family as it is encoded. Not validated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, BorrowDecode)]
pub struct Family<'a> {
    /// Metric name without the suffix of its kind, such as `_total`.
    pub name: &'a str,
    /// Number of a `FamilyKind`, or of a kind of a later version.
    pub kind: u8,
    /// Unit; empty if it has none.
    pub unit: &'a str,
    /// Help text; may be empty.
    pub help: &'a str,
}

/// A column as it is encoded: one series of every row of its table. Not validated.
#[derive(Debug, Clone, PartialEq, Encode, BorrowDecode)]
pub struct Column<'a> {
    /// Index of its family in the catalog.
    pub family: u32,
    /// Number of its values in a row.
    pub width: u32,
    /// Decimal places that its values usually have, 0 to 9: the unit of steps in the compact
    /// coding, so both ends must use the same. Values are exact whatever it is.
    pub decimals: u8,
    /// Bucket bounds of a histogram or quantiles of a summary; otherwise empty.
    pub parameters: Vec<f64>,
    /// Labels that all its series have.
    pub labels: Vec<Label<'a>>,
}

/// A table as it is encoded: columns whose rows have the same labels. Not validated.
#[derive(Debug, Clone, PartialEq, Encode, BorrowDecode)]
pub struct Table<'a> {
    /// Names of the labels that rows have values for. Without any, the table has exactly one row.
    pub row_labels: Vec<&'a str>,
    /// Columns, in the order of the values of a row.
    pub columns: Vec<Column<'a>>,
}

/// Declares what an agent can report: everything that does not depend on its host. Not validated:
/// see [`crate::Catalog`].
#[derive(Debug, Clone, PartialEq, Encode, BorrowDecode)]
pub struct Catalog<'a> {
    /// Stream number: [`crate::stream::LIVE`] or [`crate::stream::REPLAY`].
    pub stream: u32,
    /// Position among the agent's catalogs, below 16.
    pub slot: u8,
    /// Metric families.
    pub families: Vec<Family<'a>>,
    /// Tables, in the order of their values in a report.
    pub tables: Vec<Table<'a>>,
}

/// Changes of the rows of one table, as they are encoded. Not validated: see [`crate::rows`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, BorrowDecode)]
pub struct RowChange<'a> {
    /// Slot of the catalog.
    pub slot: u8,
    /// Index of the table in the catalog.
    pub table: u32,
    /// Positions of the rows to remove, before any is removed or added; ascending.
    pub removed: Vec<u32>,
    /// Label values of the rows to add, row after row, each with a value for every row label of
    /// the table. Rows are in ascending order.
    pub added: Vec<&'a str>,
}

/// Adds and removes rows.
#[derive(Debug, Clone, PartialEq, Eq, Encode, BorrowDecode)]
pub struct Rows<'a> {
    /// Stream number: [`crate::stream::LIVE`] or [`crate::stream::REPLAY`].
    pub stream: u32,
    /// The changes, in ascending order of slot and table; at most one for each table.
    pub changes: Vec<RowChange<'a>>,
}
