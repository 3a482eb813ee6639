//! Figures of the whole fleet during the last hour, for trends.

use std::collections::VecDeque;

use parking_lot::Mutex;

use super::presence_log::PresenceTotals;
use crate::clock::Millis;

/// Interval between two points.
pub(crate) const EVERY: Millis = 10_000;
/// Number of points that are kept: those of an hour, some 20 kB.
pub(crate) const KEPT: usize = 360;

/// Figures of the fleet at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Point {
    /// Time on the collector's clock.
    pub(crate) at: Millis,
    /// Number of connected agents.
    pub(crate) agents: usize,
    /// Number of reports since the start.
    pub(crate) reports: u64,
    /// Number of samples since the start.
    pub(crate) samples: u64,
    /// Numbers of arrivals and departures since the start.
    pub(crate) presence: PresenceTotals,
}

/// The points of the last hour.
#[derive(Debug, Default)]
pub(crate) struct History(Mutex<VecDeque<Point>>);

impl History {
    /// Adds a point if the next one is due.
    pub(crate) fn add(&self, point: impl FnOnce() -> Point, now: Millis) {
        let mut points = self.0.lock();
        if points.back().is_some_and(|last| now < last.at + EVERY) {
            return;
        }
        if points.len() == KEPT {
            points.pop_front();
        }
        points.push_back(point());
    }

    /// Returns the points, the oldest first.
    pub(crate) fn points(&self) -> Vec<Point> {
        self.0.lock().iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_of_days_keeps_the_last_hour() {
        let history = History::default();
        for tick in 0..3 * 86_400 {
            let at = tick * 1_000;
            let presence = PresenceTotals::default();
            history.add(|| Point { at, agents: 7, reports: tick, samples: tick, presence }, at);
        }
        let points = history.points();
        assert_eq!(points.len(), KEPT);
        let (first, last) = (points[0].at, points[KEPT - 1].at);
        assert_eq!((last - first, last), ((KEPT as u64 - 1) * EVERY, (3 * 86_400 - 10) * 1_000));
    }
}
