//! The clock of the demo: a day passes in minutes, so that load visibly moves by the hour.

use std::fmt;
use std::time::{Duration, Instant};

/// Length of a day of the demo: an hour takes ten seconds, five reports of an agent.
pub(super) const DAY: Duration = Duration::from_mins(4);
/// Hours of a day.
pub(super) const HOURS: f64 = 24.0;
/// Time of day at which the demo starts, in hours UTC: before all events of the story.
const FIRST_HOUR: f64 = 8.0;

/// A clock that starts at 08:00 UTC of the first day.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock(Instant);

impl Clock {
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    pub(super) fn now(self) -> DemoTime {
        DemoTime::after(self.0.elapsed())
    }
}

/// A moment of the demo, in hours since the first midnight UTC.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub(super) struct DemoTime(f64);

impl DemoTime {
    /// Returns the moment this long after the start of the demo.
    pub(super) fn after(elapsed: Duration) -> Self {
        Self(FIRST_HOUR + elapsed.as_secs_f64() / DAY.as_secs_f64() * HOURS)
    }

    /// Returns the time of day in hours, at a place whose clocks are ahead of UTC by `offset`
    /// hours.
    pub(super) fn hour(self, offset: f64) -> f64 {
        (self.0 + offset).rem_euclid(HOURS)
    }
}

impl fmt::Display for DemoTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minutes = (self.0 * 60.0) as u64;
        let (day, minute) = (minutes / 1_440 + 1, minutes % 1_440);
        write!(f, "day {day}, {:02}:{:02} UTC", minute / 60, minute % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_passes_in_four_minutes() {
        let at = |seconds| DemoTime::after(Duration::from_secs(seconds));
        assert_eq!(at(0).to_string(), "day 1, 08:00 UTC");
        assert_eq!(at(15).to_string(), "day 1, 09:30 UTC");
        assert_eq!(at(160).to_string(), "day 2, 00:00 UTC");
        assert!((at(0).hour(-9.0) - 23.0).abs() < 1e-9);
        assert!((at(240).hour(1.0) - 9.0).abs() < 1e-9);
    }
}
