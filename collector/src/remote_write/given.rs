//! Gives reports of an agent to a destination, in order or, if the engine takes that, out of order.

use std::sync::Arc;

use super::agent_state::{Ahead, Sent, Shown};
use super::destination::Destination;
use super::drop_reason::DropReason;
use super::entry::{Content, Entry};

/// What a destination was given of an agent.
pub(super) struct Given<'a> {
    pub(super) destination: &'a Destination,
    /// Hash of the agent's id.
    pub(super) hash: u64,
    /// Whether the destination gets all reports, from the agent's log if need be.
    pub(super) is_durable: bool,
    /// Sequence number of the report before the agent's log.
    pub(super) before: Option<u64>,
    /// The lowest sequence number that it was not given.
    pub(super) next: &'a mut u64,
    pub(super) sent: &'a mut Sent,
}

impl Given<'_> {
    /// Gives a live report. `is_ahead`: its time is too far ahead.
    pub(super) fn live(self, report: &Arc<Entry>, shown: &Shown, sequence: u64, is_ahead: bool) {
        let next = *self.next;
        // Reports from `next` on wait until it is known which series the destination has.
        let is_next = sequence == next && self.needed().is_none();
        if is_next || !self.is_durable {
            self.in_order(report, shown, sequence, is_ahead, false);
        } else if sequence < next {
            self.accepted(shown, sequence, is_ahead);
        } else if self.destination.settings.out_of_order && !is_ahead {
            self.out_of_order(report, shown, sequence);
        }
    }

    /// Gives a report of the agent's log. The one before it only tells which series the engine has.
    pub(super) fn replayed(
        mut self,
        report: &Arc<Entry>,
        shown: &Shown,
        sequence: u64,
        is_ahead: bool,
    ) {
        if self.needed() == Some(sequence) {
            self.reborrow().accepted(shown, sequence, is_ahead);
            self.join();
            return;
        }
        let Some(missing) = sequence.checked_sub(*self.next) else { return };
        self.destination.reports_missing(missing);
        self.reborrow().in_order(report, shown, sequence, is_ahead, true);
        self.join();
    }

    /// Returns the sequence number of the report before the log, if it tells which series the
    /// destination has.
    fn needed(&self) -> Option<u64> {
        self.before.filter(|before| self.sent.needs(*before, *self.next))
    }

    /// Learns the destination's series from the report before the log, if this is it.
    fn accepted(self, shown: &Shown, sequence: u64, is_ahead: bool) {
        if self.needed() == Some(sequence) && !is_ahead {
            self.sent.follow(shown.clone(), sequence);
        }
    }

    fn reborrow(&mut self) -> Given<'_> {
        let Self { destination, hash, is_durable, before, next, sent } = self;
        let (hash, is_durable, before) = (*hash, *is_durable, *before);
        Given { destination, hash, is_durable, before, next, sent }
    }

    fn in_order(
        self,
        report: &Arc<Entry>,
        shown: &Shown,
        sequence: u64,
        is_ahead: bool,
        is_replay: bool,
    ) {
        let Self { destination, hash, is_durable, next, sent, .. } = self;
        let metrics = &destination.metrics;
        let samples = destination.samples_of(report);
        let is_newer = sent.last.as_ref().is_none_or(|last| shown.unix_ms > last.unix_ms);
        let gone = sent.last.as_ref().filter(|_| is_newer);
        let gone = gone.and_then(|last| last.markers_before(shown));
        if is_ahead || (!is_newer && !destination.settings.out_of_order) {
            metrics.samples_in.inc_by(samples as u64);
            metrics.dropped(DropReason::BadTime, samples);
        } else if destination.push(hash, gone, report, is_replay) {
            metrics.samples_in.inc_by(samples as u64);
            if is_newer {
                sent.follow(shown.clone(), sequence);
            }
        } else if is_durable && !is_replay {
            // It stays in the agent's log.
            return;
        } else {
            metrics.samples_in.inc_by(samples as u64);
            metrics.dropped(DropReason::QueueFull, samples);
        }
        *next = sequence.saturating_add(1);
    }

    /// Gives a live report before those that are missing.
    fn out_of_order(self, report: &Arc<Entry>, shown: &Shown, sequence: u64) {
        let Self { destination, hash, sent, .. } = self;
        let Content::Report { values, present, .. } = &report.content else { return };
        // Acknowledging it would acknowledge those that are missing.
        let report = Arc::new(Entry {
            labels: report.labels.clone(),
            layout: Arc::clone(&report.layout),
            content: Content::Report {
                values: values.clone(),
                present: Arc::clone(present),
                sequence,
                acks: None,
            },
            unix_ms: report.unix_ms,
        });
        if !destination.push(hash, None, &report, false) {
            return;
        }
        destination.metrics.samples_in.inc_by(destination.samples_of(&report) as u64);
        match &mut sent.ahead {
            Some(ahead) if ahead.last_sequence.checked_add(1) == Some(sequence) => {
                if let Some(gone) = ahead.last.markers_before(shown) {
                    destination.push_markers(hash, gone);
                }
                ahead.last_sequence = sequence;
                ahead.last = shown.clone();
            }
            ahead => {
                *ahead = Some(Ahead {
                    first_sequence: sequence,
                    last_sequence: sequence,
                    first: shown.clone(),
                    last: shown.clone(),
                });
            }
        }
    }

    /// Continues behind the reports that were given out of order, once those before them were
    /// given.
    fn join(self) {
        let Self { destination, hash, next, sent, .. } = self;
        let Some(ahead) = sent.ahead.take_if(|ahead| *next >= ahead.first_sequence) else { return };
        if let Some(gone) = sent.last.as_ref().and_then(|last| last.markers_before(&ahead.first)) {
            destination.push_markers(hash, gone);
        }
        *next = (*next).max(ahead.last_sequence.saturating_add(1));
        sent.follow(ahead.last, ahead.last_sequence);
    }
}
