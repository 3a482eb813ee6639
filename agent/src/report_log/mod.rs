//! The log of reports: keeps them in memory until the collector acknowledges them.
//!
//! It is only a data structure: it does no I/O and reads no clock. The caller assigns sequence
//! numbers and times.
//!
//! Reports are stored in **segments**. The first report of a segment has all values, each later
//! one those that differ from the report before, in the compact coding of the protocol. Catalogs
//! and rows are the same for all reports of a segment and shared with the samples. Whole segments
//! are dropped, so that what remains can be decoded.
//!
//! The newest acknowledged report is kept, too, as the **checkpoint** unless the first segment has
//! it. It tells another collector which series engines have.

mod checkpoint;
mod cursor;
pub(crate) mod file;
mod restore;
mod segment;
mod varint;

pub use cursor::{LoggedReport, ReplayCursor};

use std::collections::VecDeque;
use std::time::Duration;

use fleetgauge_proto::report::EncodedValues;
use segment::Segment;

use crate::catalogs::Catalogs;
use crate::client::LEAST_STEP_MS;
use crate::tables::Sample;

/// Default maximum size of the log, in bytes: hours of reports of a host with many exporters.
pub const DEFAULT_LOG_BYTES: usize = 4 * 1024 * 1024;
/// Default maximum age of a report. Engines refuse samples that are much older.
pub const DEFAULT_LOG_AGE: Duration = Duration::from_secs(6 * 60 * 60);
/// Maximum number of reports of a segment. Fewer would store all values more often; more would
/// keep more acknowledged reports, and take longer to decode.
const SEGMENT_REPORTS: usize = 64;
/// A segment ends when it takes this part of the log's size or age, so that little is dropped at
/// once.
const SEGMENT_PART: usize = 8;

/// Bounds of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLimits {
    /// Maximum size, in bytes.
    pub bytes: usize,
    /// Maximum age of a report, compared with the newest one.
    pub age: Duration,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self { bytes: DEFAULT_LOG_BYTES, age: DEFAULT_LOG_AGE }
    }
}

/// The newest reports of an agent that are not acknowledged.
///
/// ```
/// use fleetgauge_agent::metrics::{MetricSet, Selection};
/// use fleetgauge_agent::report_log::{LogLimits, ReplayCursor, ReportLog};
/// use fleetgauge_agent::tables::Sample;
///
/// let catalogs = Selection::of(MetricSet::Basic).catalogs().clone();
/// let mut log = ReportLog::new(LogLimits::default());
/// for sequence in 1..=3 {
///     let values = vec![0.25, 0.5, 0.75, 8e9, 4e9, sequence as f64];
///     let sample = Sample { rows: catalogs.no_rows(), values };
///     assert!(log.append(&sample, &catalogs, sequence, 1_000 * sequence));
/// }
/// log.acknowledge(1);
/// assert_eq!((log.first(), log.last(), log.len()), (2, 3, 2));
///
/// let mut cursor = ReplayCursor::from(0);
/// let report = cursor.next(&log).expect("a report");
/// assert_eq!((report.sequence, report.unix_ms, report.sample.values[5]), (2, 2_000, 2.0));
/// ```
#[derive(Debug, Default)]
pub struct ReportLog {
    limits: LogLimits,
    segments: VecDeque<Segment>,
    /// The newest acknowledged report, alone in a segment. `None` if the first segment has it, or
    /// if there was no room.
    checkpoint: Option<Box<Segment>>,
    /// Values of the newest report, with which the next one is compared.
    newest: Vec<f64>,
    encoder: EncodedValues,
    /// Sequence number and time of the newest report; 0 before the first.
    last: u64,
    last_ms: u64,
    /// All reports up to this sequence number are acknowledged.
    acknowledged: u64,
    dropped: u64,
    /// The times from this sequence number on are estimates.
    estimated_from: u64,
    /// Time of the last report of an earlier process that is not an estimate; 0 without one.
    settled_ms: u64,
    /// Whether the next report begins a segment in any case.
    begins_segment: bool,
    /// Number of times that stored reports were changed.
    revision: u64,
}

