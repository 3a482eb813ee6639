//! Reads the reports of a log in order.

use super::ReportLog;
use super::segment::{Place, Segment};
use crate::catalogs::Catalogs;
use crate::tables::Sample;

/// A place in a log, from which reports are read in ascending order.
///
/// The log may change between two calls: reports that are dropped meanwhile are skipped, and those
/// that are added follow.
#[derive(Debug, Default)]
pub struct ReplayCursor {
    /// The lowest sequence number to read.
    next: u64,
    /// The sequence number to begin with. Its report is read even if it is the newest acknowledged
    /// one.
    first: u64,
    /// The segment of the last report, by the sequence number of its first report, and the place
    /// after the last report.
    place: Option<(u64, Place)>,
    /// Rows and values of the last report.
    sample: Sample,
}

/// A report of a log.
#[derive(Debug, Clone, Copy)]
pub struct LoggedReport<'a> {
    /// Sequence number.
    pub sequence: u64,
    /// Time of the sample, in milliseconds since the Unix epoch.
    pub unix_ms: u64,
    /// The catalogs of the sample's tables.
    pub catalogs: &'a Catalogs,
    /// Rows and values.
    pub sample: &'a Sample,
}

impl From<u64> for ReplayCursor {
    /// Creates a cursor that begins with the first report of at least this sequence number. If that
    /// is the newest acknowledged one, it is read, too.
    fn from(first: u64) -> Self {
        Self { next: first, first, ..Self::default() }
    }
}

impl ReplayCursor {
    /// Returns the lowest sequence number that [`Self::next`] may return.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.next
    }

    /// Skips the reports below a sequence number.
    pub fn skip_to(&mut self, first: u64) {
        self.next = self.next.max(first);
    }

    /// Returns the next report; `None` if the log has none yet.
    pub fn next<'a>(&'a mut self, log: &'a ReportLog) -> Option<LoggedReport<'a>> {
        if self.next != self.first || self.first < log.acknowledged {
            self.next = self.next.max(log.acknowledged.saturating_add(1));
        }
        let from = log.segments.partition_point(|segment| segment.last() < self.next);
        let checkpoint = log.checkpoint.as_deref().filter(|segment| segment.last() >= self.next);
        for segment in checkpoint.into_iter().chain(log.segments.range(from..)) {
            if let Some((sequence, unix_ms)) = self.next_of(segment) {
                self.next = sequence.saturating_add(1);
                let (catalogs, sample) = (segment.catalogs(), &self.sample);
                return Some(LoggedReport { sequence, unix_ms, catalogs, sample });
            }
        }
        None
    }

    /// Decodes the reports of a segment up to the next one to read. Returns its sequence number and
    /// time.
    fn next_of(&mut self, segment: &Segment) -> Option<(u64, u64)> {
        let mut place = match self.place {
            Some((first, place)) if first == segment.first() => place,
            _ => {
                self.sample.rows = segment.rows().to_vec();
                self.sample.values.clear();
                self.sample.values.resize(segment.cells(), 0.0);
                segment.start()
            }
        };
        while let Some(report) = segment.report_at(place) {
            if !segment.decode(report, &mut self.sample.values) {
                // The values are undefined now.
                self.place = None;
                return None;
            }
            place = report.end;
            self.place = Some((segment.first(), place));
            if report.sequence >= self.next {
                return Some((report.sequence, report.unix_ms));
            }
        }
        None
    }
}
