//! What agents have done and when: the truth that pages are judged by.
//!
//! Who does something writes it down on the side of the act that is fair to the collector: that a report is
//! being sent, and that an agent is leaving, before the first byte moves; that a report is written, and that an
//! agent is gone, after the last. Only the recent past is kept, in few bytes: there are many agents.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use super::tolerances::SETTLED;
use crate::scrape;

/// Reports remembered of an agent beyond those that fall into the past that a page is judged by.
const SPARE_REPORTS: usize = 3;
/// Sessions remembered of an agent.
const KEPT_SESSIONS: usize = 4;
/// A [`Timestamp`]'s grain, in microseconds.
const RESOLUTION_US: u128 = 100;

/// A moment of the run, to a tenth of a millisecond, for five days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(NonZeroU32);

impl Timestamp {
    /// Not after `at`.
    #[must_use]
    pub fn before(at: Duration) -> Self {
        Self::steps(at.as_micros() / RESOLUTION_US)
    }

    /// Not before `at`.
    #[must_use]
    pub fn after(at: Duration) -> Self {
        Self::steps(at.as_micros().div_ceil(RESOLUTION_US))
    }

    fn steps(steps: u128) -> Self {
        let counted = u32::try_from(steps + 1).unwrap_or(u32::MAX);
        Self(NonZeroU32::new(counted).unwrap_or(NonZeroU32::MIN))
    }

    /// Time since the beginning of the run.
    #[must_use]
    pub fn since_start(self) -> Duration {
        Duration::from_micros(u64::from(self.0.get() - 1) * RESOLUTION_US as u64)
    }
}

/// A report, by its sequence number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentReport {
    /// Its number.
    pub sequence: u32,
    /// Before its first byte was written.
    pub begun: Timestamp,
    /// After its last byte was written.
    pub written: Option<Timestamp>,
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionEnd {
    /// Before anything was done about it.
    pub leaving: Timestamp,
    /// After the socket was closed; `None` until then.
    pub gone: Option<Timestamp>,
    /// It was not the agent that ended it: since when the collector thinks so is not known.
    pub by_collector: bool,
}

/// A session, from Welcome on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// The sequence number of its first report.
    pub first_sequence: u32,
    /// Its end.
    pub end: Option<SessionEnd>,
}

/// The recent past of one agent, oldest first.
#[derive(Debug, Clone, Default)]
pub struct AgentHistory {
    /// Its reports.
    pub reports: Vec<SentReport>,
    /// Its sessions.
    pub sessions: Vec<Session>,
}

impl AgentHistory {
    /// A session begins, whose first report will have this number.
    pub fn session_began(&mut self, first_sequence: u64) {
        let session = Session { first_sequence: sequence_u32(first_sequence), end: None };
        push(&mut self.sessions, KEPT_SESSIONS, session);
    }

    /// A report is about to be written; so many are remembered.
    pub fn sending(&mut self, sequence: u64, begun: Duration, kept_reports: usize) {
        let (sequence, begun) = (sequence_u32(sequence), Timestamp::before(begun));
        push(&mut self.reports, kept_reports, SentReport { sequence, begun, written: None });
    }

    /// The last report has been written.
    pub fn written(&mut self, at: Duration) {
        if let Some(report) = self.reports.last_mut() {
            report.written = Some(Timestamp::after(at));
        }
    }

    /// The session is about to end.
    pub fn leaving(&mut self, leaving: Duration, by_collector: bool) {
        if let Some(session) = self.sessions.last_mut() {
            let leaving = Timestamp::before(leaving);
            session.end = Some(SessionEnd { leaving, gone: None, by_collector });
        }
    }

    /// The session's socket has been closed.
    pub fn gone(&mut self, at: Duration) {
        if let Some(end) = self.sessions.last_mut().and_then(|session| session.end.as_mut()) {
            end.gone = Some(Timestamp::after(at));
        }
    }

    /// When the last session's socket was closed.
    #[must_use]
    pub fn gone_at(&self) -> Option<Duration> {
        Some(self.sessions.last()?.end?.gone?.since_start())
    }

