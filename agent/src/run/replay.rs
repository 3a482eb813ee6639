//! Sends reports of the log again, as far as the collector has asked for them.

use std::sync::Arc;

use fleetgauge_proto::stream;
use tracing::debug;

use super::recorder::Recorder;
use crate::client::{Baseline, Client, ClientError, ReportId, Terms};
use crate::report_log::ReplayCursor;

/// Reports are queued until they take this many bytes; the next ones follow when these are sent.
const BATCH_BYTES: usize = 64 * 1024;

/// The replay of a session.
pub(super) struct Replay {
    recorder: Arc<Recorder>,
    baseline: Baseline,
    /// The next report; `None` before the first Resend.
    cursor: Option<ReplayCursor>,
    /// Number of reports that the collector has asked for and not received.
    credit: u32,
}

impl Replay {
    pub(super) fn new(recorder: Arc<Recorder>) -> Self {
        Self { recorder, baseline: Baseline::default(), cursor: None, credit: 0 }
    }

    /// Handles a Resend. One of no reports ends the replay: the collector has forgotten what it was
    /// sent.
    pub(super) fn resend(&mut self, first: u64, reports: u32) {
        debug!(first, reports, "resend requested");
        if reports == 0 {
            (self.baseline, self.credit) = (Baseline::default(), 0);
            return;
        }
        self.cursor.get_or_insert_with(|| ReplayCursor::from(first)).skip_to(first);
        self.credit = self.credit.saturating_add(reports);
    }

    /// Returns whether there is a report to send.
    pub(super) fn is_ready(&self) -> bool {
        let Some(cursor) = self.cursor.as_ref().filter(|_| self.credit > 0) else { return false };
        self.recorder.with_log(|log| !log.is_empty() && cursor.position() <= log.last())
    }

    /// Queues the next reports. Those that do not meet the terms of the collector are skipped.
    ///
    /// # Errors
    /// As of [`Baseline::report_as`].
    pub(super) fn send(
        &mut self,
        client: &mut Client,
        terms: &Terms,
        out: &mut Vec<u8>,
    ) -> Result<(), ClientError> {
        let Self { recorder, baseline, cursor: Some(cursor), credit } = self else {
            return Ok(());
        };
        recorder.with_log(|log| {
            while *credit > 0 && out.len() < BATCH_BYTES {
                let Some(report) = cursor.next(log) else {
                    cursor.skip_to(log.last().saturating_add(1));
                    break;
                };
                let (sequence, unix_ms) = (report.sequence, report.unix_ms);
                // Taken for the terms of another collector.
                if let Err(problem) = terms.check_sample(report.catalogs, report.sample) {
                    debug!(sequence, %problem, "logged report skipped");
                    continue;
                }
                let id = ReportId { stream: stream::REPLAY, sequence, unix_ms };
                baseline.report_as(client, id, report.catalogs, report.sample, out)?;
                *credit -= 1;
                debug!(sequence, "logged report sent");
            }
            Ok(())
        })
    }
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;
