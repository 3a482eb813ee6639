//! What identifies a report.

/// Stream, sequence number and time of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportId {
    /// Stream number: [`fleetgauge_proto::stream::LIVE`] or [`fleetgauge_proto::stream::REPLAY`].
    pub stream: u32,
    /// Sequence number.
    pub sequence: u64,
    /// Time of the sample on the collector's clock, in milliseconds since the Unix epoch.
    pub unix_ms: u64,
}
