//! The checkpoint: the newest acknowledged report, which a collector may ask for to learn which
//! series engines have.

use super::ReportLog;
use super::segment::Segment;

impl ReportLog {
    /// Drops all reports and the checkpoint, because the collector does not ask for a log. Counts
    /// them as acknowledged.
    pub(crate) fn clear(&mut self) {
        let had_reports = !self.is_empty() || self.checkpoint.is_some();
        self.acknowledge(u64::MAX);
        self.checkpoint = None;
        // No engine has accepted what a file of the log has.
        self.revision += u64::from(had_reports);
    }

    /// Makes the last report of an acknowledged segment the checkpoint, unless the log has a newer
    /// acknowledged one.
    pub(super) fn keep_checkpoint(&mut self, acknowledged: Option<Segment>) {
        if self.segments.front().is_some_and(|oldest| oldest.first() <= self.acknowledged) {
            self.checkpoint = None;
        } else if let Some(segment) = acknowledged {
            self.checkpoint = segment.into_last_report(&mut self.encoder).map(Box::new);
            self.share_checkpoint();
            self.limit_checkpoint();
        }
    }

    /// Counts catalogs and rows once if the oldest segment has those of the checkpoint.
    pub(super) fn share_checkpoint(&mut self) {
        if let Some(checkpoint) = &mut self.checkpoint {
            checkpoint.share_layout(self.segments.front());
        }
    }

    /// Drops the checkpoint if the log exceeds its size: reports are more important.
    pub(super) fn limit_checkpoint(&mut self) {
        if self.checkpoint.is_some() && self.bytes() > self.limits.bytes {
            self.checkpoint = None;
        }
    }
}
