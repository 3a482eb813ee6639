//! How long to wait before the next attempt to connect.
//!
//! A fleet that lost its collector at one moment must not come back at one moment: the first wait
//! gives every agent a place of its own within five seconds, the next keep it, for as long as a
//! restart may take, so that whenever the collector returns its fleet is back within five seconds,
//! evenly. After that waits are drawn from a range that doubles. What a collector asks for is
//! obeyed as a minimum, within reason; a turn that it gives takes the place of our own wait.

use std::time::Duration;

/// Bound of the first wait: a collector that was only restarted has its fleet back within this.
pub const FIRST_BOUND: Duration = Duration::from_secs(5);
/// So many more waits of just that length follow, before they are drawn from a range that doubles.
pub const KEPT_PLACES: u32 = 3;
/// No wait of our own choice is longer: a host may be missing this long after a collector has
/// returned.
pub const LONGEST_BOUND: Duration = Duration::from_secs(60);
/// The wait after a refusal that names no time: the same again will not help, but somebody may mend
/// the cause, and no agent must need a restart for that.
pub const HOPELESS_WAIT: Duration = Duration::from_secs(10 * 60);
/// The longest wait a collector can impose: an error over there must not silence a fleet for days.
pub const LONGEST_OBEYED: Duration = Duration::from_secs(60 * 60);
/// A turn is not taken sooner than this, whatever the collector says.
pub const SOONEST_TURN: Duration = Duration::from_secs(1);
/// Sessions shorter than this many intervals do not count as a success.
pub const PROVEN_INTERVALS: u32 = 2;

/// The waits between attempts. Knows no clock.
#[derive(Debug)]
pub struct Backoff {
    failures: u32,
    at_least: Duration,
    turn: Option<Duration>,
    latest: Option<Duration>,
    rng: fastrand::Rng,
}

impl Backoff {
    /// Starts with the shortest bound; the waits are drawn from `rng`.
    #[must_use]
    pub const fn new(rng: fastrand::Rng) -> Self {
        Self { failures: 0, at_least: Duration::ZERO, turn: None, latest: None, rng }
    }

    /// The wait before the next attempt. The more there were, the longer, but for those that follow
    /// a turn.
    pub fn next_wait(&mut self) -> Duration {
        let latest = self.latest.take();
        if let Some(turn) = self.turn.take() {
            return turn + (turn / 10).mul_f64(self.rng.f64());
        }
        let own = match self.failures {
            0 => FIRST_BOUND.mul_f64(self.rng.f64()),
            1..=KEPT_PLACES => FIRST_BOUND,
            failures => {
                let bound = FIRST_BOUND.saturating_mul(1 << (failures - KEPT_PLACES).min(16));
                bound.min(LONGEST_BOUND).mul_f64(self.rng.f64())
            }
        };
        self.failures = self.failures.saturating_add(1);
        let at_least = std::mem::take(&mut self.at_least);
        let wait = own.max(at_least + (at_least / 10).mul_f64(self.rng.f64()));
        latest.map_or(wait, |turn| wait.min(turn + (turn / 10).mul_f64(self.rng.f64())))
    }

    /// A session of this length has ended; `interval` is the one it reported at.
    ///
    /// Only a proven session starts the waits over: a collector that accepts and then drops is not
    /// well. Returns whether this one was proven.
    pub fn session_ended(&mut self, lasted: Duration, interval: Duration) -> bool {
        let proven = lasted >= interval * PROVEN_INTERVALS;
        if proven {
            self.failures = 0;
        }
        proven
    }

    /// The collector asks not to be called before `wait` has passed: the next wait is at least
    /// that, and up to a tenth more.
    pub fn obey(&mut self, wait: Duration) {
        self.at_least = wait.min(LONGEST_OBEYED);
    }

    /// The collector has no room now and gives us a turn among those who wait: the next wait is
    /// that, and up to a tenth more, however often we have failed.
    pub fn take_turn(&mut self, turn: Duration) {
        self.turn = Some(turn.clamp(SOONEST_TURN, LONGEST_OBEYED));
    }

