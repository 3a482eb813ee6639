//! Rate limiter for log lines about failed attempts.
//!
//! On a terminal every failure is logged. In a log file, an outage of a night must not fill the
//! disks of a fleet: failures 1, 2, 4, 8 and so on are logged, then one every ten minutes.

use std::time::{Duration, Instant};

/// Longest time between two log lines about one outage.
pub const MAX_SILENCE: Duration = Duration::from_secs(10 * 60);

/// Counts consecutive failures and selects those to log. Does not log itself.
///
/// ```
/// use std::time::Instant;
///
/// use fleetgauge_agent::retry_log::RetryLog;
///
/// let mut log = RetryLog::new(false);
/// let now = Instant::now();
/// let logged: Vec<u64> = (0..8).filter_map(|_| log.failed(now)).collect();
/// assert_eq!(logged, [1, 2, 4, 8]);
/// ```
#[derive(Debug)]
pub struct RetryLog {
    log_all: bool,
    failures: u64,
    last_line: Option<Instant>,
    /// Whether a line is due every [`MAX_SILENCE`] instead of at powers of two.
    periodic: bool,
}

impl RetryLog {
    /// Creates a limiter; `log_all` selects every failure.
    #[must_use]
    pub const fn new(log_all: bool) -> Self {
        Self { log_all, failures: 0, last_line: None, periodic: false }
    }

    /// Counts a failure at `now`. Returns the number of consecutive failures if a line is due.
    pub fn failed(&mut self, now: Instant) -> Option<u64> {
        self.failures += 1;
        let long_silent =
            self.last_line.is_some_and(|line| now.saturating_duration_since(line) >= MAX_SILENCE);
        self.periodic |= long_silent;
        let due = if self.periodic { long_silent } else { self.failures.is_power_of_two() };
        if !(self.log_all || due) {
            return None;
        }
        self.last_line = Some(now);
        Some(self.failures)
    }

    /// Resets the count. Returns the number of failures before the success.
    pub fn succeeded(&mut self) -> u64 {
        std::mem::replace(self, Self::new(self.log_all)).failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records `count` failures at intervals of `apart`. Returns the numbers of those that are
    /// logged.
    fn logged(log: &mut RetryLog, count: u32, apart: Duration) -> Vec<u64> {
        let start = Instant::now();
        (0..count).filter_map(|n| log.failed(start + apart * n)).collect()
    }

    #[test]
    fn all_failures_are_logged_on_a_terminal() {
        let lines = logged(&mut RetryLog::new(true), 5, Duration::from_secs(1));
        assert_eq!(lines, [1, 2, 3, 4, 5]);
    }

    #[test]
    fn powers_of_two_are_logged() {
        let lines = logged(&mut RetryLog::new(false), 20, Duration::from_secs(1));
        assert_eq!(lines, [1, 2, 4, 8, 16]);
    }

    #[test]
    fn one_line_every_ten_minutes_in_a_long_outage() {
        let lines = logged(&mut RetryLog::new(false), 130, Duration::from_secs(30));
        assert_eq!(lines, [1, 2, 4, 8, 16, 32, 52, 72, 92, 112]);
    }

    #[test]
    fn success_resets_the_count() {
        let mut log = RetryLog::new(false);
        logged(&mut log, 100, Duration::from_secs(30));
        assert_eq!(log.succeeded(), 100);
        assert_eq!(logged(&mut log, 3, Duration::from_secs(1)), [1, 2]);
        log.succeeded();
        assert_eq!(log.succeeded(), 0);
    }
}
