//! What went on from second to second, for the plots.

use serde::Serialize;

/// The course of a test.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Timeline {
    /// How long each part of the test took, in the order in which they began.
    #[serde(rename = "parts")]
    pub phases: Vec<Phase>,
    /// One entry a second.
    pub seconds: Vec<Second>,
    /// One entry a page.
    pub scrapes: Vec<ScrapeRecord>,
    /// What was done, and when.
    pub events: Vec<TimelineEvent>,
}

/// A part of a test.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Phase {
    /// What it was for.
    pub what: String,
    /// How long it took.
    pub took_seconds: f64,
}

/// What went on in a second. Of several collectors it is the sum.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Second {
    /// Its end, from the beginning of the test.
    pub at_seconds: f64,
    /// Agents in a session.
    pub agents_connected: u64,
    /// Agents on the last pages, one of each collector.
    pub agents_shown: Option<u64>,
    /// Reports written in it.
    pub reports: u64,
    /// From when they were due to when the collector had taken them in; none if it took none of
    /// those with a Ping in.
    pub lag: Option<Lag>,
    /// CPU of the collectors, user and system.
    pub collector_cores: Option<f64>,
    /// Resident memory of the collectors.
    pub collector_resident_bytes: Option<u64>,
}

/// The lag of the reports of one second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Lag {
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
    /// From when they were due to when they were written, into the kernel's buffer.
    pub written_p99_ms: f64,
    /// The generator's own part of it: its timer woke late.
    pub own_p99_ms: f64,
}

/// What one page took.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ScrapeRecord {
    /// When it was asked for, from the beginning of the test.
    pub at_seconds: f64,
    /// From the request's first byte to the response's last.
    pub took_ms: f64,
    /// Bytes of the body as they came over the wire.
    pub bytes: usize,
    /// Samples on it; none if it was not read, or did not come whole.
    pub samples: Option<usize>,
}

/// Something that the test did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TimelineEvent {
    /// When, from the beginning of the test.
    pub at_seconds: f64,
    /// What, in a word or two.
    pub what: String,
}
