//! The log of a simulated agent. The values of its reports can be computed again, so it stores only
//! their times and what the collector has acknowledged and asked for.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::agent_account::AgentAccount;

/// Minimum difference between the times of two reports, as in the real agent: a stale marker fits
/// in between.
const MIN_STEP_MS: u64 = 2;
/// Maximum reports of an agent: two days at one report per second. Later ones are not made.
pub(super) const MAX_REPORTS: usize = 200_000;
/// A report written less than this before the end of a connection may not have arrived.
const IN_FLIGHT: Duration = Duration::from_secs(1);
/// A report that is older than this and not acknowledged means that the agent is behind. Collectors
/// acknowledge at most once in some seconds.
const MAX_UNACKNOWLEDGED: Duration = Duration::from_secs(8);

/// The log of one agent.
#[derive(Debug, Default)]
pub(super) struct SimLog {
    /// Time of each report in unix milliseconds, from sequence number 1 on.
    times: Vec<u64>,
    /// When the last report was sampled, as time since the start of the test.
    sampled: Duration,
    /// Time of the collector at the start of the test, in unix milliseconds.
    origin_ms: i64,
    acknowledged: u64,
    bad_acknowledgements: u64,
    /// Last report that was written completely on stream 0.
    written: u64,
    /// Last report that has certainly arrived at a collector.
    arrived: u64,
    ends: u64,
    drained: u64,
    left_unix_us: Option<u64>,
    /// Collector to connect to; `None`: that of the worker.
    pub(super) collector: Option<SocketAddr>,
    /// State of the connection.
    session: LogSession,
}

/// What a collector has agreed to and asked for on the current connection.
#[derive(Debug, Default)]
struct LogSession {
    is_granted: bool,
    /// First sequence number that was not acknowledged at Hello.
    first: u64,
    /// Last report sent on stream 0.
    sent: u64,
    /// Next report to send on stream 1; `None` before the first Resend.
    next: Option<u64>,
    /// The report that the first Resend asked for. It is sent even if it is the newest acknowledged
    /// one, as the real agent does.
    asked: u64,
    /// Last report sent on stream 1; 0 before the first.
    replayed: u64,
    /// The report that the next one on stream 1 changes; `None`: it starts from nothing.
    before: Option<u64>,
    /// Number of reports that the collector has asked for and not received.
    credit: u32,
}

impl SimLog {
    /// Creates a log that has reports already, as after an outage: the last one at unix time
    /// `last`. It is `unix` now, and `now` after the start of the test.
    pub(super) fn with_backlog(
        reports: u32,
        last: Duration,
        interval: Duration,
        unix: Duration,
        now: Duration,
    ) -> Self {
        let before = |reports: u32| millis(last.saturating_sub(interval * reports));
        let origin_ms = i64::try_from(millis(unix.saturating_sub(now))).unwrap_or(i64::MAX);
        let times = (0..reports).rev().map(before).collect();
        Self { times, sampled: now, origin_ms, ..Self::default() }
    }

    /// Whether no report was written on stream 0 yet.
    pub(super) fn is_silent(&self) -> bool {
        self.written == 0
    }

    /// Returns the sequence number of the next report.
    pub(super) fn next_sequence(&self) -> u64 {
        self.times.len() as u64 + 1
    }

    /// When the last report was sampled; `None` before the first.
    pub(super) fn last_sampled(&self) -> Option<Duration> {
        (!self.times.is_empty()).then_some(self.sampled)
    }

    /// Takes a sample. Returns its sequence number and time.
    pub(super) fn sample(&mut self, now: Duration) -> Option<(u64, u64)> {
        if self.times.len() >= MAX_REPORTS {
            return None;
        }
        let clock = self.origin_ms.saturating_add_unsigned(millis(now));
        let earliest = self.times.last().map_or(0, |last| last + MIN_STEP_MS);
        let unix_ms = u64::try_from(clock).unwrap_or(0).max(earliest);
        self.times.push(unix_ms);
        self.sampled = now;
        Some((self.times.len() as u64, unix_ms))
    }

    /// Begins a connection. Returns the first sequence number that is not acknowledged, for Hello.
    pub(super) fn connecting(&mut self) -> u64 {
        let first = self.acknowledged + 1;
        self.session = LogSession { first, ..LogSession::default() };
        self.left_unix_us = None;
        first
    }

