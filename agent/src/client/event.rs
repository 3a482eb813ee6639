//! What a client tells its caller.

use std::time::Duration;

use fleetgauge_proto::Code;
use fleetgauge_proto::message::Reject;

use super::{ClientError, Terms};

/// What the caller must act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The session began: report the latest sample now, then one per interval.
    Welcomed {
        /// Number of the session in the collector.
        session_id: u64,
        /// Interval between reports that the collector requires, 1 s to 5 min.
        interval: Duration,
        /// Number of catalogs that the collector did not know, and that were sent; or why the
        /// profile does not meet the terms. Then no catalog was sent: the caller must send others
        /// before it reports, or close the connection.
        catalogs_sent: Result<usize, ClientError>,
        /// What the collector requires of samples.
        terms: Terms,
        /// Time of the collector, in milliseconds since the Unix epoch.
        unix_ms: u64,
        /// Whether the collector acknowledges reports and may ask for those of the log.
        has_log: bool,
    },
    /// The collector does not need the reports up to this sequence number any more.
    Acknowledged {
        /// Sequence number.
        sequence: u64,
        /// Time of the collector, in milliseconds since the Unix epoch.
        unix_ms: u64,
    },
    /// Send more reports of the log on stream 1.
    Resend {
        /// Lowest sequence number that the collector needs.
        first: u64,
        /// Number of reports, in addition to those of earlier requests of the session.
        reports: u32,
    },
    /// The collector answered a Ping.
    Pong {
        /// Token of the Ping.
        token: u64,
    },
    /// Leave after the delay, and report until then.
    Drain {
        /// Time from now.
        delay: Duration,
        /// Another collector as `host:port`, not validated; `None`: reconnect to the same one.
        target: Option<Box<str>>,
    },
    /// The collector ended the connection.
    Rejected {
        /// Number of the code; see [`Code::from_u16`].
        code: u16,
        /// Explanation. Untrusted text of the peer.
        text: Box<str>,
        /// Time until the retry; `None`: retrying without a change will fail again.
        retry_after: Option<Duration>,
    },
}

impl Event {
    /// Returns the event of a Reject.
    pub(super) fn rejected(reject: &Reject<'_>) -> Self {
        Self::Rejected {
            code: reject.code,
            text: reject.text.into(),
            retry_after: reject.retry_after_ms.map(|ms| Duration::from_millis(u64::from(ms))),
        }
    }
}

/// Returns the stable name of a Reject code; `unknown` for a code of a later version.
#[must_use]
pub fn code_reason(code: u16) -> &'static str {
    Code::from_u16(code).map_or("unknown", Code::reason)
}
