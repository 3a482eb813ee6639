//! Ping, Pong, Drain, Reject and Bye.

use crate::codec::{BorrowDecode, Encode};

/// Checks that the peer is alive. The peer answers with a Pong of the same token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, BorrowDecode)]
pub struct Ping {
    /// Token that the sender chose. The Pong returns it.
    pub token: u64,
}

/// The answer to a Ping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, BorrowDecode)]
pub struct Pong {
    /// Token of the Ping.
    pub token: u64,
}

/// Asks the agent to disconnect after a delay, during which the agent continues to report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, BorrowDecode)]
pub struct Drain<'a> {
    /// Time until the agent disconnects, in milliseconds.
    pub delay_ms: u32,
    /// Another collector as `host:port`; `None`: reconnect to the configured one.
    pub target: Option<&'a str>,
}

/// The collector ends the connection with a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, BorrowDecode)]
pub struct Reject<'a> {
    /// Stream number: 0.
    pub stream: u32,
    /// Number of a [`crate::Code`], or of a code of a later version.
    pub code: u16,
    /// Explanation for the operator.
    pub text: &'a str,
    /// Time until the agent should retry, in milliseconds; `None`: retrying without a change will
    /// fail again.
    pub retry_after_ms: Option<u32>,
}

/// The agent ends the connection on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, BorrowDecode)]
pub struct Bye {
    /// Stream number: 0.
    pub stream: u32,
    /// Number of a [`ByeReason`], or of a reason of a later version.
    pub reason: u8,
}

/// Why an agent ends its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ByeReason {
    /// The agent stops.
    Stopping = 0,
    /// The collector sent Drain.
    Drained = 1,
    /// The agent reconnects with changed settings.
    Reconfigured = 2,
}
