//! What is to be done and when: one entry for an idle agent, sixteen bytes, instead of a timer each.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// What an agent does of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Act {
    /// Connect.
    Dial,
    /// Report, at a tick of the agent's grid.
    Report,
    /// Leave, as the collector's Drain has asked.
    LeaveDrained,
}

/// Something to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    /// When, in microseconds from the beginning of the run.
    due_us: u64,
    /// By which agent.
    pub(super) agent: u32,
    /// In which of its attempts to connect: of no meaning in a later one.
    pub(super) attempt: u16,
    /// What.
    pub(super) act: Act,
}

impl Entry {
    pub(super) const fn due(&self) -> Duration {
        Duration::from_micros(self.due_us)
    }
}

/// All that is to be done, the soonest first.
#[derive(Debug, Default)]
pub(super) struct Agenda(BinaryHeap<Reverse<Entry>>);

impl Agenda {
    pub(super) fn add(&mut self, due: Duration, agent: u32, attempt: u16, act: Act) {
        let due_us = u64::try_from(due.as_micros()).unwrap_or(u64::MAX);
        self.0.push(Reverse(Entry { due_us, agent, attempt, act }));
    }

    /// When the soonest is due.
    pub(super) fn next(&self) -> Option<Duration> {
        self.0.peek().map(|Reverse(entry)| entry.due())
    }

    /// The next that is due by `now`.
    pub(super) fn due_by(&mut self, now: Duration) -> Option<Entry> {
        if self.next()? > now {
            return None;
        }
        self.0.pop().map(|Reverse(entry)| entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soonest_comes_first_and_none_before_its_time() {
        assert_eq!(size_of::<Entry>(), 16);
        let mut agenda = Agenda::default();
        for (ms, agent) in [(30, 3), (10, 1), (20, 2)] {
            agenda.add(Duration::from_millis(ms), agent, 0, Act::Report);
        }
        let mut due = |ms| agenda.due_by(Duration::from_millis(ms)).map(|entry| entry.agent);
        assert_eq!([due(9), due(20), due(20), due(20)], [None, Some(1), Some(2), None]);
        assert_eq!(agenda.next(), Some(Duration::from_millis(30)));
    }
}
