//! The collector's clock: milliseconds in which it was awake.
//!
//! All deadlines are kept in it. A collector that was frozen for a minute has not seen its agents for a
//! minute, yet none of them is late: the sweep takes the frozen time off again. Between two ticks of the sweep the
//! clock goes on, since a deadline that began at a time long past would come too early.
//!
//! It also knows the time of day, for people to read. That jumps as it likes, and nothing hangs on it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A moment or a length of time on the collector's clock, in milliseconds.
pub type Millis = u64;
/// Microseconds in one of them.
pub(crate) const MICROS: u64 = 1_000;

/// What the clock may be behind by, since it counts whole milliseconds: to be added where a deadline begins, or it would come
/// early by as much.
pub(crate) const ROUNDED: Millis = 1;

/// Planned time between two ticks.
pub(crate) const TICK: Duration = Duration::from_millis(250);
/// Delay of a tick beyond which the collector was not merely busy but stopped.
const FROZEN: Duration = Duration::from_secs(1);
/// The most that passes between two ticks.
const LONGEST: Millis = (TICK.as_millis() + FROZEN.as_millis()) as Millis;

/// A moment on both clocks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moment {
    /// The collector's own.
    pub awake: Millis,
    /// The time of day, in unix seconds.
    pub unix: u64,
}

/// The clock; starts at 0. Until [`Self::start`] it moves only by [`Self::advance`].
#[derive(Debug, Default)]
pub struct Clock {
    started: OnceLock<Instant>,
    /// Time since the start that did not pass on this clock.
    lost: AtomicU64,
    /// The latest time that the clock shows before the next tick: a freeze adds no more.
    latest: AtomicU64,
    unix: AtomicU64,
}

impl Clock {
    /// Runs from now on.
    pub fn start(&self) {
        self.latest.store(LONGEST, Ordering::Release);
        self.started.get_or_init(Instant::now);
    }

    /// The current time.
    pub fn now(&self) -> Millis {
        match self.started.get() {
            Some(started) => self.at(|| millis(started.elapsed())),
            None => self.latest.load(Ordering::Acquire),
        }
    }

    /// The time when this much has passed since the start.
    fn at(&self, elapsed: impl FnOnce() -> Millis) -> Millis {
        // `latest` first: with the one of after a freeze and the `lost` of before, the clock would show frozen time.
        let latest = self.latest.load(Ordering::Acquire);
        let lost = self.lost.load(Ordering::Relaxed);
        // `elapsed` last: with the one of before a freeze and the `lost` of after it, the clock would go back. This way a
        // thread that is stopped in between over a freeze shows at most `latest`, as it was before.
        elapsed().saturating_sub(lost).min(latest)
    }

    /// The current time on both clocks.
    pub fn moment(&self) -> Moment {
        Moment { awake: self.now(), unix: self.unix.load(Ordering::Relaxed) }
    }

    /// Tells it the time of day.
    pub fn set_time_of_day(&self, time: SystemTime) {
        let unix = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        self.unix.store(unix, Ordering::Relaxed);
    }

    /// To be called every [`TICK`]. Returns how long the collector did not run, if it was stopped.
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

    /// Lets time pass on a clock that was not started.
    pub fn advance(&self, time: Duration) {
        self.latest.fetch_add(millis(time), Ordering::Release);
    }
}

/// A duration in whole milliseconds.
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
    fn a_frozen_minute_does_not_pass() {
        let clock = started();
        assert_eq!(clock.tick_at(260), Duration::ZERO);
        assert_eq!(clock.at(|| 300), 300);
        // Before the sweep runs again, a connection may ask.
        assert_eq!(clock.at(|| 60_260), 260 + LONGEST);
        assert_eq!(clock.tick_at(60_260), Duration::from_millis(59_750));
        assert_eq!(clock.at(|| 60_260), 260 + LONGEST);
        assert_eq!(clock.at(|| 60_270), 270 + LONGEST);
        assert_eq!(clock.tick_at(60_510), Duration::ZERO);
        assert_eq!(clock.at(|| 60_510), 510 + LONGEST);
    }

    /// A thread that is stopped as soon as it has looked at the time, or just before.
    #[test]
    fn time_does_not_go_back_for_a_thread_that_a_freeze_stops_while_it_asks() {
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

    /// Deadlines begin at any time between two ticks, and are looked at in each. The ticks come late as on a busy
    /// machine, by less than a freeze.
    #[test]
    fn no_deadline_comes_early_and_none_is_later_than_the_tick_after_it() {
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

    /// By no part of a millisecond: most of these begin within one.
    #[test]
    fn a_deadline_that_begins_within_a_millisecond_is_not_early() {
        let clock = started();
        for _ in 0..100 {
            let (began, deadline) = (Instant::now(), clock.now() + ROUNDED + 2);
            while clock.now() < deadline {
                // Or the clock would stand still on a machine that is busy for a second.
                clock.tick();
            }
            let passed = began.elapsed();
            assert!(passed >= Duration::from_millis(2), "{passed:?}");
        }
    }

    #[test]
    fn a_clock_that_was_not_started_moves_only_when_told() {
        let clock = Clock::default();
        assert_eq!((clock.now(), clock.tick()), (0, Duration::ZERO));
        clock.advance(Duration::from_secs(2));
        assert_eq!(clock.now(), 2_000);
    }
}
