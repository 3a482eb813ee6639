//! Judges what an engine has received of a series: exactly the samples of the agent's reports, and
//! stale markers where the series ends.
//!
//! ```text
//! reports   1        2        3 absent  4        5        left
//! samples   v        v m                v        v m
//! ```
//!
//! A marker `m` is 1 ms after the last sample before the gap. When a session ends, there may be
//! another one, so the number of sessions that have ended limits their number. An agent that a
//! collector has asked to leave continues its series elsewhere, and must not be marked.

use fleetgauge_proto::report::is_absent;
use fleetgauge_receiver::{HashedSample, Sample};

use crate::agent_account::AgentAccount;

/// Time between a sample and the stale marker after it, in milliseconds.
const MARKER_AFTER_MS: u64 = 1;

/// A sample that an engine has, with its value or a hash of it.
pub trait ReceivedSample: Copy {
    /// Milliseconds since the Unix epoch.
    fn unix_ms(self) -> i64;
    /// Whether the sample is a stale marker.
    fn is_marker(self) -> bool;
    /// Whether the value has these bits, as far as is known.
    fn has_bits(self, bits: u64) -> bool;
}

impl ReceivedSample for &Sample {
    fn unix_ms(self) -> i64 {
        self.unix_ms
    }

    fn is_marker(self) -> bool {
        self.is_stale_marker()
    }

    fn has_bits(self, bits: u64) -> bool {
        self.bits == bits
    }
}

impl ReceivedSample for HashedSample {
    fn unix_ms(self) -> i64 {
        self.unix_ms
    }

    fn is_marker(self) -> bool {
        self.is_stale_marker()
    }

    fn has_bits(self, bits: u64) -> bool {
        HashedSample::has_bits(self, bits)
    }
}

/// The deviations of a series. Counts of 0 and `None` are right.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct SeriesDeviations {
    /// Samples that are missing, and the sequence number of the first.
    pub lost: u64,
    /// Sequence number of the first missing sample.
    pub first_lost: Option<u64>,
    /// Samples with another value than the report.
    pub wrong: u64,
    /// Samples at a time at which the agent did not report the series.
    pub unknown: u64,
    /// Markers that are not right after a sample.
    pub misplaced_markers: u64,
    /// Gaps without a marker, beyond those that the ends of sessions explain.
    pub missing_markers: u64,
    /// Markers before the next sample, beyond those that the ends of sessions explain.
    pub early_markers: u64,
    /// Whether the agent has left, and the series goes on.
    pub is_unmarked: bool,
    /// Whether the agent is present and reports the series, and the engine has its end.
    pub is_marked: bool,
}

impl SeriesDeviations {
    /// Whether the series is exact.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        *self == Self::default()
    }
}

/// A series that was compared with its reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JudgedSeries {
    /// What is wrong.
    pub deviations: SeriesDeviations,
    /// Whether the newest marker is that of the agent's death.
    pub ends_at_death: bool,
}

/// Compares the samples of a series, in ascending order of time, with the reports of its agent. If
/// the agent is present, samples after the last report of the account are ignored. `value` is the
/// value of a report by its sequence number.
#[must_use]
pub fn judge_series(
    account: &AgentAccount,
    value: impl Fn(u64) -> f64,
    samples: impl IntoIterator<Item = impl ReceivedSample>,
) -> JudgedSeries {
    let next = value(1);
    let mut check = SeriesCheck { account, value, next, found: SeriesDeviations::default() };
    let mut samples = samples.into_iter().peekable();
    let mut newest = None;
    for (sequence, time) in (1..).zip(&account.times) {
        while let Some(early) = samples.next_if(|sample| time_of(*sample) < *time) {
            check.out_of_place(early);
        }
        let sample = samples.next_if(|sample| time_of(*sample) == *time);
        let marker_at = time + MARKER_AFTER_MS;
        let marker =
            samples.next_if(|sample| sample.is_marker() && time_of(*sample) == marker_at).is_some();
        check.report(sequence, sample, marker);
        if sample.is_some() || marker {
            newest = Some((sequence, marker));
        }
    }
    if account.left_unix_us.is_some() {
        samples.for_each(|late| check.out_of_place(late));
    }
    check.end(newest)
}

struct SeriesCheck<'a, V> {
    account: &'a AgentAccount,
    value: V,
    /// Value of the next report to check: most of the time goes into computing values.
    next: f64,
    found: SeriesDeviations,
}

impl<V: Fn(u64) -> f64> SeriesCheck<'_, V> {
    fn out_of_place(&mut self, sample: impl ReceivedSample) {
        if sample.is_marker() {
            self.found.misplaced_markers += 1;
        } else {
            self.found.unknown += 1;
        }
    }

    fn has(&self, sequence: u64) -> bool {
        sequence <= self.account.times.len() as u64 && !is_absent((self.value)(sequence))
    }

    /// Checks the sample of a report, and whether a marker follows it.
    fn report(&mut self, sequence: u64, sample: Option<impl ReceivedSample>, marker: bool) {
        let value = std::mem::replace(&mut self.next, (self.value)(sequence + 1));
        let (is_present, is_required) = (!is_absent(value), sequence <= self.account.required);
        match sample {
            Some(sample) if !is_present || sample.is_marker() => self.out_of_place(sample),
            Some(sample) => self.found.wrong += u64::from(!sample.has_bits(value.to_bits())),
            None if is_present && is_required => {
                self.found.lost += 1;
                self.found.first_lost.get_or_insert(sequence);
            }
            None => {}
        }
        let reports = self.account.times.len() as u64;
        let continues = sequence < reports && !is_absent(self.next);
        // Of the reports that may not have arrived, any may be the last one that has.
        let is_at_death = self.account.left_unix_us.is_some() && sequence >= self.account.required;
        if marker && !is_present {
            self.found.misplaced_markers += 1;
        } else if marker && continues && !is_at_death {
            self.found.early_markers += 1;
        } else if !marker && is_present && !continues && sequence < self.account.required {
            self.found.missing_markers += 1;
        }
    }

    /// Checks the end of the series. `newest` is the last report that has a sample or a marker, and
    /// whether it has a marker.
    fn end(self, newest: Option<(u64, bool)>) -> JudgedSeries {
        let has_left = self.account.left_unix_us.is_some();
        let ends = self.account.ends.saturating_sub(u64::from(has_left));
        let excused_markers = ends.saturating_sub(self.account.drained);
        let reports = self.account.times.len() as u64;
        let is_marked_last = newest == Some((reports, true));
        let goes_on = !is_absent((self.value)(reports + 1));
        // An earlier report without a marker lacks either its marker or the next sample.
        let is_open =
            |(sequence, is_marked): (u64, bool)| !is_marked && sequence >= self.account.required;
        let deviations = SeriesDeviations {
            early_markers: self.found.early_markers.saturating_sub(excused_markers),
            is_unmarked: has_left && newest.is_some_and(is_open),
            is_marked: !has_left && is_marked_last && goes_on && excused_markers == 0,
            ..self.found
        };
        let ends_at_death = has_left
            && newest.is_some_and(|(sequence, is_marked)| {
                is_marked && (sequence == reports || self.has(sequence + 1))
            });
        JudgedSeries { deviations, ends_at_death }
    }
}

fn time_of(sample: impl ReceivedSample) -> u64 {
    u64::try_from(sample.unix_ms()).unwrap_or(0)
}

#[cfg(test)]
#[path = "forwarded_tests.rs"]
mod tests;
