//! Errors of the client.

use fleetgauge_proto::Violation;
use fleetgauge_proto::limits::{MAX_INTERVAL_MS, MIN_INTERVAL_MS};

/// An error that ends the connection, or the error of a report that cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The collector violated the protocol.
    #[error("the collector violated the protocol: {0}")]
    Violation(#[from] Violation),
    /// Welcome selects a version or a capability that Hello did not offer.
    #[error("Welcome selects {0}, which Hello did not offer")]
    NotOffered(&'static str),
    /// Welcome sets an interval outside the range of the protocol.
    #[error(
        "Welcome sets an interval of {0} ms; {MIN_INTERVAL_MS} to {MAX_INTERVAL_MS} ms is allowed"
    )]
    BadInterval(u32),
    /// The agent's catalogs, rows, values or labels exceed a limit of the collector.
    #[error("{what}: {needed}, but the collector allows {allowed} (its setting {setting})")]
    OverLimit {
        /// Name of the quantity that exceeds the limit.
        what: &'static str,
        /// Setting of the collector that raises the limit.
        setting: &'static str,
        /// Amount that the agent needs.
        needed: usize,
        /// Amount that the collector allows.
        allowed: u32,
    },
    /// Series of the agent have a label that the collector sets.
    #[error("series have the label {0:?}, which the collector sets for this agent")]
    PinnedLabel(Box<str>),
    /// The caller reported before Welcome or after the end of the session.
    #[error("no session")]
    NoSession,
    /// A report whose number of values does not match its rows.
    #[error("{given} values, but the rows have {expected}")]
    WrongValueCount {
        /// Number of values in the report.
        given: usize,
        /// Number of values of the rows.
        expected: usize,
    },
    /// A report with the rows of too many or too few tables.
    #[error("rows of {given} tables, but the catalogs have {expected}")]
    WrongTableCount {
        /// Number of tables in the report.
        given: usize,
        /// Number of tables of the catalogs.
        expected: usize,
    },
}

impl ClientError {
    /// Returns the stable name of the error, for logs.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Violation(violation) => violation.code().reason(),
            Self::NotOffered(_) => "not_offered",
            Self::BadInterval(_) => "bad_interval",
            Self::OverLimit { .. } => "over_limit",
            Self::PinnedLabel(_) => "pinned_label",
            Self::NoSession => "no_session",
            Self::WrongValueCount { .. } => "wrong_value_count",
            Self::WrongTableCount { .. } => "wrong_table_count",
        }
    }
}
