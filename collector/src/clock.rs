//! The collector's clock. It counts the milliseconds in which the process was running.
//!
//! All deadlines are on this clock. If the collector is frozen for a minute, it hears from no agent
//! for a minute, yet no agent is late: the ticker subtracts the frozen time. The clock also
//! advances between two ticks, so that no deadline comes early.
//!
//! It also keeps the time of day, for display. That can jump, so no deadline depends on it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A time or a duration on the collector's clock, in milliseconds.
pub type Millis = u64;
/// Microseconds in a millisecond.
pub(crate) const MICROS: u64 = 1_000;

/// Maximum rounding error of the clock, which counts whole milliseconds. Add it to the current time
/// when computing a deadline, or the deadline can be too early.
pub(crate) const ROUNDED: Millis = 1;

/// Interval of ticks.
pub(crate) const TICK: Duration = Duration::from_millis(250);
/// A tick that is late by more than this means that the collector was frozen, not only busy.
const FROZEN: Duration = Duration::from_secs(1);
/// Maximum advance of the clock between two ticks.
const LONGEST: Millis = (TICK.as_millis() + FROZEN.as_millis()) as Millis;

/// A point in time, on the collector's clock and as time of day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moment {
    /// Time on the collector's clock.
    pub awake: Millis,
    /// The time of day, in unix seconds.
    pub unix: u64,
}

/// The collector's clock; starts at 0. Before [`Self::start`] it moves only by [`Self::advance`].
#[derive(Debug, Default)]
pub struct Clock {
    started: OnceLock<Instant>,
    /// Total frozen time since the start, in milliseconds.
    lost: AtomicU64,
    /// Upper bound of the clock until the next tick. It limits how far a freeze can advance the
    /// clock.
    latest: AtomicU64,
    /// Time of day less the time on the clock, in unix milliseconds; negative numbers wrap.
    ahead: AtomicU64,
}

impl Clock {
    /// Starts the clock.
    pub fn start(&self) {
        self.latest.store(LONGEST, Ordering::Release);
        self.started.get_or_init(Instant::now);
    }

    /// Returns the current time on the collector's clock.
    pub fn now(&self) -> Millis {
        match self.started.get() {
            Some(started) => self.at(|| millis(started.elapsed())),
            None => self.latest.load(Ordering::Acquire),
        }
    }

    /// Returns the time on the clock; `elapsed` returns the real time since the start, in
    /// milliseconds.
    fn at(&self, elapsed: impl FnOnce() -> Millis) -> Millis {
        // Load `latest` first: a new `latest` with an old `lost` would show frozen time.
        let latest = self.latest.load(Ordering::Acquire);
        let lost = self.lost.load(Ordering::Relaxed);
        // Read `elapsed` last: an old `elapsed` with a new `lost` would set the clock back. A
        // thread that a freeze stops in between shows at most the old `latest`.
        elapsed().saturating_sub(lost).min(latest)
    }

    /// Returns the current time on the collector's clock and the time of day.
    pub fn moment(&self) -> Moment {
        let awake = self.now();
        Moment { awake, unix: self.unix_ms_at(awake) / 1_000 }
    }

    /// Returns the time of day, in unix milliseconds.
    pub fn unix_ms(&self) -> u64 {
        self.unix_ms_at(self.now())
    }

    fn unix_ms_at(&self, awake: Millis) -> u64 {
        self.ahead.load(Ordering::Relaxed).wrapping_add(awake)
    }

    /// Sets the time of day. Until the next time it advances with the clock.
    pub fn set_time_of_day(&self, time: SystemTime) {
        let unix = time.duration_since(UNIX_EPOCH).map_or(0, millis);
        self.ahead.store(unix.wrapping_sub(self.now()), Ordering::Relaxed);
    }

    /// Call this every [`TICK`]. Returns the duration of a freeze since the last tick; 0 without
    /// one.
    pub(crate) fn tick(&self) -> Duration {
        self.started.get().map_or(Duration::ZERO, |started| self.tick_at(millis(started.elapsed())))
    }

    fn tick_at(&self, elapsed: Millis) -> Duration {
        let (lost, latest) =
            (self.lost.load(Ordering::Relaxed), self.latest.load(Ordering::Relaxed));
        let beyond = elapsed.saturating_sub(lost + latest);
        self.lost.store(lost + beyond, Ordering::Relaxed);
        self.latest.store(elapsed - lost - beyond + LONGEST, Ordering::Release);
        if beyond == 0 { Duration::ZERO } else { Duration::from_millis(beyond) + FROZEN }
    }