impl ReportLog {
    /// Creates an empty log.
    #[must_use]
    pub fn new(limits: LogLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Changes the bounds. Drops reports that exceed them.
    pub fn set_limits(&mut self, limits: LogLimits) {
        self.limits = limits;
        self.drop_excess();
    }

    /// Adds a report, and drops the oldest ones beyond the bounds. Returns whether it was added: it
    /// is not if sequence number or time do not rise, if the sample does not fit the catalogs, or
    /// if the report alone exceeds the bounds.
    pub fn append(
        &mut self,
        sample: &Sample,
        catalogs: &Catalogs,
        sequence: u64,
        unix_ms: u64,
    ) -> bool {
        let rises = sequence > self.last && (unix_ms > self.last_ms || self.last == 0);
        if !rises || !fits(sample, catalogs) {
            return false;
        }
        (self.last, self.last_ms) = (sequence, unix_ms);
        match self.segments.back_mut().filter(|segment| segment.has_layout(catalogs, sample)) {
            Some(segment) if !(self.begins_segment || is_full(segment, self.limits, unix_ms)) => {
                let shape = segment::shape(catalogs, &sample.rows);
                self.encoder.encode_changed(&self.newest, &sample.values, shape);
                segment.push(sequence, unix_ms, &self.encoder.values());
            }
            _ => self.begin_segment(sample, catalogs),
        }
        self.newest.clear();
        self.newest.extend_from_slice(&sample.values);
        self.drop_excess();
        !self.segments.is_empty()
    }

    fn begin_segment(&mut self, sample: &Sample, catalogs: &Catalogs) {
        if let Some(previous) = self.segments.back_mut() {
            previous.close();
        }
        let previous = self.segments.back();
        let start = (self.last, self.last_ms);
        let (rows, cells) = (&sample.rows, sample.values.len());
        let mut segment = Segment::new(catalogs, rows, cells, previous, start);
        self.encoder.encode_all(&sample.values, segment::shape(catalogs, &sample.rows));
        segment.push(self.last, self.last_ms, &self.encoder.values());
        self.segments.push_back(segment);
        self.share_checkpoint();
        self.begins_segment = false;
    }

    /// Changes the times that are estimates, before any of their reports is read: until an agent
    /// knows the time of a collector, it estimates. They change by this number of milliseconds,
    /// but remain above those of earlier reports and, as far as possible, not above `now_ms`.
    /// Returns the number of milliseconds by which they changed.
    pub fn settle_times(&mut self, by_ms: i64, now_ms: u64) -> i64 {
        let from = std::mem::replace(&mut self.estimated_from, u64::MAX);
        if from > self.last || self.last == 0 {
            self.last_ms = self.last_ms.max(self.settled_ms);
            return by_ms;
        }
        let mut estimated = self.segments.iter_mut().skip_while(|one| one.first() < from);
        let first = estimated.next();
        let first_ms = first.as_ref().map_or(self.last_ms, |first| first.first_ms());
        let mut by_ms = by_ms.min(difference(now_ms, self.last_ms));
        if self.settled_ms > 0 {
            let least = self.settled_ms.saturating_add(LEAST_STEP_MS);
            by_ms = by_ms.max(difference(least, first_ms));
        }
        first.into_iter().chain(estimated).for_each(|segment| segment.shift_times(by_ms));
        self.last_ms = self.last_ms.saturating_add_signed(by_ms);
        self.revision += u64::from(by_ms != 0);
        by_ms
    }

    /// Drops the reports up to a sequence number, but keeps the last of them as the checkpoint. A
    /// number above the newest report counts as that of the newest report.
    pub fn acknowledge(&mut self, sequence: u64) {
        self.acknowledged = self.acknowledged.max(sequence.min(self.last));
        let mut dropped = None;
        while self.segments.front().is_some_and(|oldest| oldest.last() <= self.acknowledged) {
            dropped = self.drop_oldest();
        }
        self.keep_checkpoint(dropped);
    }

    /// Returns the lowest sequence number that is not acknowledged; that of the next report if
    /// there is none.
    #[must_use]
    pub fn first(&self) -> u64 {
        let next = self.last.saturating_add(1);
        let Some(oldest) = self.segments.front() else { return next };
        let mut sequences = oldest.reports().map(|report| report.sequence);
        sequences.find(|sequence| *sequence > self.acknowledged).unwrap_or(next)
    }

    /// Returns the sequence number of the newest report; 0 before the first.
    #[must_use]
    pub const fn last(&self) -> u64 {
        self.last
    }

    /// Returns the time of the newest report; 0 before the first.
    #[must_use]
    pub(crate) fn last_ms(&self) -> u64 {
        self.last_ms.max(self.settled_ms)
    }

    /// Returns the number of reports that are not acknowledged.
    #[must_use]
    pub fn len(&self) -> usize {
        self.segments.iter().map(|segment| segment.reports_after(self.acknowledged)).sum()
    }

    /// Returns whether all reports are acknowledged.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Returns the memory that the log takes, in bytes. Rows and catalogs count even if the newest
    /// sample shares them.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let segments = self.segments.iter().map(Segment::bytes).sum::<usize>();
        let checkpoint = self.checkpoint.as_deref().map_or(0, Segment::bytes);
        segments + checkpoint + self.newest.capacity() * size_of::<f64>()
    }

