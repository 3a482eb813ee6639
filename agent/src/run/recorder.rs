//! Gives every sample its sequence number and time, and adds it to the log.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tracing::warn;

use crate::catalogs::Catalogs;
use crate::client::{CollectorClock, Observations};
use crate::report_log::{LogLimits, ReportLog};
use crate::tables::Sample;

/// Minimum time between two log lines about dropped reports.
const DROPPED_INTERVAL: Duration = Duration::from_secs(60);

/// The log of the process, and what numbers its reports. Sampling and sessions share it.
#[derive(Debug)]
pub(super) struct Recorder {
    /// Zero of the monotonic clock.
    zero: Instant,
    state: Mutex<State>,
    /// Notified when the log has changed and should be saved.
    changed: Notify,
}

#[derive(Debug)]
struct State {
    limits: LogLimits,
    log: ReportLog,
    clock: CollectorClock,
    /// Times of the collector since the last Welcome.
    observations: Observations,
    /// Whether a collector has set the clock. Until then it is that of the host.
    is_clock_set: bool,
    /// Whether samples are added to the log: not while the agent reports to a collector that does
    /// not ask for one.
    is_recording: bool,
    /// Sequence number and time of the newest sample; 0 before the first.
    newest: (u64, u64),
    /// Whether the time of the newest sample is an estimate.
    is_estimated: bool,
    /// Number of reports that the log lines about dropped ones have counted, and the time of the
    /// last line.
    told: (u64, Option<Instant>),
}

impl Recorder {
    /// Creates the recorder of a process whose monotonic clock begins at `zero`, when the clock of
    /// the host is at `unix`.
    pub(super) fn new(limits: LogLimits, zero: Instant, unix: Duration) -> Self {
        Self::continuing(ReportLog::new(limits), limits, zero, unix)
    }

    /// Like [`Self::new`], with the log of an earlier process: sequence numbers and times continue
    /// above those of its reports.
    pub(super) fn continuing(
        log: ReportLog,
        limits: LogLimits,
        zero: Instant,
        unix: Duration,
    ) -> Self {
        let mut clock = CollectorClock::default();
        clock.set(u64::try_from(unix.as_millis()).unwrap_or(u64::MAX), Duration::ZERO);
        let is_estimated = log.has_estimates();
        if is_estimated {
            clock.continue_from(log.last_ms());
        }
        let state = State {
            limits,
            clock,
            observations: Observations::default(),
            is_clock_set: false,
            is_recording: true,
            newest: (log.last(), log.last_ms()),
            is_estimated,
            told: (0, None),
            log,
        };
        Self { zero, state: Mutex::new(state), changed: Notify::new() }
    }

    /// Waits until the log has changed and should be saved.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is valid between all statements that can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the time since the zero of the monotonic clock.
    pub(super) fn elapsed(&self, time: Instant) -> Duration {
        time.saturating_duration_since(self.zero)
    }

    /// Records a sample. Returns its sequence number.
    pub(super) fn record(&self, taken: Instant, sample: &Sample, catalogs: &Catalogs) -> u64 {
        let mut state = self.state();
        let unix_ms = state.clock.stamp(self.elapsed(taken));
        let sequence = state.newest.0.saturating_add(1);
        state.newest = (sequence, unix_ms);
        state.is_estimated = !state.is_clock_set;
        if state.is_recording && state.limits.bytes > 0 {
            state.log.append(sample, catalogs, sequence, unix_ms);
        }
        let dropped = state.newly_dropped(taken);
        drop(state);
        if let Some(count) = dropped {
            warn!(count, "reports dropped from the log");
        }
        self.changed.notify_one();
        sequence
    }

    /// Returns the sequence number and the time of the newest sample.
    pub(super) fn newest(&self) -> (u64, u64) {
        self.state().newest
    }

    /// Notes that a report was numbered elsewhere: later samples get higher numbers.
    pub(super) fn advance(&self, sequence: u64) {
        let mut state = self.state();
        state.newest.0 = state.newest.0.max(sequence);
    }

    /// Returns the lowest sequence number of the log for Hello; `None` if the agent keeps no log.
    pub(super) fn offer(&self) -> Option<u64> {
        let state = self.state();
        let next = state.newest.0.saturating_add(1);
        let first = if state.log.is_empty() { next } else { state.log.first() };
        (state.limits.bytes > 0).then_some(first)
    }

    /// Takes the time of a Welcome, and whether its collector asks for a log. If it does not, the
    /// log is dropped, and none is kept until a collector asks for it.
    pub(super) fn welcomed(&self, unix_ms: u64, now: Instant, has_log: bool) {
        let mut state = self.state();
        let now = self.elapsed(now);
        state.observations = Observations::default();
        if std::mem::replace(&mut state.is_clock_set, true) {
            state.clock.set(unix_ms, now);
        } else {
            let by = state.clock.correct(unix_ms, now);
            let by = state.log.settle_times(by, unix_ms);
            if std::mem::take(&mut state.is_estimated) {
                state.newest.1 = state.newest.1.saturating_add_signed(by);
            }
            let newest_ms = state.newest.1;
            state.clock.continue_from(newest_ms);
        }
        state.is_recording = has_log;
        if !has_log {
            state.log.clear();
        }
    }

    /// Drops the reports up to this sequence number. Takes the collector's time, which arrived at
    /// `now`.
    pub(super) fn acknowledge(&self, sequence: u64, unix_ms: u64, now: Instant) {
        let mut state = self.state();
        state.log.acknowledge(sequence);
        let now = self.elapsed(now);
        let State { clock, observations, .. } = &mut *state;
        observations.add(unix_ms, now, clock);
    }

    /// Changes the bounds of the log.
    pub(super) fn set_limits(&self, limits: LogLimits) {
        let mut state = self.state();
        state.limits = limits;
        state.log.set_limits(limits);
    }

    /// Calls a function with the log.
    pub(super) fn with_log<T>(&self, f: impl FnOnce(&ReportLog) -> T) -> T {
        f(&self.state().log)
    }
}

impl State {
    /// Returns the number of reports that were dropped before they were acknowledged and are not
    /// logged yet, if a line is due.
    fn newly_dropped(&mut self, now: Instant) -> Option<u64> {
        let dropped = self.log.dropped();
        let (told, line) = self.told;
        let is_due =
            line.is_none_or(|line| now.saturating_duration_since(line) >= DROPPED_INTERVAL);
        if dropped == told || !is_due {
            return None;
        }
        self.told = (dropped, Some(now));
        Some(dropped - told)
    }
}

#[cfg(test)]
#[path = "recorder_tests.rs"]
mod tests;