    /// Advances a clock that was not started, for example in a test.
    pub fn advance(&self, time: Duration) {
        self.latest.fetch_add(millis(time), Ordering::Release);
    }
}

/// Converts a duration to whole milliseconds.
#[must_use]
pub fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started() -> Clock {
        let clock = Clock::default();
        clock.start();
        clock
    }

    #[test]
    fn frozen_time_does_not_pass() {
        let clock = started();
        assert_eq!(clock.tick_at(260), Duration::ZERO);
        assert_eq!(clock.at(|| 300), 300);
        // A connection reads the clock before the tick that detects the freeze.
        assert_eq!(clock.at(|| 60_260), 260 + LONGEST);
        assert_eq!(clock.tick_at(60_260), Duration::from_millis(59_750));
        assert_eq!(clock.at(|| 60_260), 260 + LONGEST);
        assert_eq!(clock.at(|| 60_270), 270 + LONGEST);
        assert_eq!(clock.tick_at(60_510), Duration::ZERO);
        assert_eq!(clock.at(|| 60_510), 510 + LONGEST);
    }

    /// The freeze stops the thread just before or just after it reads the real time.
    #[test]
    fn clock_is_monotonic_for_a_thread_frozen_while_reading_it() {
        for seen in [300, 60_260] {
            let clock = started();
            clock.tick_at(260);
            let before = clock.at(|| 300);
            let asked = clock.at(|| {
                clock.tick_at(60_260);
                seen
            });
            assert!(asked >= before, "{asked}");
            assert!(asked <= clock.at(|| 60_270), "{asked}");
        }
    }

    /// Deadlines begin at any time between two ticks and are checked at each tick. Ticks are late,
    /// as on a busy machine, but by less than a freeze.
    #[test]
    fn deadlines_fire_at_the_first_tick_after_they_have_passed() {
        let clock = started();
        let (mut tick, mut ticks) = (0, Vec::new());
        for late in (0..1_000).step_by(7).chain([0; 100]) {
            tick += millis(TICK) + late;
            ticks.push(tick);
        }
        let mut running = Vec::new();
        let mut before = 0;
        for tick in ticks {
            for began in (before..tick).step_by(10) {
                running.push((began, clock.at(|| began) + 3_000));
            }
            assert_eq!(clock.tick_at(tick), Duration::ZERO);
            running.retain(|(began, deadline)| {
                let is_due = *deadline <= clock.at(|| tick);
                assert!(!is_due || began + 3_000 <= tick, "{} ms early", began + 3_000 - tick);
                assert!(is_due || began + 3_000 > tick, "still not due");
                !is_due
            });
            before = tick;
        }
    }

    /// Most of these deadlines begin within a millisecond, and must not be early by a fraction of
    /// one.
    #[test]
    fn deadline_that_begins_within_a_millisecond_is_not_early() {
        let clock = started();
        for _ in 0..100 {
            let (began, deadline) = (Instant::now(), clock.now() + ROUNDED + 2);
            while clock.now() < deadline {
                // Without ticks the clock would stop on a machine that is busy for a second.
                clock.tick();
            }
            let passed = began.elapsed();
            assert!(passed >= Duration::from_millis(2), "{passed:?}");
        }
    }

    #[test]
    fn time_of_day_is_in_milliseconds_and_advances_between_ticks() {
        let clock = Clock::default();
        clock.advance(Duration::from_secs(7));
        let set = |unix_ms| clock.set_time_of_day(UNIX_EPOCH + Duration::from_millis(unix_ms));
        set(1_767_225_600_999);
        assert_eq!(clock.unix_ms(), 1_767_225_600_999);
        clock.advance(Duration::from_millis(200));
        assert_eq!(clock.unix_ms(), 1_767_225_601_199);
        assert_eq!(clock.moment(), Moment { awake: 7_200, unix: 1_767_225_601 });
        set(500);
        assert_eq!(clock.unix_ms(), 500, "before the clock was started");
        set(0);
        clock.advance(Duration::from_millis(1));
        assert_eq!(clock.unix_ms(), 1);
    }

    #[test]
    fn clock_before_start_moves_only_by_advance() {
        let clock = Clock::default();
        assert_eq!((clock.now(), clock.tick()), (0, Duration::ZERO));
        clock.advance(Duration::from_secs(2));
        assert_eq!(clock.now(), 2_000);
    }
}
