//! Schema as it is encoded.

use crate::codec::{BorrowDecode, Encode};
use crate::labels::Label;

/// A metric family as it is encoded. Not validated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, BorrowDecode)]
pub struct Family<'a> {
    /// Metric name without the suffix of its type, such as `_total`.
    pub name: &'a str,
    /// Number of a metric type: see `FamilyKind`. A later version may have more types.
    pub kind: u8,
    /// Unit; empty if it has none.
    pub unit: &'a str,
    /// Help text; may be empty.
    pub help: &'a str,
}

/// A series as it is encoded. Not validated.
#[derive(Debug, Clone, PartialEq, Encode, BorrowDecode)]
pub struct Series<'a> {
    /// Index of the series' family in the schema.
    pub family: u32,
    /// Number of values of the series in a report.
    pub width: u32,
    /// Bucket bounds of a histogram or quantiles of a summary; otherwise empty.
    pub parameters: Vec<f64>,
    /// Labels of the series.
    pub labels: Vec<Label<'a>>,
}

/// Declares the families and series of the agent's reports, in order. Not validated: see
/// [`crate::Schema`].
#[derive(Debug, Clone, PartialEq, Encode, BorrowDecode)]
pub struct Schema<'a> {
    /// Stream number: 0 in version 1.
    pub stream: u32,
    /// Metric families.
    pub families: Vec<Family<'a>>,
    /// Series, in the order of their values.
    pub series: Vec<Series<'a>>,
}
