//! Report.

use crate::codec::{self, BorrowDecode, Encode};
use crate::report::Values;
use crate::stream::check_stream;
use crate::violation::Violation;

/// The agent's newest values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, BorrowDecode)]
pub struct Report<'a> {
    /// Stream number: 0 in version 1.
    pub stream: u32,
    /// Sequence number. Rises with every report of a process; gaps are allowed.
    pub sequence: u64,
    /// Time of the sample, in milliseconds since the Unix epoch.
    pub unix_ms: u64,
    /// Values in the order of the catalogs, tables, rows and columns.
    pub values: Values<'a>,
}

impl<'a> Report<'a> {
    /// Decodes the payload of a Report frame.
    ///
    /// Equivalent to `Message::decode`, but the result takes less space than a `Message`.
    ///
    /// # Errors
    /// The first [`Violation`] found.
    pub fn decode(payload: &'a [u8]) -> Result<Self, Violation> {
        let report: Self = codec::decode(payload)?;
        check_stream(report.stream)?;
        Ok(report)
    }
}
