//! The collector's time, as the agent knows it.

use std::time::Duration;

/// Stamps reports in the collector's time. Times rise for the life of the process, whatever the
/// collectors' clocks say.
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
    ///
    /// Ignores a time that is not after the last report: the known time then continues.
    pub(super) fn set(&mut self, unix_ms: u64, now: Duration) {
        if unix_ms > self.last_ms {
            let unix_ms = i64::try_from(unix_ms).unwrap_or(i64::MAX);
            self.origin_ms = unix_ms.saturating_sub_unsigned(milliseconds(now));
        }
    }

    /// Returns the time of a report whose sample was taken at `sampled`: later than that of the
    /// previous report.
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
    fn later_welcome_that_goes_back_is_ignored() {
        let mut clock = CollectorClock::default();
        clock.set(1_000_000, seconds(100));
        assert_eq!(clock.stamp(seconds(110)), 1_010_000);
        clock.set(1_009_999, seconds(120));
        assert_eq!(clock.stamp(seconds(121)), 1_021_000);
    }

    #[test]
    fn later_welcome_that_goes_on_is_used() {
        let mut clock = CollectorClock::default();
        clock.set(1_000_000, seconds(100));
        assert_eq!(clock.stamp(seconds(110)), 1_010_000);
        // Eight seconds behind the first collector, but after the last report.
        clock.set(1_012_000, seconds(120));
        assert_eq!(clock.stamp(seconds(121)), 1_013_000);
        clock.set(5_000_000, seconds(130));
        assert_eq!(clock.stamp(seconds(131)), 5_001_000);
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
