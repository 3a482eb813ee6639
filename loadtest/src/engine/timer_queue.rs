//! Due times of all agents: one entry of sixteen bytes per idle agent instead of a timer each.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// Scheduled action of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Action {
    /// Connect.
    Dial,
    /// Report, at a tick of its schedule.
    Report,
    /// Disconnect, because the collector sent Drain.
    DisconnectDrained,
}

/// An action with its due time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Timer {
    /// Due time, in microseconds since the start of the test.
    due_us: u64,
    /// Index of the agent.
    pub(super) agent: u32,
    /// Connection attempt that the timer belongs to. During a later attempt the timer is ignored.
    pub(super) attempt: u16,
    /// The action.
    pub(super) action: Action,
}

impl Timer {
    pub(super) const fn due(&self) -> Duration {
        Duration::from_micros(self.due_us)
    }
}

/// All timers, the earliest first.
#[derive(Debug, Default)]
pub(super) struct TimerQueue(BinaryHeap<Reverse<Timer>>);

impl TimerQueue {
    pub(super) fn add(&mut self, due: Duration, agent: u32, attempt: u16, action: Action) {
        let due_us = u64::try_from(due.as_micros()).unwrap_or(u64::MAX);
        self.0.push(Reverse(Timer { due_us, agent, attempt, action }));
    }

    /// Due time of the earliest timer.
    pub(super) fn next(&self) -> Option<Duration> {
        self.0.peek().map(|Reverse(timer)| timer.due())
    }

    /// Removes the earliest timer if it is due by `now`.
    pub(super) fn due_by(&mut self, now: Duration) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        self.0.pop().map(|Reverse(timer)| timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_fire_in_order_and_never_early() {
        assert_eq!(size_of::<Timer>(), 16);
        let mut timers = TimerQueue::default();
        for (ms, agent) in [(30, 3), (10, 1), (20, 2)] {
            timers.add(Duration::from_millis(ms), agent, 0, Action::Report);
        }
        let mut due = |ms| timers.due_by(Duration::from_millis(ms)).map(|timer| timer.agent);
        assert_eq!([due(9), due(20), due(20), due(20)], [None, Some(1), Some(2), None]);
        assert_eq!(timers.next(), Some(Duration::from_millis(30)));
    }
}
