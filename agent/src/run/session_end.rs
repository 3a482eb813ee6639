//! How a session ends.

use std::time::{Duration, Instant};

use super::control::Command;
use super::lost::Lost;

/// How a connection ended.
pub(super) enum SessionEnd {
    /// A command: shut down or use new settings.
    Command(Command),
    /// The agent left because the collector sent Drain.
    Drained {
        /// Time until the end of the Drain's delay; not zero if the collector closed the connection
        /// early.
        remaining: Duration,
        /// Collector to connect to next, not validated; `None`: the configured one.
        target: Option<Box<str>>,
    },
    /// The collector sent Reject.
    Rejected { code: u16, text: Box<str>, retry_after: Option<Duration> },
    /// The connection was lost.
    Lost(Lost),
}

/// A received Drain whose delay has not passed.
pub(super) struct PendingDrain {
    pub(super) leave: Instant,
    pub(super) target: Option<Box<str>>,
}
