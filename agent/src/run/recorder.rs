//! Gives every sample its sequence number and time, and adds it to the log.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::catalogs::Catalogs;
use crate::client::CollectorClock;
use crate::report_log::{LogLimits, ReportLog};
use crate::tables::Sample;

/// The log of the process, and what numbers its reports. Sampling and sessions share it.
#[derive(Debug)]
pub(super) struct Recorder {
    /// Zero of the monotonic clock.
    zero: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    limits: LogLimits,
    log: ReportLog,
    clock: CollectorClock,
    /// Whether a collector has set the clock. Until then it is that of the host.
    is_clock_set: bool,
    /// Whether samples are added to the log: not while the agent reports to a collector that does
    /// not ask for one.
    is_recording: bool,
    /// Sequence number and time of the newest sample; 0 before the first.
    newest: (u64, u64),
}

impl Recorder {
    /// Creates the recorder of a process whose monotonic clock begins at `zero`, when the clock of
    /// the host is at `unix`.
    pub(super) fn new(limits: LogLimits, zero: Instant, unix: Duration) -> Self {
        let mut clock = CollectorClock::default();
        clock.set(u64::try_from(unix.as_millis()).unwrap_or(u64::MAX), Duration::ZERO);
        let (is_clock_set, is_recording, newest) = (false, true, (0, 0));
        let log = ReportLog::new(limits);
        let state = State { limits, log, clock, is_clock_set, is_recording, newest };
        Self { zero, state: Mutex::new(state) }
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
        if state.is_recording && state.limits.bytes > 0 {
            state.log.append(sample, catalogs, sequence, unix_ms);
        }
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
        if std::mem::replace(&mut state.is_clock_set, true) {
            state.clock.set(unix_ms, now);
        } else {
            let by = state.clock.correct(unix_ms, now);
            state.log.shift_times(by);
            state.newest.1 = state.newest.1.saturating_add_signed(by);
        }
        state.is_recording = has_log;
        if !has_log {
            state.log.acknowledge(u64::MAX);
        }
    }

    /// Drops the reports up to this sequence number.
    pub(super) fn acknowledge(&self, sequence: u64) {
        self.state().log.acknowledge(sequence);
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

#[cfg(test)]
#[path = "recorder_tests.rs"]
mod tests;
