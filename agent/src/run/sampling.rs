//! Takes a sample at every tick of the schedule and keeps the newest.

use std::time::{Duration, Instant, SystemTime};

use fleetgauge_proto::AgentId;
use tokio::sync::watch;

use crate::metrics::MetricSet;
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
    pub(super) metrics: MetricSet,
}

/// A sample of a metric set.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TimedSample {
    /// Time of the sample.
    pub(super) taken: Instant,
    /// The metric set, on which tables and columns depend.
    pub(super) metrics: MetricSet,
    pub(super) sample: Sample,
}

/// Takes a sample immediately and then at each tick, and sends it to `newest`. Never returns.
///
/// A new plan starts a new schedule, and new sources if the metric set differs.
pub(super) async fn sample_on_schedule(
    mut plan: watch::Receiver<SamplingPlan>,
    newest: watch::Sender<Option<TimedSample>>,
) {
    let mut sampled_set = plan.borrow().metrics;
    let mut sampler = sampled_set.sampler();
    loop {
        let SamplingPlan { id, interval, metrics } = plan.borrow_and_update().clone();
        if std::mem::replace(&mut sampled_set, metrics) != metrics {
            sampler = metrics.sampler();
        }
        let mut schedule = Schedule::new(&id, interval, Instant::now(), unix_now());
        loop {
            let taken = Instant::now();
            let sample = sampler.sample(deadline(interval)).await;
            newest.send_replace(Some(TimedSample { taken, metrics, sample }));
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
fn unix_now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
