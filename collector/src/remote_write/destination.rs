//! A destination: its lanes, and what their senders share.

use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use tracing::{info, warn};

use super::compression::Compression;
use super::entry::Entry;
use super::lane::{BatchLimits, Lane, QueueMemory};
use super::metrics::{DestinationMetrics, RemoteWriteMetrics};
use super::outcome::Confirmation;
use crate::config::{DestinationSettings, Protocol};

/// Maximum missing reports that one gap in an agent's sequence numbers counts as: those of a week
/// at an interval of a second. An agent can claim any number.
const MAX_MISSING: u64 = 7 * 86_400;

/// Maximum difference of the engine's clock that is not logged, in seconds. The engine's time is
/// known to a second.
const MAX_CLOCK_OFFSET: u64 = 5;

/// An engine to which samples are forwarded.
#[derive(Debug)]
pub(super) struct Destination {
    pub(super) settings: DestinationSettings,
    pub(super) metrics: DestinationMetrics,
    pub(super) compression: Compression,
    /// Of remote write 2.0.
    pub(super) confirmation: Arc<Confirmation>,
    lanes: Box<[Lane]>,
    memory: Arc<QueueMemory>,
    /// Time of the newest accepted sample, in unix milliseconds.
    newest_ms: AtomicI64,
    /// Whether the last request failed: a change is logged.
    is_failing: AtomicBool,
    /// Whether the engine's clock differs: a change is logged.
    is_clock_off: AtomicBool,
}

impl Destination {
    pub(super) fn new(settings: &DestinationSettings, metrics: &RemoteWriteMetrics) -> Self {
        let memory = Arc::new(QueueMemory::new(settings.max_queue_bytes));
        let limits = BatchLimits { series: settings.max_samples, delay: settings.flush_delay };
        let lanes = (0..settings.lanes.max(1)).map(|_| Lane::new(&memory, limits)).collect();
        Self {
            metrics: metrics.of(&settings.name),
            compression: Compression::new(settings.compression),
            confirmation: Arc::default(),
            settings: settings.clone(),
            lanes,
            memory,
            newest_ms: AtomicI64::new(0),
            is_failing: AtomicBool::new(false),
            is_clock_off: AtomicBool::new(false),
        }
    }

    pub(super) fn lanes(&self) -> &[Lane] {
        &self.lanes
    }

    /// Whether there is room for replayed reports.
    pub(super) fn has_room(&self) -> bool {
        self.memory.has_room()
    }

    /// Appends a report of the agent with this hash, behind the stale markers of series that it
    /// lacks: once the engine has accepted the report, it has the markers. Returns `false` if there
    /// is no room for both.
    pub(super) fn push(
        &self,
        hash: u64,
        gone: Option<Entry>,
        report: &Arc<Entry>,
        is_reserved: bool,
    ) -> bool {
        match gone {
            None => self.lane(hash).push(slice::from_ref(report), is_reserved),
            Some(gone) => self.lane(hash).push(&[Arc::new(gone), Arc::clone(report)], is_reserved),
        }
    }

    fn lane(&self, hash: u64) -> &Lane {
        let lane = usize::try_from(hash % self.lanes.len() as u64).unwrap_or(0);
        &self.lanes[lane]
    }

    /// Returns the number of samples of an entry. Rules may drop some of them.
    pub(super) fn samples_of(&self, entry: &Entry) -> usize {
        entry.samples(self.settings.rules.agent_up())
    }

    /// Appends stale markers of the agent with this hash.
    pub(super) fn push_markers(&self, hash: u64, markers: Entry) {
        let markers = Arc::new(markers);
        if !self.lane(hash).push(slice::from_ref(&markers), true) {
            self.metrics.stale_markers_dropped.inc_by(self.samples_of(&markers) as u64);
        }
    }

    /// Counts reports that an agent should have sent again and does not have.
    pub(super) fn reports_missing(&self, reports: u64) {
        self.metrics.reports_missing.inc_by(reports.min(MAX_MISSING));
    }

    /// Records the time of accepted samples.
    pub(super) fn accepted_until(&self, unix_ms: i64) {
        if self.newest_ms.fetch_max(unix_ms, Ordering::Relaxed) < unix_ms {
            self.metrics.highest_sent.set(seconds(unix_ms));
        }
    }

    /// Updates the gauges of the queues.
    pub(super) fn update_gauges(&self, now_ms: i64) {
        let samples: usize = self.lanes.iter().map(Lane::pending).sum();
        self.metrics.samples_pending.set(i64::try_from(samples).unwrap_or(i64::MAX));
        let oldest = self.lanes.iter().filter_map(Lane::oldest).min();
        let lag = oldest.map_or(0, |oldest| now_ms.saturating_sub(oldest).max(0));
        self.metrics.lag.set(seconds(lag));
    }

    /// Records an accepted request. Logs it if the one before failed.
    pub(super) fn succeeded(&self) {
        if self.is_failing.swap(false, Ordering::Relaxed) {
            info!(remote_name = &*self.settings.name, "remote write works again");
        }
    }

    /// Records a failed request. Logs the first one.
    pub(super) fn failed(&self, error: &str) {
        if !self.is_failing.swap(true, Ordering::Relaxed) {
            let (remote_name, url) = (&*self.settings.name, self.settings.url.authority());
            warn!(remote_name, url, error, "remote write failed; retrying");
        }
    }

    /// Records a request whose protocol the engine does not know.
    pub(super) fn failed_protocol(&self, status: u16) {
        let problem = match self.settings.protocol {
            Protocol::V1 => "the engine does not accept remote write 1.0",
            Protocol::V2 => {
                "the engine does not confirm remote write 2.0; set protocol to 1.0 if it never does"
            }
        };
        self.failed(&format!("HTTP status {status}: {problem}"));
    }

    /// Records how many seconds the engine's clock is ahead of the collector's.
    pub(super) fn clock_offset(&self, offset: i64) {
        self.metrics.clock_offset.set(offset as f64);
        let is_off = offset.unsigned_abs() > MAX_CLOCK_OFFSET;
        if self.is_clock_off.swap(is_off, Ordering::Relaxed) == is_off {
            return;
        }
        let remote_name = &*self.settings.name;
        if is_off {
            warn!(
                remote_name,
                offset,
                "clock differs from the engine's; synchronize both, or samples get wrong times"
            );
        } else {
            info!(remote_name, offset, "clock agrees with the engine's again");
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "times stay far below 2^53 ms")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1_000.0
}
