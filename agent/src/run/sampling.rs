//! Takes a sample at every tick of the schedule and keeps the newest.

use std::time::{Duration, Instant, SystemTime};

use fleetgauge_proto::AgentId;
use tokio::sync::watch;

use super::recorder::Recorder;
use crate::catalogs::Catalogs;
use crate::client::Terms;
use crate::metrics::Selection;
use crate::sampler::deadline;
use crate::schedule::Schedule;
use crate::tables::Sample;

/// The settings that determine when samples are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SamplingPlan {
    /// Agent id. Its hash determines the phase of the schedule.
    pub(super) id: AgentId,
    /// Time between samples.
    pub(super) interval: Duration,
    /// The metrics to sample.
    pub(super) metrics: Selection,
    /// What the collector requires of samples.
    pub(super) terms: Terms,
}

/// A sample of a selection of metrics.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TimedSample {
    /// Time of the sample.
    pub(super) taken: Instant,
    /// The metrics that were sampled.
    pub(super) metrics: Selection,
    /// What the sample was made for.
    pub(super) terms: Terms,
    /// The catalogs of the sample's tables.
    pub(super) catalogs: Catalogs,
    pub(super) sample: Sample,
}

/// Takes a sample immediately and then at each tick, records it and sends it to `newest`. Never
/// returns.
///
/// A new plan starts a new schedule, and new sources if the selected metrics differ.
pub(super) async fn sample_on_schedule(
    mut plan: watch::Receiver<SamplingPlan>,
    newest: watch::Sender<Option<TimedSample>>,
    recorder: &Recorder,
) {
    let mut sampled = plan.borrow().metrics.clone();
    let mut sampler = sampled.sampler();
    loop {
        let SamplingPlan { id, interval, metrics, terms } = plan.borrow_and_update().clone();
        if metrics != sampled {
            sampler = metrics.sampler();
            sampled = metrics;
        }
        let mut schedule = Schedule::new(&id, interval, Instant::now(), unix_now());
        loop {
            let taken = Instant::now();
            sampler.rename_labels(&terms.pinned_labels);
            let sample = sampler.sample(deadline(interval), &terms.limits).await;
            let (metrics, terms) = (sampled.clone(), terms.clone());
            let catalogs = sampler.catalogs().clone();
            recorder.record(taken, &sample, &catalogs);
            newest.send_replace(Some(TimedSample { taken, metrics, terms, catalogs, sample }));
            tokio::select! {
                () = tokio::time::sleep_until(schedule.next().into()) => {
                    schedule.advance(Instant::now());
                }
                Ok(()) = plan.changed() => break,
            }
        }
    }
}

/// Returns the time since the Unix epoch; zero if the system clock is before it.
pub(super) fn unix_now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
