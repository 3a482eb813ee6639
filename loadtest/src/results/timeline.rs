//! The timeline of a test, for the plots.

use serde::Serialize;

/// Phases, counts per second, scrapes and events of a test.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Timeline {
    /// Duration of each phase, in the order in which they began.
    #[serde(rename = "parts")]
    pub phases: Vec<Phase>,
    /// Counts in each second of the test.
    pub seconds: Vec<Second>,
    /// Size and duration of each scrape.
    pub scrapes: Vec<ScrapeRecord>,
    /// Events of the test.
    pub events: Vec<TimelineEvent>,
}

/// A phase of a test.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Phase {
    /// Name of the phase.
    pub what: String,
    /// Duration of the phase.
    pub took_seconds: f64,
}

/// Counts in a second, summed over all collectors.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Second {
    /// End of the second, since the start of the test.
    pub at_seconds: f64,
    /// Number of agents in a session.
    pub agents_connected: u64,
    /// Agents on the latest page of each collector, summed; `None` if no page has arrived.
    pub agents_shown: Option<u64>,
    /// Number of reports that agents wrote to their sockets.
    pub reports: u64,
    /// Time from the due time of reports until the collector had processed them. `None` without an
    /// answered Ping.
    pub lag: Option<Lag>,
    /// Number of CPU cores that the collectors used, user and system; `None` if unknown.
    pub collector_cores: Option<f64>,
    /// Resident memory of the collectors; `None` if unknown.
    pub collector_resident_bytes: Option<u64>,
}

/// Lag of the reports of one second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Lag {
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
    /// Time from the due time of reports until they were written to the socket.
    pub written_p99_ms: f64,
    /// The part of the lag that the load test itself caused, because its timer fired late.
    pub own_p99_ms: f64,
}

/// Size and duration of one scrape.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ScrapeRecord {
    /// Time of the request, since the start of the test.
    pub at_seconds: f64,
    /// Time from the first byte of the request to the last byte of the response.
    pub took_ms: f64,
    /// Length of the body as transferred.
    pub bytes: usize,
    /// Samples on the page; `None` if it was not parsed or not complete.
    pub samples: Option<usize>,
}

/// An event of the test.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TimelineEvent {
    /// Time since the start of the test.
    pub at_seconds: f64,
    /// Name of the event, shown in the plots.
    pub what: String,
}
