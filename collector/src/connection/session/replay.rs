//! Reports that an agent sends again from its log, on stream 1: a second set of its catalogs, rows
//! and values, which no page shows.

use std::sync::Arc;

use fleetgauge_proto::message::{Report, Rows};
use fleetgauge_proto::stream::Streams;
use fleetgauge_proto::{Catalog, Fingerprint, Frame, Kind, Message, Violation};

use super::agent::{Agent, check_labels, check_page, interned, not_changed};
use super::rate_limits::RateLimits;
use crate::clock::Millis;
use crate::peers::handle::ConnectionHandle;
use crate::peers::refusal::Refusal;
use crate::registry::{Layout, PendingValues};
use crate::state::CollectorState;

/// What the agent sends again.
#[derive(Debug)]
pub(super) struct Replay {
    pub(super) values: Box<PendingValues>,
    /// Copy of the values' layout; `None` after a change.
    layout: Option<Arc<Layout>>,
    /// Sequence number of the last report; `None` before the first.
    sequence: Option<u64>,
    /// Reports that the agent was asked for and has not sent.
    pub(super) credit: u32,
    /// Time of the last report; of the first Resend before.
    pub(super) progress: Millis,
    /// One bit for each slot that had a catalog.
    slots: u16,
    /// Whether a Rows frame has arrived since the last report.
    has_rows: bool,
    row_limit: RateLimits,
    /// Clock of the row limit: each report counts as an interval, in milliseconds.
    row_time: Millis,
}

impl Default for Replay {
    fn default() -> Self {
        Self {
            values: Box::new(PendingValues::empty()),
            layout: None,
            sequence: None,
            credit: 0,
            progress: 0,
            slots: 0,
            has_rows: false,
            row_limit: RateLimits::default(),
            row_time: 0,
        }
    }
}

impl Agent {
    /// Handles a frame of stream 1.
    pub(super) fn replay_frame(
        &mut self,
        frame: Frame<'_>,
        now: Millis,
        handle: &ConnectionHandle,
        collector: &CollectorState,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        let kind = frame.header.kind;
        let (id, labels) = (self.id().clone(), self.labels().into_owned());
        let forwarding = self.forwarding.as_mut();
        let Some(forwarding) = forwarding.filter(|own| own.replay.is_some()) else {
            return Err(Violation::UnexpectedFrame { kind, when: "before Resend" }.into());
        };
        let Some(replay) = &mut forwarding.replay else { return Ok(()) };
        match kind {
            Kind::Report => {
                let report = Report::decode_with(frame.payload, Streams::LiveAndReplay)?;
                let interval_ms = Millis::from(handle.hello().interval_ms);
                replay.report(&report, now, interval_ms, collector)?;
                forwarding.replayed(&labels, &report, handle, collector, out);
            }
            Kind::Catalog => {
                replay.declare(frame, &labels, collector)?;
                check_labels(&id, handle, replay.values.layout(), collector)?;
            }
            _ => {
                if let Message::Rows(rows) = Message::decode_with(frame, Streams::LiveAndReplay)? {
                    replay.change_rows(&rows, &labels, collector)?;
                }
            }
        }
        Ok(())
    }
}

impl Replay {
    /// Whether a frame does not count towards the agent's limit of frames: the collector has asked
    /// for it. Call once for each frame.
    pub(super) fn was_asked_for(&mut self, frame: Frame<'_>) -> bool {
        match (frame.header.kind, frame.payload) {
            (Kind::Report, _) => self.credit > 0,
            (Kind::Rows, _) => !std::mem::replace(&mut self.has_rows, true),
            // The stream number takes one byte.
            (Kind::Catalog, [_, slot, ..]) => {
                let bit = 1_u16.checked_shl(u32::from(*slot)).unwrap_or(0);
                let is_first = self.slots & bit == 0;
                self.slots |= bit;
                is_first
            }
            _ => false,
        }
    }

    /// Returns the layout of the values.
    pub(super) fn layout(&mut self) -> Arc<Layout> {
        let Self { layout, values, .. } = self;
        Arc::clone(layout.get_or_insert_with(|| Arc::new(values.layout().clone())))
    }

    fn report(
        &mut self,
        report: &Report<'_>,
        now: Millis,
        interval_ms: Millis,
        collector: &CollectorState,
    ) -> Result<(), Refusal> {
        if self.credit == 0 {
            let when = "beyond the reports that Resend asked for";
            return Err(Violation::UnexpectedFrame { kind: Kind::Report, when }.into());
        }
        if let Some(previous) = self.sequence.filter(|last| report.sequence <= *last) {
            return Err(Violation::SequenceNotRising { sequence: report.sequence, previous }.into());
        }
        let applied = collector.registry.apply(&mut self.values, &report.values);
        applied.map_err(not_changed)?;
        self.credit -= 1;
        self.sequence = Some(report.sequence);
        self.progress = now;
        self.has_rows = false;
        self.row_time += interval_ms;
        Ok(())
    }

    fn declare(
        &mut self,
        frame: Frame<'_>,
        labels: &str,
        collector: &CollectorState,
    ) -> Result<(), Refusal> {
        let limits = &collector.config.bounds.limits;
        let fingerprint = Fingerprint::of_payload_with(frame.payload, Streams::LiveAndReplay)?;
        let (slot, catalog) = Catalog::try_from_frame_with(frame, limits, Streams::LiveAndReplay)?;
        let catalog = interned(fingerprint, catalog, frame.payload.len(), labels, collector)?;
        self.layout = None;
        let set = collector.registry.set_catalog(&mut self.values, slot, catalog);
        set.map_err(Refusal::of)?;
        self.values.check_catalogs(limits)?;
        check_page(self.values.page_bytes(labels), &collector.config)
    }

    fn change_rows(
        &mut self,
        rows: &Rows<'_>,
        labels: &str,
        collector: &CollectorState,
    ) -> Result<(), Refusal> {
        let bounds = &collector.config.bounds;
        let changed = self.values.changed_rows(&rows.changes);
        self.row_limit.charge_rows(changed, self.row_time, bounds)?;
        self.layout = None;
        let changed =
            collector.registry.change_rows(&mut self.values, &rows.changes, &bounds.limits);
        changed.map_err(not_changed)?;
        check_page(self.values.page_bytes(labels), &collector.config)
    }
}