    /// Takes the collector's time and terms from Welcome.
    pub(super) fn welcomed(&mut self, unix_ms: u64, now: Duration, is_granted: bool) {
        let unix_ms = i64::try_from(unix_ms).unwrap_or(i64::MAX);
        self.origin_ms = unix_ms.saturating_sub_unsigned(millis(now));
        self.session.is_granted = is_granted;
    }

    /// Records that a report is about to be written on stream 0.
    pub(super) fn sending(&mut self, sequence: u64) {
        self.session.sent = sequence;
    }

    /// Records that the last report was written completely on stream 0.
    pub(super) fn written(&mut self) {
        self.written = self.session.sent.max(self.written);
    }

    /// Handles an acknowledgement of all reports up to a sequence number.
    pub(super) fn acknowledge(&mut self, sequence: u64) {
        let LogSession { first, sent, replayed, .. } = self.session;
        let known = sent.max(replayed).max(first.saturating_sub(1));
        if sequence > known {
            self.bad_acknowledgements += 1;
        } else {
            self.acknowledged = self.acknowledged.max(sequence);
        }
    }

    /// Handles a Resend.
    pub(super) fn resend(&mut self, first: u64, reports: u32) {
        let session = &mut self.session;
        if reports == 0 {
            // The collector has forgotten what it was sent.
            (session.before, session.credit) = (None, 0);
            return;
        }
        if session.next.is_none() {
            session.asked = first;
        }
        session.next = Some(session.next.map_or(first, |next| next.max(first)).max(1));
        session.credit = session.credit.saturating_add(reports);
    }

    /// Returns the next report to send on stream 1, and the one before it on that stream; `None` if
    /// the collector has not asked for more or the log has no more.
    pub(super) fn next_replay(&mut self) -> Option<Replayed> {
        let session = &mut self.session;
        let next = session.next?;
        let is_checkpoint = next == session.asked && next == self.acknowledged;
        let sequence = if is_checkpoint { next } else { next.max(self.acknowledged + 1) };
        let unix_ms = *self.times.get(usize::try_from(sequence - 1).ok()?)?;
        session.credit = session.credit.checked_sub(1)?;
        session.next = Some(sequence + 1);
        session.replayed = sequence;
        let before = session.before.replace(sequence);
        Some(Replayed { sequence, unix_ms, before })
    }

    /// Records the end of a session. `is_clean`: everything that was written reaches the collector.
    pub(super) fn session_ended(&mut self, interval: Duration, is_clean: bool) {
        self.ends += 1;
        let in_flight = if is_clean { 0 } else { reports_in(IN_FLIGHT, interval) };
        self.arrived = self.arrived.max(self.written.saturating_sub(in_flight));
    }

    /// Records that the last session ended because the collector asked the agent to leave.
    pub(super) fn drained(&mut self) {
        self.drained += 1;
    }

    /// Records that the agent leaves for good.
    pub(super) fn leaving(&mut self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.left_unix_us = Some(u64::try_from(now.as_micros()).unwrap_or(u64::MAX));
    }

    /// Whether a report is not acknowledged that should be.
    pub(super) fn is_behind(&self, interval: Duration) -> bool {
        let pending = self.next_sequence() - 1 - self.acknowledged;
        self.session.is_granted && pending > reports_in(MAX_UNACKNOWLEDGED, interval)
    }

    /// Returns the ground truth so far.
    pub(super) fn account(
        &self,
        agent: u32,
        interval: Duration,
        is_connected: bool,
    ) -> AgentAccount {
        let in_flight = reports_in(2 * IN_FLIGHT, interval);
        let current = if is_connected { self.written.saturating_sub(in_flight) } else { 0 };
        AgentAccount {
            agent,
            times: self.times.clone(),
            required: self.arrived.max(self.acknowledged).max(current),
            acknowledged: self.acknowledged,
            bad_acknowledgements: self.bad_acknowledgements,
            ends: self.ends,
            drained: self.drained,
            left_unix_us: self.left_unix_us,
        }
    }
}

/// A report to send on stream 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Replayed {
    pub(super) sequence: u64,
    pub(super) unix_ms: u64,
    /// The report that it changes; `None`: it starts from nothing.
    pub(super) before: Option<u64>,
}

