//! Ground truth: what the agents did and when. Pages are judged by it.
//!
//! Every time is rounded in the collector's favour. The beginning of a report and of a departure is
//! recorded before the first byte is sent; the end of a report and the close of a socket are
//! recorded afterwards. Only the recent past is kept, in few bytes, because there are many agents.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use super::tolerances::SETTLED;

/// Reports to keep per agent in addition to those that judging a page needs.
const SPARE_REPORTS: usize = 3;
/// Sessions to keep per agent.
const KEPT_SESSIONS: usize = 4;
/// Resolution of a [`Timestamp`], in microseconds.
const RESOLUTION_US: u128 = 100;

/// Time since the start of the test in tenths of a millisecond; the range is five days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(NonZeroU32);

impl Timestamp {
    /// Creates a timestamp, rounded down.
    #[must_use]
    pub fn before(at: Duration) -> Self {
        Self::steps(at.as_micros() / RESOLUTION_US)
    }

    /// Creates a timestamp, rounded up.
    #[must_use]
    pub fn after(at: Duration) -> Self {
        Self::steps(at.as_micros().div_ceil(RESOLUTION_US))
    }

    fn steps(steps: u128) -> Self {
        let counted = u32::try_from(steps + 1).unwrap_or(u32::MAX);
        Self(NonZeroU32::new(counted).unwrap_or(NonZeroU32::MIN))
    }

    /// Time since the start of the test.
    #[must_use]
    pub fn since_start(self) -> Duration {
        Duration::from_micros(u64::from(self.0.get() - 1) * RESOLUTION_US as u64)
    }
}

/// A report that an agent sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentReport {
    /// Sequence number of the report.
    pub sequence: u32,
    /// A time before the first byte of the report was written.
    pub begun: Timestamp,
    /// A time after the last byte of the report was written; `None` until then.
    pub written: Option<Timestamp>,
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionEnd {
    /// A time before the agent or the collector ended the session.
    pub leaving: Timestamp,
    /// A time after the socket was closed; `None` until then.
    pub gone: Option<Timestamp>,
    /// Whether the collector ended the session, at an unknown earlier time.
    pub by_collector: bool,
}

/// A session, from Welcome on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// Sequence number of the first report in the session.
    pub first_sequence: u32,
    /// How the session ended; `None` while it lasts.
    pub end: Option<SessionEnd>,
}

/// The recent past of one agent, oldest first.
#[derive(Debug, Clone, Default)]
pub struct AgentHistory {
    /// Reports of the agent.
    pub reports: Vec<SentReport>,
    /// Sessions of the agent.
    pub sessions: Vec<Session>,
}

impl AgentHistory {
    /// Records the start of a session. Its first report will have this sequence number.
    pub fn session_began(&mut self, first_sequence: u64) {
        let session = Session { first_sequence: sequence_u32(first_sequence), end: None };
        push(&mut self.sessions, KEPT_SESSIONS, session);
    }

    /// Records that a report is about to be written. At most `kept_reports` are kept.
    pub fn sending(&mut self, sequence: u64, begun: Duration, kept_reports: usize) {
        let (sequence, begun) = (sequence_u32(sequence), Timestamp::before(begun));
        push(&mut self.reports, kept_reports, SentReport { sequence, begun, written: None });
    }

    /// Records that the last report has been written.
    pub fn written(&mut self, at: Duration) {
        if let Some(report) = self.reports.last_mut() {
            report.written = Some(Timestamp::after(at));
        }
    }

    /// Records that the session is about to end.
    pub fn leaving(&mut self, leaving: Duration, by_collector: bool) {
        if let Some(session) = self.sessions.last_mut() {
            let leaving = Timestamp::before(leaving);
            session.end = Some(SessionEnd { leaving, gone: None, by_collector });
        }
    }

    /// Records that the socket of the session was closed.
    pub fn gone(&mut self, at: Duration) {
        if let Some(end) = self.sessions.last_mut().and_then(|session| session.end.as_mut()) {
            end.gone = Some(Timestamp::after(at));
        }
    }

    /// When the socket of the last session was closed; `None` before that.
    #[must_use]
    pub fn gone_at(&self) -> Option<Duration> {
        Some(self.sessions.last()?.end?.gone?.since_start())
    }

    /// Number of reports written in the last session, as far as its start is known.
    #[must_use]
    pub fn reports_of_session(&self) -> u32 {
        match (self.reports.last(), self.sessions.last()) {
            (Some(report), Some(session)) => {
                (report.sequence + 1).saturating_sub(session.first_sequence)
            }
            _ => 0,
        }
    }

    /// The session that a report belongs to, if it is still kept.
    #[must_use]
    pub fn session_of(&self, sequence: u32) -> Option<&Session> {
        self.sessions.iter().rev().find(|session| session.first_sequence <= sequence)
    }
}

/// Sequence numbers stay below 2^30; see [`crate::sim_values::ValueOrigin`].
fn sequence_u32(sequence: u64) -> u32 {
    u32::try_from(sequence).unwrap_or(u32::MAX)
}

/// Appends an item and drops the oldest if there are too many. Shifting needs less memory than a
/// ring buffer, because most vectors have one item.
fn push<T>(recent: &mut Vec<T>, max_items: usize, item: T) {
    if recent.len() >= max_items {
        recent.remove(0);
    }
    recent.reserve_exact(1);
    recent.push(item);
}

/// The histories of all agents of a worker.
#[derive(Debug)]
pub struct GroundTruth {
    epoch: Instant,
    kept_reports: usize,
    histories: Vec<AgentHistory>,
}

impl GroundTruth {
    /// Starts the clock; there are no agents yet. Sizes the histories for this report interval and
    /// for pages that take at most `longest`, tolerance included.
    #[must_use]
    pub fn new(interval: Duration, longest: Duration) -> Self {
        let past = longest + SETTLED;
        let ticks = past.as_nanos().div_ceil(interval.as_nanos().max(1));
        let kept_reports = SPARE_REPORTS + usize::try_from(ticks).unwrap_or(usize::MAX);
        Self { epoch: Instant::now(), kept_reports, histories: Vec::new() }
    }

    /// Makes room for the histories of this many agents.
    pub fn resize(&mut self, agents: usize) {
        self.histories.resize_with(agents, AgentHistory::default);
    }

    /// Start of the test.
    #[must_use]
    pub const fn epoch(&self) -> Instant {
        self.epoch
    }

    /// Time since the start of the test.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    /// All histories, in the order of the agents.
    #[must_use]
    pub fn histories(&self) -> &[AgentHistory] {
        &self.histories
    }

    /// The history of one agent.
    pub fn history(&mut self, agent: usize) -> &mut AgentHistory {
        &mut self.histories[agent]
    }

    /// Records that an agent is about to write a report.
    pub fn sending(&mut self, agent: usize, sequence: u64, begun: Duration) {
        self.histories[agent].sending(sequence, begun, self.kept_reports);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_recent_past_is_kept() {
        let mut truth = GroundTruth::new(Duration::from_secs(1), Duration::from_secs(10));
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
