//! Which failed attempts are worth a line in the log.
//!
//! A person at a terminal sees each one. In a log file a collector that is away for a night must
//! not fill the disks of a fleet: the first failure is logged, then each time their number has
//! doubled, and once that has become rarer than every ten minutes, every ten minutes.

use std::time::{Duration, Instant};

/// Once doublings are rarer than this, a line is logged this often.
pub const STEADY_EVERY: Duration = Duration::from_secs(10 * 60);

/// Counts failures in a row and picks those to be logged. Does not log.
#[derive(Debug)]
pub struct RetryLog {
    every_one: bool,
    failures: u64,
    last_line: Option<Instant>,
    steady: bool,
}

impl RetryLog {
    /// `every_one`: somebody is watching, so nothing is left out.
    #[must_use]
    pub const fn new(every_one: bool) -> Self {
        Self { every_one, failures: 0, last_line: None, steady: false }
    }

    /// An attempt has failed at `now`. Its number in the row, if it is to be logged.
    pub fn failed(&mut self, now: Instant) -> Option<u64> {
        self.failures += 1;
        let long_silent =
            self.last_line.is_some_and(|line| now.saturating_duration_since(line) >= STEADY_EVERY);
        self.steady |= long_silent;
        let due = if self.steady { long_silent } else { self.failures.is_power_of_two() };
        if !(self.every_one || due) {
            return None;
        }
        self.last_line = Some(now);
        Some(self.failures)
    }

    /// An attempt has succeeded: how many failed before it. The next failure is the first again.
    pub fn succeeded(&mut self) -> u64 {
        std::mem::replace(self, Self::new(self.every_one)).failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers logged of `count` failures `apart` from each other.
    fn logged(log: &mut RetryLog, count: u32, apart: Duration) -> Vec<u64> {
        let start = Instant::now();
        (0..count).filter_map(|n| log.failed(start + apart * n)).collect()
    }

    #[test]
    fn a_terminal_shows_each() {
        let shown = logged(&mut RetryLog::new(true), 5, Duration::from_secs(1));
        assert_eq!(shown, [1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_file_shows_doublings() {
        let shown = logged(&mut RetryLog::new(false), 20, Duration::from_secs(1));
        assert_eq!(shown, [1, 2, 4, 8, 16]);
    }

    #[test]
    fn then_one_in_ten_minutes() {
        let shown = logged(&mut RetryLog::new(false), 130, Duration::from_secs(30));
        assert_eq!(shown, [1, 2, 4, 8, 16, 32, 52, 72, 92, 112]);
    }

    #[test]
    fn success_starts_over() {
        let mut log = RetryLog::new(false);
        logged(&mut log, 100, Duration::from_secs(30));
        assert_eq!(log.succeeded(), 100);
        assert_eq!(logged(&mut log, 3, Duration::from_secs(1)), [1, 2]);
        log.succeeded();
        assert_eq!(log.succeeded(), 0);
    }
}