/// Number of reports in this time, rounded up.
fn reports_in(time: Duration, interval: Duration) -> u64 {
    let reports = time.as_millis().div_ceil(interval.as_millis().max(1));
    u64::try_from(reports).unwrap_or(u64::MAX)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn log(reports: u32) -> SimLog {
        let mut log = SimLog::default();
        log.connecting();
        log.welcomed(1_000_000, Duration::ZERO, true);
        for second in 0..reports {
            let (sequence, _) = log.sample(second * SECOND).unwrap();
            log.sending(sequence);
            log.written();
        }
        log
    }

    #[test]
    fn times_rise_by_2_ms_if_the_next_collectors_clock_is_behind() {
        let mut log = log(2);
        log.connecting();
        log.welcomed(990_000, 2 * SECOND, true);
        assert_eq!(log.sample(2 * SECOND), Some((3, 1_001_002)));
        assert_eq!(log.sample(14 * SECOND), Some((4, 1_002_000)));
    }

    #[test]
    fn backlog_is_sent_when_the_collector_asks_for_it() {
        let minute = 60 * SECOND;
        let mut log =
            SimLog::with_backlog(3, 1_000 * SECOND - minute, minute, 1_000 * SECOND, SECOND);
        assert_eq!((log.connecting(), log.next_sequence()), (1, 4));
        assert!(log.is_silent());
        log.welcomed(1_000_000, SECOND, true);
        log.resend(1, 10);
        let mut next = || log.next_replay().map(|report| (report.sequence, report.unix_ms));
        let times = [Some((1, 820_000)), Some((2, 880_000)), Some((3, 940_000)), None];
        assert_eq!([next(), next(), next(), next()], times);
        assert_eq!(log.sample(2 * SECOND), Some((4, 1_001_000)));
    }

    #[test]
    fn replay_follows_credit_and_skips_what_is_acknowledged() {
        let mut log = log(6);
        assert_eq!(log.next_replay(), None);
        log.resend(1, 2);
        log.acknowledge(2);
        let mut next = || log.next_replay().map(|report| (report.sequence, report.before));
        assert_eq!([next(), next(), next()], [Some((3, None)), Some((4, Some(3))), None]);
        log.resend(0, 9);
        let mut next = || log.next_replay().map(|report| (report.sequence, report.before));
        assert_eq!([next(), next(), next()], [Some((5, Some(4))), Some((6, Some(5))), None]);
        log.sample(7 * SECOND);
        assert_eq!(log.next_replay().map(|report| report.sequence), Some(7));
    }

    #[test]
    fn newest_acknowledged_report_is_sent_if_the_collector_asks_for_it() {
        let mut log = log(6);
        log.acknowledge(4);
        assert_eq!(log.connecting(), 5);
        log.resend(4, 2);
        let mut next = || log.next_replay().map(|report| (report.sequence, report.before));
        assert_eq!([next(), next(), next()], [Some((4, None)), Some((5, Some(4))), None]);
        log.acknowledge(5);
        log.resend(5, 1);
        assert_eq!(log.next_replay().map(|report| report.sequence), Some(6));
    }

    #[test]
    fn replay_after_an_end_continues_but_starts_from_nothing() {
        let mut log = log(6);
        log.resend(1, 3);
        log.next_replay();
        log.resend(0, 0);
        assert_eq!(log.next_replay(), None);
        log.resend(1, 1);
        let next = log.next_replay().unwrap();
        assert_eq!((next.sequence, next.before), (2, None));
    }

    #[test]
    fn acknowledgement_of_what_was_not_sent_is_counted() {
        let mut log = log(6);
        log.acknowledge(7);
        log.acknowledge(6);
        let account = log.account(1, SECOND, true);
        assert_eq!((account.acknowledged, account.bad_acknowledgements), (6, 1));
        log.connecting();
        log.sample(9 * SECOND);
        log.acknowledge(7);
        assert_eq!(log.account(1, SECOND, true).bad_acknowledgements, 2);
    }

    #[test]
    fn report_written_just_before_a_reset_need_not_arrive() {
        let (mut reset, mut clean) = (log(6), log(6));
        reset.session_ended(SECOND, false);
        clean.session_ended(SECOND, true);
        assert_eq!(reset.account(1, SECOND, false).required, 5);
        assert_eq!(clean.account(1, SECOND, false).required, 6);
    }
}
