//! Measures the recovery of a fleet: when the collectors have a share of it again. Uses neither
//! sockets nor clocks.

use std::time::Duration;

use serde::Serialize;

/// Shares of the agents whose return is timed.
const SHARES: [f64; 3] = [0.5, 0.99, 1.0];

/// Tracks the recovery of a fleet.
#[derive(Debug)]
pub struct Recovery {
    of: u64,
    /// Number of agents that each collector had last.
    present: Vec<u64>,
    reached: [Option<Duration>; SHARES.len()],
}

/// Times from the restart until the collectors have a share of the agents; `None`: not yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct RecoveryTimes {
    /// Time until half of the agents are back.
    pub half_seconds: Option<f64>,
    /// Time until 99 percent of the agents are back.
    pub p99_seconds: Option<f64>,
    /// Time until all agents are back.
    pub all_seconds: Option<f64>,
    /// Ratio of `p99_seconds` to `half_seconds`.
    pub p99_over_half: Option<f64>,
}

impl Recovery {
    /// Creates a tracker of `of` agents of this many collectors, which have none of them yet.
    #[must_use]
    pub fn new(of: u64, collectors: usize) -> Self {
        Self { of, present: vec![0; collectors], reached: [None; SHARES.len()] }
    }

    /// Records that a collector has this many agents, `at` after the restart.
    pub fn seen(&mut self, collector: usize, present: u64, at: Duration) {
        self.present[collector] = present;
        let all = self.present();
        for (reached, share) in self.reached.iter_mut().zip(SHARES) {
            if reached.is_none() && all >= (self.of as f64 * share).ceil() as u64 {
                *reached = Some(at);
            }
        }
    }

    /// Number of agents that all collectors had last.
    #[must_use]
    pub fn present(&self) -> u64 {
        self.present.iter().sum()
    }

    /// Whether all agents have been back at some time.
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
    fn recovery_counts_agents_over_all_collectors() {
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
        assert_eq!(recovery.present(), 200);
    }
}
