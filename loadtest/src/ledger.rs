//! What the fleet has done and when: the truth that pages are judged by.
//!
//! A task that does something writes it down on the side of the act that is fair to the collector: that a
//! report is being sent, and that an agent is leaving, before the first byte moves; that a report is
//! written, and that an agent is gone, after the last. Only the recent past is kept.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Reports remembered of an agent. A scrape may last [`crate::scrape::TIMEOUT`] and is judged from a second
/// before it, in which an agent of the shortest interval sends fewer than this.
const REPORTS: usize = 16;
/// Sessions remembered of an agent.
const SESSIONS: usize = 4;

/// A report, by its sequence number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Its number.
    pub sequence: u64,
    /// Before its first byte was written.
    pub begun: Duration,
    /// After its last byte was written.
    pub written: Option<Duration>,
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// Before anything was done about it.
    pub leaving: Duration,
    /// After the socket was closed; `None` until then.
    pub gone: Option<Duration>,
    /// It was not the agent that ended it: since when the collector thinks so is not known.
    pub by_collector: bool,
}

/// A session, from Welcome on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// The sequence number of its first report.
    pub first_sequence: u64,
    /// Its end.
    pub end: Option<End>,
}

/// The recent past of one agent, oldest first. Times count from the beginning of the run.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// Its reports.
    pub reports: VecDeque<Sent>,
    /// Its sessions.
    pub sessions: VecDeque<Session>,
}

impl Record {
    /// A session begins, whose first report will have this number.
    pub fn welcomed(&mut self, first_sequence: u64) {
        push(&mut self.sessions, SESSIONS, Session { first_sequence, end: None });
    }

    /// A report is about to be written.
    pub fn sending(&mut self, sequence: u64, begun: Duration) {
        push(&mut self.reports, REPORTS, Sent { sequence, begun, written: None });
    }

    /// The last report has been written.
    pub fn written(&mut self, at: Duration) {
        if let Some(report) = self.reports.back_mut() {
            report.written = Some(at);
        }
    }

    /// The session is about to end.
    pub fn leaving(&mut self, leaving: Duration, by_collector: bool) {
        if let Some(session) = self.sessions.back_mut() {
            session.end = Some(End { leaving, gone: None, by_collector });
        }
    }

    /// The session's socket has been closed.
    pub fn gone(&mut self, at: Duration) {
        if let Some(end) = self.sessions.back_mut().and_then(|session| session.end.as_mut()) {
            end.gone = Some(at);
        }
    }

    /// The session that a report belongs to, if it is remembered.
    #[must_use]
    pub fn session_of(&self, sequence: u64) -> Option<&Session> {
        self.sessions.iter().rev().find(|session| session.first_sequence <= sequence)
    }
}

fn push<T>(recent: &mut VecDeque<T>, most: usize, item: T) {
    if recent.len() == most {
        recent.pop_front();
    }
    recent.push_back(item);
}

/// The records of all agents.
#[derive(Debug)]
pub struct Ledger {
    epoch: Instant,
    records: Box<[Mutex<Record>]>,
}

impl Ledger {
    /// Empty records of so many agents; the run begins now.
    #[must_use]
    pub fn new(agents: usize) -> Self {
        Self {
            epoch: Instant::now(),
            records: (0..agents).map(|_| Mutex::new(Record::default())).collect(),
        }
    }

    /// When the run began.
    #[must_use]
    pub const fn epoch(&self) -> Instant {
        self.epoch
    }

    /// Now, from the beginning of the run.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    /// The record of one agent. Hold it for one entry only.
    pub fn record(&self, agent: usize) -> MutexGuard<'_, Record> {
        // A record is whole after every statement, whoever panicked meanwhile.
        self.records[agent].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy of all records. An agent that acts meanwhile is seen before or after its act.
    #[must_use]
    pub fn snapshot(&self) -> Vec<Record> {
        (0..self.records.len()).map(|agent| self.record(agent).clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_recent_past_is_kept() {
        let mut record = Record::default();
        for sequence in 1..=100 {
            record.welcomed(sequence);
            record.sending(sequence, Duration::from_secs(sequence));
        }
        assert_eq!(record.reports.len(), REPORTS);
        assert_eq!(record.sessions.len(), SESSIONS);
        assert_eq!(record.reports.back().map(|report| report.sequence), Some(100));
    }

    #[test]
    fn a_report_belongs_to_the_session_it_was_sent_in() {
        let mut record = Record::default();
        record.welcomed(1);
        record.welcomed(5);
        assert_eq!(record.session_of(4).map(|session| session.first_sequence), Some(1));
        assert_eq!(record.session_of(5).map(|session| session.first_sequence), Some(5));
        assert_eq!(record.session_of(0), None);
    }
}
