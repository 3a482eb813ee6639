//! What a lane queues: a report of an agent, or stale markers of its series.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::encode::CellSet;
use crate::exposition::agent_of;
use crate::registry::Layout;

/// Samples of one agent with the same time.
#[derive(Debug)]
pub(super) struct Entry {
    /// Labels as written between the braces of the agent's series.
    pub(super) labels: Box<str>,
    pub(super) layout: Arc<Layout>,
    pub(super) content: Content,
    /// Time of the samples, in unix milliseconds.
    pub(super) unix_ms: i64,
}

/// What the samples are.
#[derive(Debug)]
pub(super) enum Content {
    /// The values of a report.
    Report {
        values: Box<[f64]>,
        /// Cells that have samples.
        present: Arc<CellSet>,
        sequence: u64,
        /// Where it is recorded that this report and those before it are taken; `None` if others
        /// before it are missing.
        acks: Option<Arc<Acks>>,
    },
    /// Stale markers.
    Markers {
        /// Cells whose series get one.
        series: CellSet,
        /// Whether the agent has left, with all its series. Markers are then sent at once, in
        /// requests of their own: an engine that has newer samples from elsewhere refuses them.
        is_end: bool,
    },
}

impl Entry {
    /// Returns the agent's id.
    pub(super) fn agent(&self) -> &str {
        agent_of(&self.labels)
    }

    pub(super) fn is_markers(&self) -> bool {
        matches!(self.content, Content::Markers { .. })
    }

    /// Whether both are of one agent, with the same labels and layout.
    pub(super) fn has_series_of(&self, other: &Self) -> bool {
        self.labels == other.labels && Arc::ptr_eq(&self.layout, &other.layout)
    }

    /// Whether it marks the series of an agent that has left.
    pub(super) fn is_end(&self) -> bool {
        matches!(self.content, Content::Markers { is_end: true, .. })
    }

    /// Returns the cells that have samples.
    pub(super) fn present(&self) -> &CellSet {
        match &self.content {
            Content::Report { present, .. } => present,
            Content::Markers { series, .. } => series,
        }
    }

    /// Returns the number of samples for a destination that gets `fleetgauge_agent_up` or not.
    /// Other rules may drop some of them.
    pub(super) fn samples(&self, agent_up: bool) -> usize {
        self.present().samples(&self.layout, agent_up)
    }

    /// Returns its memory in bytes, with a layout that nothing else may keep.
    pub(super) fn bytes(&self) -> usize {
        let cells = self.layout.cells();
        let values = if self.is_markers() { 0 } else { cells * size_of::<f64>() };
        let layout = if self.layout.is_fixed() { 0 } else { self.layout.bytes() };
        size_of::<Self>() + self.labels.len() + values + cells / 8 + layout
    }
}

/// The reports of a session that its destinations have taken.
#[derive(Debug)]
pub(crate) struct Acks(
    /// For each destination the sequence number up to which it has taken or refused all reports.
    Box<[AtomicU64]>,
);

impl Acks {
    /// Creates the state of a session whose first report has this sequence number.
    pub(super) fn new(destinations: usize, first: u64) -> Self {
        let before = first.saturating_sub(1);
        Self((0..destinations).map(|_| AtomicU64::new(before)).collect())
    }

    /// Records that a destination has taken all reports up to this one.
    pub(super) fn taken(&self, destination: usize, sequence: u64) {
        if let Some(taken) = self.0.get(destination) {
            taken.fetch_max(sequence, Ordering::Release);
        }
    }

    /// Returns the sequence number up to which these destinations have taken all reports; `None` if
    /// there are none.
    pub(super) fn taken_by(&self, mut destinations: impl Iterator<Item = usize>) -> Option<u64> {
        let first = destinations.next().and_then(|first| self.get(first))?;
        Some(destinations.filter_map(|other| self.get(other)).fold(first, u64::min))
    }

    fn get(&self, destination: usize) -> Option<u64> {
        self.0.get(destination).map(|taken| taken.load(Ordering::Acquire))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slowest_destination_decides_what_is_taken() {
        let acks = Acks::new(3, 7);
        assert_eq!(acks.taken_by(0..3), Some(6));
        acks.taken(0, 9);
        acks.taken(1, 8);
        assert_eq!(acks.taken_by(0..2), Some(8));
        assert_eq!(acks.taken_by([0, 2].into_iter()), Some(6));
        assert_eq!(acks.taken_by(std::iter::empty()), None);
        // A retry of an older report changes nothing.
        acks.taken(0, 3);
        assert_eq!(acks.taken_by(0..1), Some(9));
    }
}
