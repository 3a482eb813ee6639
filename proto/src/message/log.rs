//! Acknowledge and Resend.

use crate::codec::{BorrowDecode, Encode};

/// The collector does not need reports of the agent's log any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, BorrowDecode)]
pub struct Acknowledge {
    /// Stream number: [`crate::stream::REPLAY`].
    pub stream: u32,
    /// All reports up to this sequence number are durable.
    pub sequence: u64,
    /// Time of the collector, in milliseconds since the Unix epoch, so that the agent's clock does
    /// not drift away from it in a session of months.
    pub unix_ms: u64,
}

/// The collector asks for reports of the agent's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, BorrowDecode)]
pub struct Resend {
    /// Stream number: [`crate::stream::REPLAY`].
    pub stream: u32,
    /// Lowest sequence number that the collector needs.
    pub first: u64,
    /// Number of reports that the agent may send in addition to those that it may send already.
    pub reports: u32,
}