    /// Reports written in the last session, as far as it is known when that began.
    #[must_use]
    pub fn reports_of_session(&self) -> u32 {
        match (self.reports.last(), self.sessions.last()) {
            (Some(report), Some(session)) => {
                (report.sequence + 1).saturating_sub(session.first_sequence)
            }
            _ => 0,
        }
    }

    /// The session that a report belongs to, if it is remembered.
    #[must_use]
    pub fn session_of(&self, sequence: u32) -> Option<&Session> {
        self.sessions.iter().rev().find(|session| session.first_sequence <= sequence)
    }
}

/// Sequence numbers stay below 2^30, see [`crate::sim_values::ValueOrigin`].
fn sequence_u32(sequence: u64) -> u32 {
    u32::try_from(sequence).unwrap_or(u32::MAX)
}

/// A few items are moved rather than a ring kept: most agents have one of them.
fn push<T>(recent: &mut Vec<T>, most: usize, item: T) {
    if recent.len() >= most {
        recent.remove(0);
    }
    recent.reserve_exact(1);
    recent.push(item);
}

/// The records of agents.
#[derive(Debug)]
pub struct GroundTruth {
    epoch: Instant,
    kept_reports: usize,
    histories: Vec<AgentHistory>,
}

impl GroundTruth {
    /// Of nobody yet; the run begins now. Agents will report at this interval, but for the first report of a
    /// session, which is due at once; pages may be late by `tolerance`.
    #[must_use]
    pub fn new(interval: Duration, tolerance: Duration) -> Self {
        let past = scrape::TIMEOUT + SETTLED + tolerance;
        let ticks = past.as_nanos().div_ceil(interval.as_nanos().max(1));
        let kept_reports = SPARE_REPORTS + usize::try_from(ticks).unwrap_or(usize::MAX);
        Self { epoch: Instant::now(), kept_reports, histories: Vec::new() }
    }

    /// Makes room for the records of so many agents.
    pub fn resize(&mut self, agents: usize) {
        self.histories.resize_with(agents, AgentHistory::default);
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

    /// All records, in the order of the agents.
    #[must_use]
    pub fn histories(&self) -> &[AgentHistory] {
        &self.histories
    }

    /// The record of one agent.
    pub fn history(&mut self, agent: usize) -> &mut AgentHistory {
        &mut self.histories[agent]
    }

    /// An agent is about to write a report.
    pub fn sending(&mut self, agent: usize, sequence: u64, begun: Duration) {
        self.histories[agent].sending(sequence, begun, self.kept_reports);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_recent_past_is_kept() {
        let mut truth = GroundTruth::new(Duration::from_secs(1), Duration::ZERO);
        truth.resize(1);
        for sequence in 1..=100 {
            truth.history(0).session_began(sequence);
            truth.sending(0, sequence, Duration::from_secs(sequence));
        }
        let history = &truth.histories()[0];
        assert_eq!(history.reports.len(), 11 + SPARE_REPORTS);
        assert_eq!(history.sessions.len(), KEPT_SESSIONS);
        assert_eq!(history.reports.last().map(|report| report.sequence), Some(100));
    }

    #[test]
    fn a_history_takes_few_bytes() {
        assert_eq!(
            (size_of::<AgentHistory>(), size_of::<Session>(), size_of::<SentReport>()),
            (48, 16, 12)
        );
        let mut history = AgentHistory::default();
        history.session_began(1);
        history.sending(1, Duration::ZERO, 4);
        assert_eq!((history.reports.capacity(), history.sessions.capacity()), (1, 1));
    }

    #[test]
    fn a_report_belongs_to_the_session_that_sent_it() {
        let mut history = AgentHistory::default();
        history.session_began(1);
        history.session_began(5);
        assert_eq!(history.session_of(4).map(|session| session.first_sequence), Some(1));
        assert_eq!(history.session_of(5).map(|session| session.first_sequence), Some(5));
        assert_eq!(history.session_of(0), None);
    }

    #[test]
    fn timestamps_round_in_the_collectors_favour() {
        let at = Duration::from_micros(12_345);
        assert_eq!(Timestamp::before(at).since_start(), Duration::from_micros(12_300));
        assert_eq!(Timestamp::after(at).since_start(), Duration::from_micros(12_400));
        assert_eq!(Timestamp::after(Duration::ZERO).since_start(), Duration::ZERO);
    }
}
