//! What a session does at Welcome and for each sample.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fleetgauge_common::service_manager;
use fleetgauge_proto::stream;
use tokio::sync::watch;
use tracing::{debug, info};

use super::{Lost, SamplingPlan, Session, TimedSample};
use crate::client::{ReportId, Terms};

impl Session<'_> {
    /// Takes the time of Welcome, and whether its collector asks for the log.
    pub(super) fn take_time(&mut self, unix_ms: u64, has_log: bool) {
        self.recorder.welcomed(unix_ms, Instant::now(), has_log);
        self.has_log = has_log;
    }

    /// Begins the session with the interval and the terms of Welcome.
    pub(super) fn begin(
        &mut self,
        interval: Duration,
        terms: Terms,
        plan: &watch::Sender<SamplingPlan>,
    ) {
        self.welcomed = Some(Instant::now());
        self.terms = terms.clone();
        // Keep the schedule across reconnects unless something changes.
        plan.send_if_modified(|plan| {
            let has_changed = (plan.interval, &plan.terms) != (interval, &terms);
            (plan.interval, plan.terms) = (interval, terms);
            has_changed
        });
    }

    pub(super) fn log_welcome(
        &mut self,
        session_id: u64,
        interval: Duration,
        catalogs_sent: usize,
    ) {
        self.logged = self.log.failed(Instant::now()).is_some();
        if self.logged {
            let (collector, address) = (self.endpoint, self.address);
            info!(%collector, %address, session_id, ?interval, catalogs_sent, "connected");
        }
        service_manager::status(&format!("reporting to {}", self.endpoint));
    }

    /// Queues a report of the newest sample, if there is one of the agent's metrics that was taken
    /// for the collector's terms.
    pub(super) fn report(
        &mut self,
        samples: &mut watch::Receiver<Option<TimedSample>>,
    ) -> Result<(), Lost> {
        let newest = samples.borrow_and_update();
        // After a reload the newest sample may be one of other metrics.
        if let Some(newest) = &*newest
            && newest.metrics == self.agent.metrics
            && newest.terms == self.terms
        {
            let of_hello = self.has_sent_catalogs.then(|| self.profile.catalogs.clone());
            if newest.catalogs != self.profile.catalogs {
                Arc::make_mut(&mut self.profile).catalogs = newest.catalogs.clone();
            }
            let (profile, sample) = (&self.profile, &newest.sample);
            self.terms.check(profile)?;
            sample.check_limits(&profile.catalogs, &self.terms.limits)?;
            // Later in a session the baseline sends new catalogs.
            if self.client.is_new_session() {
                let (sent, out) = (of_hello.as_ref(), &mut self.out.frames);
                self.client.send_new_catalogs(sent, &profile.catalogs, out);
            }
            let out = &mut self.out.frames;
            let sequence = if self.has_log {
                let (sequence, unix_ms) = self.recorder.newest();
                let id = ReportId { stream: stream::LIVE, sequence, unix_ms };
                self.baseline.report_as(self.client, id, &profile.catalogs, sample, out)?;
                sequence
            } else {
                let taken = self.recorder.elapsed(newest.taken);
                let sequence = self.baseline.report(self.client, profile, sample, taken, out)?;
                self.recorder.advance(sequence);
                sequence
            };
            debug!(sequence, values = sample.values.len(), "report");
        }
        Ok(())
    }
}