    /// One of several collectors has given us a turn: the next wait is at most that, and up to a
    /// tenth more.
    pub fn wait_no_longer_than(&mut self, turn: Duration) {
        self.latest = Some(turn.clamp(SOONEST_TURN, LONGEST_OBEYED));
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
    fn whenever_the_collector_is_back_from_a_restart_so_is_its_fleet_within_five_seconds_evenly() {
        let mut rng = fastrand::Rng::with_seed(1);
        for outage in [0.1, 2.0, 7.5, 15.0] {
            let mut fifths = [0; 5];
            for _ in 0..10_000 {
                let mut backoff = Backoff::new(rng.fork());
                let mut attempt = 0.0;
                while attempt < outage {
                    attempt += backoff.next_wait().as_secs_f64();
                }
                fifths[(attempt - outage) as usize] += 1;
            }
            assert!(fifths.iter().all(|agents| (1_800..2_200).contains(agents)), "{fifths:?}");
        }
    }

    #[test]
    fn later_waits_fill_a_range_that_doubles_to_a_minute() {
        let bounds = [10, 20, 40, 60, 60, 60].map(Duration::from_secs);
        let mut longest = [Duration::ZERO; 6];
        let mut shortest = [Duration::MAX; 6];
        let mut rng = fastrand::Rng::with_seed(1);
        for _ in 0..2_000 {
            let mut backoff = Backoff::new(rng.fork());
            for _ in 0..=KEPT_PLACES {
                backoff.next_wait();
            }
            for n in 0..bounds.len() {
                let wait = backoff.next_wait();
                longest[n] = longest[n].max(wait);
                shortest[n] = shortest[n].min(wait);
            }
        }
        for (n, bound) in bounds.into_iter().enumerate() {
            assert!(longest[n] <= bound && longest[n] > bound.mul_f64(0.98), "{n}: {longest:?}");
            assert!(shortest[n] < bound.mul_f64(0.02), "{n}: {shortest:?}");
        }
    }

    #[test]
    fn no_number_of_failures_overflows() {
        let mut backoff = backoff();
        backoff.failures = u32::MAX - 1;
        for _ in 0..3 {
            assert!(backoff.next_wait() <= LONGEST_BOUND);
        }
    }

    #[test]
    fn only_a_proven_session_starts_over() {
        let mut backoff = backoff();
        for _ in 0..10 {
            backoff.next_wait();
        }
        backoff.session_ended(INTERVAL * 2 - Duration::from_millis(1), INTERVAL);
        assert_eq!(backoff.failures, 10);
        backoff.session_ended(INTERVAL * 2, INTERVAL);
        assert_eq!(backoff.failures, 0);
    }

    #[test]
    fn an_asked_for_wait_is_a_minimum_once() {
        let mut backoff = backoff();
        let asked = Duration::from_secs(100);
        for _ in 0..100 {
            backoff.obey(asked);
            let wait = backoff.next_wait();
            assert!(wait >= asked && wait <= asked.mul_f64(1.1), "{wait:?}");
        }
        assert!(backoff.next_wait() <= LONGEST_BOUND);
    }

    #[test]
    fn a_short_asked_for_wait_does_not_undercut_our_own() {
        let mut backoff = backoff();
        backoff.failures = 10;
        let mut longest = Duration::ZERO;
        for _ in 0..100 {
            backoff.obey(Duration::from_millis(1));
            longest = longest.max(backoff.next_wait());
        }
        assert!(longest > Duration::from_secs(50), "{longest:?}");
    }

    #[test]
    fn a_turn_is_taken_when_it_comes_however_often_we_failed() {
        let mut backoff = backoff();
        backoff.failures = 10;
        for seconds in [2, 20] {
            let turn = Duration::from_secs(seconds);
            backoff.take_turn(turn);
            let wait = backoff.next_wait();
            assert!(wait >= turn && wait <= turn.mul_f64(1.1), "{wait:?}");
        }
        assert_eq!(backoff.failures, 10);
        backoff.take_turn(Duration::ZERO);
        assert!(backoff.next_wait() >= SOONEST_TURN, "no collector makes us hammer it");
    }

    #[test]
    fn a_turn_among_several_collectors_ends_our_own_wait_once() {
        let mut backoff = backoff();
        let turn = Duration::from_secs(2);
        let mut shortest = Duration::MAX;
        for _ in 0..100 {
            backoff.wait_no_longer_than(turn);
            let wait = backoff.next_wait();
            assert!(wait <= turn.mul_f64(1.1), "{wait:?}");
            shortest = shortest.min(wait);
        }
        assert!(shortest < turn, "our own wait may end earlier");
        let longest = (0..100).map(|_| backoff.next_wait()).max();
        assert!(longest > Some(turn * 2), "{longest:?}");
    }

    #[test]
    fn a_collector_cannot_silence_a_fleet_for_days() {
        let mut backoff = backoff();
        backoff.obey(Duration::MAX);
        assert!(backoff.next_wait() <= LONGEST_OBEYED.mul_f64(1.1));
    }
}
