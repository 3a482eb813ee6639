//! The collector's time, as the agent knows it.

use std::time::Duration;

/// Least time between reports, in milliseconds. A stale marker fits in between.
pub(crate) const LEAST_STEP_MS: u64 = 2;
/// Number of observations after which the clock follows the collector's. The network delays some of
/// them; the least delayed one of many is right.
const OBSERVATIONS: u32 = 60;

/// Stamps reports in the time base of the current session's collector. Times rise for the life of
/// the process by at least [`LEAST_STEP_MS`], also if a collector's clock is behind that of the one
/// before.
#[derive(Debug, Default)]
pub(crate) struct CollectorClock {
    /// Time of the collector when the agent's monotonic clock was zero, in milliseconds since the
    /// Unix epoch.
    origin_ms: i64,
    /// Time of the last report, in milliseconds since the Unix epoch; 0 before the first.
    last_ms: u64,
}

/// Times of the collector that arrived in a session. The agent's monotonic clock and the
/// collector's time of day drift apart by seconds a day if only one of them is synchronized.
#[derive(Debug, Default)]
pub(crate) struct Observations {
    /// The greatest origin of the clock, and the number of observations.
    greatest: Option<(i64, u32)>,
}

impl Observations {
    /// Adds a time of the collector that arrived at `now`. Sets the clock after enough of them.
    pub(crate) fn add(&mut self, unix_ms: u64, now: Duration, clock: &mut CollectorClock) {
        let origin = origin_ms(unix_ms, now);
        let (greatest, count) = self
            .greatest
            .map_or((origin, 1), |(greatest, count)| (greatest.max(origin), count + 1));
        self.greatest = Some((greatest, count));
        if count == OBSERVATIONS {
            clock.origin_ms = greatest;
            self.greatest = None;
        }
    }
}

impl CollectorClock {
    /// Takes the time of a Welcome that was received at `now`.
    pub(crate) fn set(&mut self, unix_ms: u64, now: Duration) {
        self.origin_ms = origin_ms(unix_ms, now);
    }

    /// Returns the time of a report whose sample was taken at `sampled`. If that is too soon
    /// after the previous report, returns the time of that report plus [`LEAST_STEP_MS`].
    pub(crate) fn stamp(&mut self, sampled: Duration) -> u64 {
        let unix_ms = self.origin_ms.saturating_add_unsigned(milliseconds(sampled));
        let unix_ms = u64::try_from(unix_ms).unwrap_or(0);
        self.last_ms = unix_ms.max(self.last_ms.saturating_add(LEAST_STEP_MS));
        self.last_ms
    }
}

impl CollectorClock {
    /// Takes the time of a report that was stamped elsewhere: later ones get later times.
    pub(super) fn stamped(&mut self, unix_ms: u64) {
        self.last_ms = self.last_ms.max(unix_ms);
    }

    /// Takes the time of the first Welcome, which was received at `now`. Returns by how many
    /// milliseconds the times up to now are wrong, which are only estimates. The caller corrects
    /// them and calls [`Self::continue_from`].
    pub(crate) fn correct(&mut self, unix_ms: u64, now: Duration) -> i64 {
        let before = self.origin_ms;
        self.set(unix_ms, now);
        self.origin_ms.saturating_sub(before)
    }

    /// Sets the time of the last report; 0 if there is none. Later ones get later times.
    pub(crate) fn continue_from(&mut self, unix_ms: u64) {
        self.last_ms = unix_ms;
    }
}

/// Returns the collector's time when the agent's monotonic clock was zero, if it was `unix_ms` at
/// `now`.
fn origin_ms(unix_ms: u64, now: Duration) -> i64 {
    let unix_ms = i64::try_from(unix_ms).unwrap_or(i64::MAX);
    unix_ms.saturating_sub_unsigned(milliseconds(now))
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
        assert_eq!(clock.stamp(seconds(100)), 1_000_002);
    }

    #[test]
    fn times_rise_by_2_ms_until_a_clock_that_is_behind_has_passed_them() {
        let mut clock = CollectorClock::default();
        clock.set(1_000_000, seconds(100));
        assert_eq!(clock.stamp(seconds(110)), 1_010_000);
        // The next collector is 15 seconds behind.
        clock.set(1_005_000, seconds(120));
        assert_eq!(clock.stamp(seconds(121)), 1_010_002);
        assert_eq!(clock.stamp(seconds(125)), 1_010_004);
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
    fn clock_follows_that_of_the_collector_by_the_least_delayed_of_many_times() {
        let mut clock = CollectorClock::default();
        let mut observations = Observations::default();
        clock.set(1_000_000, seconds(100));
        // In 60 seconds the agent's clock has lost 500 ms. The network delays all but one time.
        for n in 1..=u64::from(OBSERVATIONS) {
            let delay = if n == 30 { 0 } else { 200 + n };
            let unix_ms = 1_000_500 + 1_000 * n - delay;
            observations.add(unix_ms, seconds(100 + n), &mut clock);
        }
        assert_eq!(clock.stamp(seconds(160)), 1_060_500);
        // Fewer change nothing.
        for n in 61..u64::from(OBSERVATIONS) + 60 {
            observations.add(9_000_000, seconds(100 + n), &mut clock);
        }
        assert_eq!(clock.stamp(seconds(220)), 1_120_500);
    }

    #[test]
    fn extreme_times_do_not_overflow() {
        let mut clock = CollectorClock::default();
        clock.set(1, Duration::MAX);
        assert_eq!(clock.stamp(Duration::ZERO), 2);
        clock.set(u64::MAX, Duration::ZERO);
        let first = clock.stamp(Duration::MAX);
        assert!(clock.stamp(Duration::MAX) > first);
    }
}
