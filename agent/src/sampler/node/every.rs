//! Limits how often something is done.

use std::time::{Duration, Instant};

/// Minimum time between two readings of what rarely changes, such as the release of the operating
/// system.
pub(super) const RARELY: Duration = Duration::from_secs(60);

/// Limit on how often something is done: at most once in an interval.
#[derive(Debug)]
pub(super) struct Every {
    interval: Duration,
    last: Option<Instant>,
}

impl Every {
    /// Creates an interval. It is due at once.
    pub(super) const fn new(interval: Duration) -> Self {
        Self { interval, last: None }
    }

    /// Returns whether the interval has passed since this last returned `true`.
    pub(super) fn is_due(&mut self) -> bool {
        self.is_due_at(Instant::now())
    }

    fn is_due_at(&mut self, now: Instant) -> bool {
        let is_early = |last| now.saturating_duration_since(last) < self.interval;
        let due = !self.last.is_some_and(is_early);
        if due {
            self.last = Some(now);
        }
        due
    }
}

/// Limit on how often something is done: in every nth reading.
#[derive(Debug)]
pub(super) struct EveryNth {
    readings: u32,
    left: u32,
}

impl EveryNth {
    /// Creates a limit to one in this number of readings. It is due at once.
    pub(super) const fn new(readings: u32) -> Self {
        Self { readings, left: 0 }
    }

    /// Returns whether it is due in this reading.
    pub(super) const fn is_due(&mut self) -> bool {
        let is_due = self.left == 0;
        self.left = if is_due { self.readings } else { self.left }.saturating_sub(1);
        is_due
    }

    /// Makes it due in the next reading.
    pub(super) const fn set_due(&mut self) {
        self.left = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_due_once_in_an_interval() {
        let mut every = Every::new(RARELY);
        let start = Instant::now();
        assert!(every.is_due_at(start));
        assert!(!every.is_due_at(start + RARELY / 2));
        assert!(every.is_due_at(start + RARELY));
        assert!(!every.is_due_at(start + RARELY * 3 / 2));
    }

    #[test]
    fn it_is_due_in_every_nth_reading() {
        let mut every = EveryNth::new(3);
        let due: Vec<_> = (0..7).map(|_| every.is_due()).collect();
        assert_eq!(due, [true, false, false, true, false, false, true]);
        every.set_due();
        assert!(every.is_due());
        assert!(!every.is_due());
        let mut always = EveryNth::new(0);
        assert!(always.is_due() && always.is_due());
    }
}
