//! The collector's time, as the agent knows it.

use std::time::Duration;

/// Stamps reports in the time base of the current session's collector. Times rise for the life of
/// the process, also if a collector's clock is behind that of the one before.
#[derive(Debug, Default)]
pub(super) struct CollectorClock {
    /// Time of the collector when the agent's monotonic clock was zero, in milliseconds since the
    /// Unix epoch.
    origin_ms: i64,
    /// Time of the last report, in milliseconds since the Unix epoch; 0 before the first.
    last_ms: u64,
}

impl CollectorClock {
    /// Takes the time of a Welcome that was received at `now`.
    pub(super) fn set(&mut self, unix_ms: u64, now: Duration) {
        let unix_ms = i64::try_from(unix_ms).unwrap_or(i64::MAX);
        self.origin_ms = unix_ms.saturating_sub_unsigned(milliseconds(now));
    }

    /// Returns the time of a report whose sample was taken at `sampled`. If that is not after the
    /// previous report, returns the time of that report plus 1 ms.
    pub(super) fn stamp(&mut self, sampled: Duration) -> u64 {
        let unix_ms = self.origin_ms.saturating_add_unsigned(milliseconds(sampled));
        let unix_ms = u64::try_from(unix_ms).unwrap_or(0);
        self.last_ms = unix_ms.max(self.last_ms.saturating_add(1));
        self.last_ms
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn samples_are_stamped_in_the_collectors_time() {
        let mut clock = CollectorClock::default();
        clock.set(1_000_000, seconds(100));
        // A sample from before Welcome.
        assert_eq!(clock.stamp(seconds(90)), 990_000);
        assert_eq!(clock.stamp(seconds(105)), 1_005_000);
    }

    #[test]
    fn sample_that_is_reported_twice_gets_a_later_time() {
        let mut clock = CollectorClock::default();
        clock.set(1_000_000, seconds(100));
        assert_eq!(clock.stamp(seconds(100)), 1_000_000);
        clock.set(1_002_000, seconds(102));
        assert_eq!(clock.stamp(seconds(100)), 1_000_001);
    }

    #[test]
    fn times_rise_by_1_ms_until_a_clock_that_is_behind_has_passed_them() {
        let mut clock = CollectorClock::default();
        clock.set(1_000_000, seconds(100));
        assert_eq!(clock.stamp(seconds(110)), 1_010_000);
        // The next collector is 15 seconds behind.
        clock.set(1_005_000, seconds(120));
        assert_eq!(clock.stamp(seconds(121)), 1_010_001);
        assert_eq!(clock.stamp(seconds(125)), 1_010_002);
        assert_eq!(clock.stamp(seconds(126)), 1_011_000);
    }

    #[test]
    fn clock_that_was_ahead_is_forgotten_at_the_next_welcome() {
        let mut clock = CollectorClock::default();
        clock.set(5_000_000, seconds(100));
        clock.set(1_000_000, seconds(101));
        assert_eq!(clock.stamp(seconds(102)), 1_001_000);
        clock.set(6_000_000, seconds(103));
        assert_eq!(clock.stamp(seconds(104)), 6_001_000);
    }

    #[test]
    fn extreme_times_do_not_overflow() {
        let mut clock = CollectorClock::default();
        clock.set(1, Duration::MAX);
        assert_eq!(clock.stamp(Duration::ZERO), 1);
        clock.set(u64::MAX, Duration::ZERO);
        let first = clock.stamp(Duration::MAX);
        assert!(clock.stamp(Duration::MAX) > first);
    }
}
