//! Continues the log of an earlier process.

use std::sync::Arc;

use fleetgauge_proto::rows::TableRows;

use super::ReportLog;
use super::segment::{self, Segment};
use crate::catalogs::Catalogs;

/// What a log has besides its reports.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LogState {
    /// All reports up to this sequence number are acknowledged.
    pub(crate) acknowledged: u64,
    /// Sequence number and time of the newest report; 0 before the first.
    pub(crate) last: u64,
    pub(crate) last_ms: u64,
    /// Time of the last report of an earlier process that is not an estimate; 0 without one.
    pub(crate) settled_ms: u64,
    /// The times from this sequence number on are estimates.
    pub(crate) estimated_from: u64,
    /// Time of the host when the state was saved.
    pub(crate) host_ms: u64,
}

impl ReportLog {
    /// Returns what the log has besides its reports. `host_ms` is the time of the host.
    pub(crate) fn state(&self, host_ms: u64) -> LogState {
        let Self { acknowledged, last, last_ms, settled_ms, estimated_from, .. } = *self;
        LogState { acknowledged, last, last_ms, settled_ms, estimated_from, host_ms }
    }

    /// Returns the number of times that stored reports were changed, so that a copy is out of date.
    pub(crate) const fn revision(&self) -> u64 {
        self.revision
    }

    /// Returns whether times of an earlier process are estimates.
    pub(crate) const fn has_estimates(&self) -> bool {
        self.estimated_from <= self.last
    }

    /// Begins a segment of an earlier process. Returns `None` if it does not fit what was restored
    /// before or the rows do not fit the catalogs; otherwise the number of values of its reports.
    pub(super) fn restore_segment(
        &mut self,
        catalogs: &Catalogs,
        rows: &[Arc<TableRows>],
        start: (u64, u64),
    ) -> Option<usize> {
        if rows.len() != catalogs.tables().len() || start.0 <= self.last {
            return None;
        }
        let mut cells = 0_usize;
        for (rows, decimals) in segment::shape(catalogs, rows) {
            cells = cells.checked_add(rows.checked_mul(decimals.len())?)?;
        }
        self.drop_empty();
        if let Some(previous) = self.segments.back_mut() {
            previous.close();
        }
        let segment = Segment::new(catalogs, rows, cells, self.segments.back(), start);
        self.segments.push_back(segment);
        self.share_checkpoint();
        Some(cells)
    }

    /// Adds encoded reports to the last segment, which begins with this sequence number. Returns
    /// `None` if they are invalid. They are skipped if the segment exceeded the bounds.
    pub(super) fn restore_reports(
        &mut self,
        first: u64,
        encoded: &[u8],
        values: &mut Vec<f64>,
    ) -> Option<()> {
        let Some(segment) = self.segments.back_mut().filter(|last| last.first() == first) else {
            return Some(());
        };
        if !segment.push_encoded(encoded, values) {
            return None;
        }
        (self.last, self.last_ms) = (segment.last(), segment.last_ms());
        self.drop_excess();
        Some(())
    }

    /// Takes what the log had besides its reports.
    pub(super) fn restore_state(&mut self, state: LogState) {
        self.last = self.last.max(state.last);
        (self.last_ms, self.settled_ms) = (state.last_ms, state.settled_ms);
        self.estimated_from = state.estimated_from;
        self.acknowledge(state.acknowledged);
    }

    /// Ends the restoration, this time after the log was saved. Drops what is too old.
    pub(super) fn restored(&mut self, elapsed_ms: u64) {
        self.drop_empty();
        let age = u64::try_from(self.limits.age.as_millis()).unwrap_or(u64::MAX);
        let oldest_ms = self.last_ms().saturating_add(elapsed_ms).saturating_sub(age);
        while self.segments.front().is_some_and(|oldest| oldest.last_ms() < oldest_ms) {
            self.drop_oldest();
        }
        self.begins_segment = true;
        if !self.has_estimates() {
            // Estimates of this process need not be above the times of a collector.
            self.settled_ms = self.settled_ms.max(std::mem::take(&mut self.last_ms));
            self.estimated_from = self.last.saturating_add(1);
        }
    }

    /// Drops the last segment if its reports were lost.
    fn drop_empty(&mut self) {
        self.segments.pop_back_if(|last| last.len() == 0);
    }
}
