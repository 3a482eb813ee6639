//! Backoff between connection attempts.
//!
//! A fleet that lost its collector must not reconnect in one burst. The first delay is random, up
//! to five seconds. The next few are exactly five seconds, so every agent keeps its random offset:
//! when the collector returns from a restart, its fleet reconnects evenly over five seconds. Later
//! delays are random, up to a bound that doubles.
//!
//! A delay that the collector asks for is the minimum of the next delay; it is at most an hour. A
//! retry slot that the collector assigns replaces the agent's own delay.

use std::time::Duration;

/// Upper bound of the first delay. After a collector restart, its fleet reconnects within this
/// time.
pub const FIRST_BOUND: Duration = Duration::from_secs(5);
/// Number of delays of exactly [`FIRST_BOUND`] after the first, before the bound doubles.
pub const FIXED_DELAYS: u32 = 3;
/// Longest delay, unless the collector asks for more. A host reconnects at most this long after its
/// collector returns.
pub const MAX_DELAY: Duration = Duration::from_secs(60);
/// Delay after a Reject without a retry time. Retrying alone will not help, but the operator may
/// fix the cause, and the agent must then connect without a restart.
pub const REJECTED_DELAY: Duration = Duration::from_secs(10 * 60);
/// Longest delay that a collector can ask for, so that its error cannot silence a fleet for days.
pub const MAX_REQUESTED_DELAY: Duration = Duration::from_secs(60 * 60);
/// Minimum retry slot. If the collector assigns a shorter one, the agent uses this.
pub const MIN_RETRY_SLOT: Duration = Duration::from_secs(1);
/// Minimum length of a session that resets the backoff, in report intervals.
pub const STABLE_INTERVALS: u32 = 2;

/// Computes the delays between connection attempts. Reads no clock: the caller waits.
///
/// ```
/// use std::time::Duration;
///
/// use fleetgauge_agent::backoff::{Backoff, FIRST_BOUND};
///
/// let mut backoff = Backoff::new(fastrand::Rng::new());
/// assert!(backoff.next_delay() <= FIRST_BOUND);
/// assert_eq!(backoff.next_delay(), FIRST_BOUND);
///
/// // A session of two intervals resets the backoff.
/// let interval = Duration::from_secs(15);
/// assert!(backoff.session_ended(interval * 2, interval));
/// ```
#[derive(Debug)]
pub struct Backoff {
    failures: u32,
    /// Minimum of the next delay; zero: no minimum.
    minimum: Duration,
    /// Retry slot that the collector assigned. It replaces the next delay.
    retry_slot: Option<Duration>,
    /// Maximum of the next delay; `None`: no maximum.
    maximum: Option<Duration>,
    rng: fastrand::Rng,
}

impl Backoff {
    /// Creates a backoff with a failure count of zero. `rng` supplies the random delays.
    #[must_use]
    pub const fn new(rng: fastrand::Rng) -> Self {
        Self { failures: 0, minimum: Duration::ZERO, retry_slot: None, maximum: None, rng }
    }

    /// Returns the delay before the next attempt. Counts a failure, unless the delay comes from a
    /// retry slot.
    pub fn next_delay(&mut self) -> Duration {
        let maximum = self.maximum.take();
        if let Some(slot) = self.retry_slot.take() {
            return self.with_jitter(slot);
        }
        let own = match self.failures {
            0 => FIRST_BOUND.mul_f64(self.rng.f64()),
            1..=FIXED_DELAYS => FIRST_BOUND,
            failures => {
                let bound = FIRST_BOUND.saturating_mul(1 << (failures - FIXED_DELAYS).min(16));
                bound.min(MAX_DELAY).mul_f64(self.rng.f64())
            }
        };
        self.failures = self.failures.saturating_add(1);
        let minimum = std::mem::take(&mut self.minimum);
        let delay = own.max(self.with_jitter(minimum));
        maximum.map_or(delay, |maximum| delay.min(self.with_jitter(maximum)))
    }

    /// Returns `delay` plus a random amount of up to a tenth of it.
    fn with_jitter(&mut self, delay: Duration) -> Duration {
        delay + (delay / 10).mul_f64(self.rng.f64())
    }

    /// Resets the backoff if a session was stable: it lasted at least [`STABLE_INTERVALS`] report
    /// intervals.
    ///
    /// Returns whether the session was stable. A shorter session does not count as a success: a
    /// collector that accepts and then drops connections is not healthy.
    pub fn session_ended(&mut self, lasted: Duration, interval: Duration) -> bool {
        let stable = lasted >= interval * STABLE_INTERVALS;
        if stable {
            self.failures = 0;
        }
        stable
    }

    /// Sets the minimum of the next delay: `minimum`, at most [`MAX_REQUESTED_DELAY`], plus jitter.
    pub fn set_minimum(&mut self, minimum: Duration) {
        self.minimum = minimum.min(MAX_REQUESTED_DELAY);
    }

    /// Makes the next delay a retry slot that the collector assigned, plus jitter, regardless of
    /// the number of failures.
    pub fn use_retry_slot(&mut self, slot: Duration) {
        self.retry_slot = Some(slot.clamp(MIN_RETRY_SLOT, MAX_REQUESTED_DELAY));
    }

