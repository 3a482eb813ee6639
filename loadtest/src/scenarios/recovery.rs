//! Measures the recovery of a fleet: when the pages show a share of it again. Uses neither sockets
//! nor clocks.

use std::time::Duration;

use serde::Serialize;

/// Shares of the agents whose return is timed.
const SHARES: [f64; 3] = [0.5, 0.99, 1.0];

/// Tracks the recovery of a fleet, page by page.
#[derive(Debug)]
pub struct Recovery {
    of: u64,
    /// Number of agents on the latest page of each worker's collector.
    shown: Vec<u64>,
    reached: [Option<Duration>; SHARES.len()],
}

/// Times from the restart to the first page that shows a share of the agents; `None`: not yet
/// shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct RecoveryTimes {
    /// Time until half of the agents are shown.
    pub half_seconds: Option<f64>,
    /// Time until 99 percent of the agents are shown.
    pub p99_seconds: Option<f64>,
    /// Time until all agents are shown.
    pub all_seconds: Option<f64>,
    /// Ratio of `p99_seconds` to `half_seconds`.
    pub p99_over_half: Option<f64>,
}

impl Recovery {
    /// Creates a tracker of `of` agents on `pages` pages, all still empty.
    #[must_use]
    pub fn new(of: u64, pages: usize) -> Self {
        Self { of, shown: vec![0; pages], reached: [None; SHARES.len()] }
    }

    /// Records a page that arrived `at` after the restart and shows this many agents.
    pub fn seen(&mut self, page: usize, shown: u64, at: Duration) {
        self.shown[page] = shown;
        let all = self.shown();
        for (reached, share) in self.reached.iter_mut().zip(SHARES) {
            if reached.is_none() && all >= (self.of as f64 * share).ceil() as u64 {
                *reached = Some(at);
            }
        }
    }

    /// Number of agents on the latest pages of all collectors.
    #[must_use]
    pub fn shown(&self) -> u64 {
        self.shown.iter().sum()
    }

    /// Whether the latest pages together have shown all agents at some time.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.reached.iter().all(Option::is_some)
    }

    /// The times so far.
    #[must_use]
    pub fn back(&self) -> RecoveryTimes {
        let [half, p99, all] = self.reached.map(|at| at.map(|at| at.as_secs_f64()));
        let p99_over_half = p99.zip(half).map(|(p99, half)| p99 / half);
        RecoveryTimes { half_seconds: half, p99_seconds: p99, all_seconds: all, p99_over_half }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recovery_counts_agents_over_all_pages() {
        let mut recovery = Recovery::new(200, 2);
        let second = Duration::from_secs;
        recovery.seen(0, 99, second(1));
        assert_eq!(recovery.back(), RecoveryTimes::default());
        recovery.seen(1, 1, second(2));
        recovery.seen(0, 100, second(3));
        recovery.seen(1, 98, second(6));
        assert!(!recovery.is_complete());
        recovery.seen(1, 100, second(9));
        assert!(recovery.is_complete());
        let back = recovery.back();
        assert_eq!(
            (back.half_seconds, back.p99_seconds, back.all_seconds),
            (Some(2.0), Some(6.0), Some(9.0))
        );
        assert_eq!(back.p99_over_half, Some(3.0));
        assert_eq!(recovery.shown(), 200);
    }
}