    /// Returns the number of reports that were dropped before they were acknowledged.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Drops the oldest reports beyond the bounds.
    fn drop_excess(&mut self) {
        self.limit_checkpoint();
        let age = u64::try_from(self.limits.age.as_millis()).unwrap_or(u64::MAX);
        while let Some(oldest) = self.segments.front() {
            // An estimate may be far from the time of the collector.
            let is_settled = self.has_estimates() && oldest.first() < self.estimated_from;
            let newest_ms = if is_settled { self.settled_ms } else { self.last_ms };
            let is_old = oldest.last_ms() < newest_ms.saturating_sub(age);
            if !is_old && self.bytes() <= self.limits.bytes {
                break;
            }
            self.drop_oldest();
        }
    }

    /// Drops the oldest segment, and the checkpoint: it is not the report before the log any more.
    fn drop_oldest(&mut self) -> Option<Segment> {
        let dropped = self.segments.pop_front()?;
        self.dropped += dropped.reports_after(self.acknowledged) as u64;
        self.checkpoint = None;
        match self.segments.front_mut() {
            // Shared with the dropped segment until now.
            Some(oldest) => oldest.own_layout(),
            None => self.newest = Vec::new(),
        }
        Some(dropped)
    }
}

/// Returns `a - b`.
fn difference(a: u64, b: u64) -> i64 {
    i64::try_from(i128::from(a) - i128::from(b)).unwrap_or(if a > b { i64::MAX } else { i64::MIN })
}

/// Returns whether the next report begins a new segment.
fn is_full(segment: &Segment, limits: LogLimits, unix_ms: u64) -> bool {
    let age = u128::from(unix_ms.saturating_sub(segment.first_ms()));
    segment.len() >= SEGMENT_REPORTS
        || segment.bytes() > limits.bytes / SEGMENT_PART
        || age > limits.age.as_millis() / SEGMENT_PART as u128
}

/// Returns whether a sample has the rows and values of these catalogs.
fn fits(sample: &Sample, catalogs: &Catalogs) -> bool {
    let values = segment::shape(catalogs, &sample.rows)
        .map(|(rows, decimals)| rows.saturating_mul(decimals.len()));
    sample.rows.len() == catalogs.tables().len() && sample.values.len() == values.sum::<usize>()
}

#[cfg(test)]
mod checkpoint_tests;
#[cfg(test)]
mod tests;
