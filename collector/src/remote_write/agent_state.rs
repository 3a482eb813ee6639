//! What a destination knows of an agent: the series that it was last sent, and their time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use parking_lot::Mutex;

use super::encode::{CellSet, vanished};
use super::entry::{Content, Entry};
use crate::registry::Layout;

/// Forwarding state of an agent. It outlives a session that another one of the same agent takes
/// over, so that series which the new one lacks are marked as stale.
#[derive(Debug)]
pub(crate) struct ForwardedAgent {
    /// Hash of the agent's id, which selects its lane.
    pub(super) hash: u64,
    /// By destination.
    pub(super) sent: Mutex<Box<[Sent]>>,
    /// Number of times that the agent was asked to leave and did. Odd while it has not returned.
    pub(super) departures: AtomicU64,
    /// Its series as the journal has them, or will have soon: those of a forwarded report, and all
    /// that had samples since. `None` if the journal must not have it.
    pub(super) noted: Mutex<Option<Shown>>,
    /// Its report interval in milliseconds.
    pub(super) interval_ms: AtomicU32,
}

/// What a destination was given of an agent.
#[derive(Debug, Clone, Default)]
pub(super) struct Sent {
    /// The last report in order; `None` before the first.
    pub(super) last: Option<Shown>,
    /// Its sequence number.
    pub(super) last_sequence: u64,
    /// Live reports that were given before the log of the agent.
    pub(super) ahead: Option<Ahead>,
}

/// Live reports in a row that a destination was given out of order.
#[derive(Debug, Clone)]
pub(super) struct Ahead {
    pub(super) first_sequence: u64,
    pub(super) last_sequence: u64,
    pub(super) first: Shown,
    pub(super) last: Shown,
}

impl Sent {
    /// Whether this report, which engines have accepted, tells which series the destination has:
    /// it is newer than what is known of them, and the next report that it is given follows this
    /// one.
    pub(super) fn needs(&self, accepted: u64, next: u64) -> bool {
        let is_newer = self.last.is_none() || self.last_sequence < accepted;
        is_newer && accepted.checked_add(1) == Some(next)
    }

    /// Records the last report in order.
    pub(super) fn follow(&mut self, shown: Shown, sequence: u64) {
        (self.last, self.last_sequence) = (Some(shown), sequence);
    }

    /// Returns the time of the newest report, in unix milliseconds.
    pub(super) fn newest_ms(&self) -> Option<i64> {
        let ahead = self.ahead.as_ref().map(|ahead| ahead.last.unix_ms);
        ahead.max(self.last.as_ref().map(|last| last.unix_ms))
    }

    /// Forgets which reports were given out of order, because their session has ended. Returns the
    /// newest report.
    pub(super) fn newest(&mut self) -> Option<&Shown> {
        if let Some(ahead) = self.ahead.take() {
            self.follow(ahead.last, ahead.last_sequence);
        }
        self.last.as_ref()
    }
}

/// The series of an agent at the time of a forwarded report.
#[derive(Debug, Clone)]
pub(super) struct Shown {
    pub(super) labels: Box<str>,
    pub(super) layout: Arc<Layout>,
    pub(super) present: Arc<CellSet>,
    /// Time of the report, in unix milliseconds.
    pub(super) unix_ms: i64,
}

impl ForwardedAgent {
    pub(super) fn new(hash: u64, destinations: usize) -> Self {
        let sent = Mutex::new(vec![Sent::default(); destinations].into());
        let (departures, noted, interval_ms) = Default::default();
        Self { hash, sent, departures, noted, interval_ms }
    }

    /// Returns its report interval in milliseconds.
    pub(super) fn interval_ms(&self) -> u32 {
        self.interval_ms.load(Ordering::Relaxed)
    }

    /// Returns the time of its stale markers in unix milliseconds, if it was asked to leave and
    /// did.
    pub(super) fn ended_ms(&self) -> Option<u64> {
        let has_left = self.departures.load(Ordering::Relaxed) % 2 == 1;
        let last = self.sent.lock().iter().filter_map(Sent::newest_ms).max();
        u64::try_from(last.filter(|_| has_left)?.saturating_add(1)).ok()
    }
}

impl Shown {
    /// Returns stale markers for the series that are not in the next report; `None` if all are.
    pub(super) fn markers_before(&self, next: &Shown) -> Option<Entry> {
        let gone = if self.labels != next.labels {
            CellSet::clone(&self.present)
        } else if Arc::ptr_eq(&self.layout, &next.layout) {
            self.present.minus(&next.present)?
        } else {
            vanished(&self.labels, &self.layout, &self.present, &next.layout, &next.present)?
        };
        Some(self.markers(gone, false))
    }

    /// Returns stale markers for all series, because the agent has left.
    pub(super) fn all_markers(&self) -> Entry {
        self.markers(CellSet::clone(&self.present), true)
    }

    fn markers(&self, series: CellSet, is_end: bool) -> Entry {
        Entry {
            labels: self.labels.clone(),
            layout: Arc::clone(&self.layout),
            content: Content::Markers { series, is_end },
            // A marker at the time of the sample would contradict it.
            unix_ms: self.unix_ms.saturating_add(1),
        }
    }
}
