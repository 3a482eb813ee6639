//! Report.

use crate::codec::{self, BorrowDecode, Encode};
use crate::report::Values;
use crate::stream::Streams;
use crate::violation::Violation;

/// The agent's newest values, or values of its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, BorrowDecode)]
pub struct Report<'a> {
    /// Stream number: [`crate::stream::LIVE`] or [`crate::stream::REPLAY`].
    pub stream: u32,
    /// Sequence number. Rises with every report of a process; gaps are allowed. A report that is
    /// sent again keeps its number.
    pub sequence: u64,
    /// Time of the sample, in milliseconds since the Unix epoch.
    pub unix_ms: u64,
    /// Values in the order of the catalogs, tables, rows and columns.
    pub values: Values<'a>,
}

impl<'a> Report<'a> {
    /// Decodes the payload of a Report frame on stream 0.
    ///
    /// Equivalent to `Message::decode`, but the result takes less space than a `Message`.
    ///
    /// # Errors
    /// The first [`Violation`] found.
    pub fn decode(payload: &'a [u8]) -> Result<Self, Violation> {
        Self::decode_with(payload, Streams::Live)
    }

    /// Decodes the payload of a Report frame on one of these streams.
    ///
    /// # Errors
    /// The first [`Violation`] found.
    pub fn decode_with(payload: &'a [u8], streams: Streams) -> Result<Self, Violation> {
        let report: Self = codec::decode(payload)?;
        streams.check(report.stream)?;
        Ok(report)
    }
}
