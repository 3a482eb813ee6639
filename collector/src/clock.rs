//! The collector's clock: milliseconds in which it was awake, advanced by the sweep.
//!
//! All deadlines are kept in it. A collector that was frozen for a minute has not seen its agents for a
//! minute, yet none of them is late: the frozen time never passed on this clock. Reading it is one load.
//!
//! It also knows the time of day, for people to read. That jumps as it likes, and nothing hangs on it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A moment or a length of time on the collector's clock, in milliseconds.
pub type Millis = u64;
/// Microseconds in one of them.
pub(crate) const MICROS: u64 = 1_000;

/// A gap between two ticks beyond which the collector was not merely busy but stopped.
const FROZEN: Duration = Duration::from_secs(1);

/// A moment on both clocks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moment {
    /// The collector's own.
    pub awake: Millis,
    /// The time of day, in unix seconds.
    pub unix: u64,
}

/// The clock; starts at 0.
#[derive(Debug, Default)]
pub struct Clock {
    awake: AtomicU64,
    unix: AtomicU64,
}

impl Clock {
    /// The current time.
    pub fn now(&self) -> Millis {
        self.awake.load(Ordering::Relaxed)
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

    /// Lets the time since the last tick pass; of a freeze only `tick`, the length planned.
    /// Returns by how much the tick was late because of a freeze.
    pub fn advance(&self, elapsed: Duration, tick: Duration) -> Duration {
        let (passed, lost) = if elapsed > tick + FROZEN {
            (tick, elapsed - tick)
        } else {
            (elapsed, Duration::ZERO)
        };
        self.awake.fetch_add(millis(passed), Ordering::Relaxed);
        lost
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

    #[test]
    fn a_frozen_minute_does_not_pass() {
        let (clock, tick) = (Clock::default(), Duration::from_millis(250));
        assert_eq!(clock.advance(Duration::from_millis(260), tick), Duration::ZERO);
        assert_eq!(clock.now(), 260);
        assert_eq!(clock.advance(Duration::from_secs(60), tick), Duration::from_millis(59_750));
        assert_eq!(clock.now(), 510);
    }
}
