//! Account of everything that arrived.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::findings::{FindingKind, Findings};
use crate::samples::{Detail, Epoch};
use crate::series::{self, Series, SeriesTable};
use crate::wire::MetricMetadata;

/// Bounds on what a ledger keeps. A request beyond them is refused with 503.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Number of series.
    pub series: usize,
    /// Number of samples.
    pub samples: u64,
    /// Bytes of the labels of all series.
    pub label_bytes: usize,
    /// Number of metric families with metadata.
    pub families: usize,
    /// What is kept of samples.
    pub detail: Detail,
}

impl Default for Limits {
    /// Bounds for a machine with a few GB of memory.
    fn default() -> Self {
        Self {
            // A series takes some 120 bytes without its labels and samples.
            series: 4_000_000,
            // A sample takes 16 to 20 bytes.
            samples: 200_000_000,
            label_bytes: 2 << 30,
            families: 100_000,
            detail: Detail::Values,
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) requests: u64,
    pub(crate) bytes: u64,
    pub(crate) stored_requests: u64,
    pub(crate) mixed_requests: u64,
    pub(crate) samples: u64,
    pub(crate) markers: u64,
    pub(crate) connections: u64,
}

/// Account of all requests, series and samples.
///
/// A request is stored as a whole or not at all.
#[derive(Debug)]
pub struct Ledger {
    pub(crate) start: Instant,
    pub(crate) epoch: Epoch,
    pub(crate) limits: Limits,
    pub(crate) table: SeriesTable,
    pub(crate) metadata: BTreeMap<String, MetricMetadata>,
    pub(crate) findings: Findings,
    pub(crate) totals: Totals,
    answers: BTreeMap<u16, u64>,
    /// Number of the newest request that was decoded.
    pub(crate) decoded: u64,
}

impl Default for Ledger {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Ledger {
    /// An empty ledger.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            start: Instant::now(),
            epoch: Epoch::around(i64::try_from(unix.as_millis()).unwrap_or(i64::MAX)),
            limits,
            table: SeriesTable::default(),
            metadata: BTreeMap::new(),
            findings: Findings::default(),
            totals: Totals::default(),
            answers: BTreeMap::new(),
            decoded: 0,
        }
    }

    /// All series that have samples, in the order of their first arrival.
    pub fn series(&self) -> impl Iterator<Item = Series<'_>> {
        let with_samples = |history: &&series::History| history.newest_unix_ms().is_some();
        self.table.iter().filter(with_samples).map(|history| Series::new(history, self.start))
    }

    /// The series with exactly these labels.
    #[must_use]
    pub fn find(&self, labels: &[(&str, &str)]) -> Option<Series<'_>> {
        let history = self.table.get(self.table.find(&series::key(labels))?)?;
        history.newest_unix_ms().map(|_| Series::new(history, self.start))
    }

    /// Whether a series exists and its newest sample is not a stale marker.
    #[must_use]
    pub fn is_live(&self, labels: &[(&str, &str)]) -> bool {
        self.find(labels).is_some_and(Series::is_live)
    }

    /// Stored samples, without repeats, with stale markers.
    #[must_use]
    pub fn samples_total(&self) -> u64 {
        self.totals.samples
    }

    /// Stored stale markers, without repeats.
    #[must_use]
    pub fn markers_total(&self) -> u64 {
        self.totals.markers
    }

    /// Samples that were stored already with the same value.
    #[must_use]
    pub fn repeated_total(&self) -> u64 {
        self.findings.count(FindingKind::Repeated)
    }

    /// Requests that were read to their end, or were refused because of their size.
    #[must_use]
    pub fn requests_total(&self) -> u64 {
        self.totals.requests
    }

    /// Requests whose samples were stored.
    #[must_use]
    pub fn stored_requests_total(&self) -> u64 {
        self.totals.stored_requests
    }

    /// Stored requests with both stale markers and other samples.
    #[must_use]
    pub fn mixed_requests_total(&self) -> u64 {
        self.totals.mixed_requests
    }

    /// Bytes of all bodies as sent, that is compressed.
    #[must_use]
    pub fn bytes_total(&self) -> u64 {
        self.totals.bytes
    }

    /// Connections that were accepted.
    #[must_use]
    pub fn connections_total(&self) -> u64 {
        self.totals.connections
    }

    /// Number of answers with a status.
    #[must_use]
    pub fn answers(&self, status: u16) -> u64 {
        self.answers.get(&status).copied().unwrap_or(0)
    }

    /// Newest metadata by metric family.
    #[must_use]
    pub fn metadata(&self) -> &BTreeMap<String, MetricMetadata> {
        &self.metadata
    }

    /// What deviated from the protocol.
    #[must_use]
    pub fn findings(&self) -> &Findings {
        &self.findings
    }

    pub(crate) fn note(&mut self, kind: FindingKind, text: impl FnOnce() -> String) {
        self.findings.note(kind, text);
    }

    pub(crate) fn note_request(&mut self, bytes: usize) {
        self.totals.requests = self.totals.requests.saturating_add(1);
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.totals.bytes = self.totals.bytes.saturating_add(bytes);
    }

    pub(crate) fn note_answer(&mut self, status: u16) {
        let count = self.answers.entry(status).or_default();
        *count = count.saturating_add(1);
    }

    pub(crate) fn note_connection(&mut self) {
        self.totals.connections = self.totals.connections.saturating_add(1);
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} series, {:?}", self.series().count(), self.totals)?;
        writeln!(f, "answers by status: {:?}", self.answers)?;
        write!(f, "{}", self.findings)
    }
}