    /// Limits the next delay to `slot`, plus jitter: the retry slot that one of the collector's
    /// addresses assigned.
    pub fn set_maximum(&mut self, slot: Duration) {
        self.maximum = Some(slot.clamp(MIN_RETRY_SLOT, MAX_REQUESTED_DELAY));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(15);

    fn backoff() -> Backoff {
        Backoff::new(fastrand::Rng::with_seed(7))
    }

    #[test]
    fn fleet_reconnects_evenly_within_five_seconds_of_a_restart() {
        let mut rng = fastrand::Rng::with_seed(1);
        for outage in [0.1, 2.0, 7.5, 15.0] {
            let mut fifths = [0; 5];
            for _ in 0..10_000 {
                let mut backoff = Backoff::new(rng.fork());
                let mut attempt = 0.0;
                while attempt < outage {
                    attempt += backoff.next_delay().as_secs_f64();
                }
                fifths[(attempt - outage) as usize] += 1;
            }
            assert!(fifths.iter().all(|agents| (1_800..2_200).contains(agents)), "{fifths:?}");
        }
    }

    #[test]
    fn later_delays_are_random_within_a_bound_that_doubles_to_a_minute() {
        let bounds = [10, 20, 40, 60, 60, 60].map(Duration::from_secs);
        let mut longest = [Duration::ZERO; 6];
        let mut shortest = [Duration::MAX; 6];
        let mut rng = fastrand::Rng::with_seed(1);
        for _ in 0..2_000 {
            let mut backoff = Backoff::new(rng.fork());
            for _ in 0..=FIXED_DELAYS {
                backoff.next_delay();
            }
            for n in 0..bounds.len() {
                let delay = backoff.next_delay();
                longest[n] = longest[n].max(delay);
                shortest[n] = shortest[n].min(delay);
            }
        }
        for (n, bound) in bounds.into_iter().enumerate() {
            assert!(longest[n] <= bound && longest[n] > bound.mul_f64(0.98), "{n}: {longest:?}");
            assert!(shortest[n] < bound.mul_f64(0.02), "{n}: {shortest:?}");
        }
    }

    #[test]
    fn failure_count_does_not_overflow() {
        let mut backoff = backoff();
        backoff.failures = u32::MAX - 1;
        for _ in 0..3 {
            assert!(backoff.next_delay() <= MAX_DELAY);
        }
    }

    #[test]
    fn only_a_stable_session_resets_the_backoff() {
        let mut backoff = backoff();
        for _ in 0..10 {
            backoff.next_delay();
        }
        backoff.session_ended(INTERVAL * 2 - Duration::from_millis(1), INTERVAL);
        assert_eq!(backoff.failures, 10);
        backoff.session_ended(INTERVAL * 2, INTERVAL);
        assert_eq!(backoff.failures, 0);
    }

    #[test]
    fn requested_delay_is_a_minimum_for_one_attempt() {
        let mut backoff = backoff();
        let requested = Duration::from_secs(100);
        for _ in 0..100 {
            backoff.set_minimum(requested);
            let delay = backoff.next_delay();
            assert!(delay >= requested && delay <= requested.mul_f64(1.1), "{delay:?}");
        }
        assert!(backoff.next_delay() <= MAX_DELAY);
    }

    #[test]
    fn short_requested_delay_does_not_shorten_the_own_delay() {
        let mut backoff = backoff();
        backoff.failures = 10;
        let mut longest = Duration::ZERO;
        for _ in 0..100 {
            backoff.set_minimum(Duration::from_millis(1));
            longest = longest.max(backoff.next_delay());
        }
        assert!(longest > Duration::from_secs(50), "{longest:?}");
    }

    #[test]
    fn retry_slot_replaces_the_delay_after_many_failures() {
        let mut backoff = backoff();
        backoff.failures = 10;
        for seconds in [2, 20] {
            let slot = Duration::from_secs(seconds);
            backoff.use_retry_slot(slot);
            let delay = backoff.next_delay();
            assert!(delay >= slot && delay <= slot.mul_f64(1.1), "{delay:?}");
        }
        assert_eq!(backoff.failures, 10);
        backoff.use_retry_slot(Duration::ZERO);
        assert!(backoff.next_delay() >= MIN_RETRY_SLOT, "a slot of zero is raised to the minimum");
    }

    #[test]
    fn retry_slot_of_one_of_several_addresses_limits_one_delay() {
        let mut backoff = backoff();
        let slot = Duration::from_secs(2);
        let mut shortest = Duration::MAX;
        for _ in 0..100 {
            backoff.set_maximum(slot);
            let delay = backoff.next_delay();
            assert!(delay <= slot.mul_f64(1.1), "{delay:?}");
            shortest = shortest.min(delay);
        }
        assert!(shortest < slot, "the own delay may be shorter");
        let longest = (0..100).map(|_| backoff.next_delay()).max();
        assert!(longest > Some(slot * 2), "{longest:?}");
    }

    #[test]
    fn requested_delay_is_capped_at_an_hour() {
        let mut backoff = backoff();
        backoff.set_minimum(Duration::MAX);
        assert!(backoff.next_delay() <= MAX_REQUESTED_DELAY.mul_f64(1.1));
    }
}
