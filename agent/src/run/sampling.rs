//! Takes a sample at every tick of the schedule and keeps the newest.

use std::time::{Duration, Instant, SystemTime};

use fleetgauge_proto::AgentId;
use fleetgauge_proto::report::ABSENT;
use tokio::sync::watch;

use crate::metrics::{Metric, MetricSet};
use crate::sampler::{Readings, Sampler, deadline};
use crate::schedule::Schedule;

/// The settings that determine when samples are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SamplingPlan {
    /// Agent id. Its hash determines the phase of the schedule.
    pub(super) id: AgentId,
    /// Time between samples.
    pub(super) interval: Duration,
}

/// The readings of one round, and their time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sample {
    /// Time of the sample, in milliseconds since the Unix epoch.
    pub(super) unix_ms: u64,
    readings: Readings,
}

impl Sample {
    fn new(readings: Readings, unix: Duration) -> Self {
        Self { unix_ms: u64::try_from(unix.as_millis()).unwrap_or(u64::MAX), readings }
    }

    /// Returns the values of the metrics in `set`, in its order; [`ABSENT`] for a missing reading.
    pub(super) fn values(&self, set: MetricSet) -> Vec<f64> {
        let value = |metric: &Metric| metric.value(&self.readings).unwrap_or(ABSENT);
        set.metrics().iter().map(value).collect()
    }
}

/// Takes a sample immediately and then at each tick, and sends it to `newest`. Never returns.
///
/// A new plan starts a new schedule.
pub(super) async fn sample_on_schedule(
    mut plan: watch::Receiver<SamplingPlan>,
    newest: watch::Sender<Option<Sample>>,
) {
    let mut sampler = Sampler::new();
    loop {
        let SamplingPlan { id, interval } = plan.borrow_and_update().clone();
        let mut schedule = Schedule::new(&id, interval, Instant::now(), unix_now());
        loop {
            let unix = unix_now();
            let readings = sampler.sample(deadline(interval)).await;
            newest.send_replace(Some(Sample::new(readings, unix)));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::{Cpu, Memory};

    #[test]
    fn missing_readings_are_absent_values() {
        let readings = Readings {
            cpu: Some(Cpu { usage_ratio: 0.5 }),
            memory: Some(Memory { total: 8, available: 2 }),
            filesystem: None,
        };
        let sample = Sample::new(readings, Duration::from_millis(1_234));
        assert_eq!(sample.unix_ms, 1_234);
        let values = sample.values(MetricSet::Basic);
        let bits: Vec<_> = values.iter().map(|value| value.to_bits()).collect();
        let expected = [0.5, 0.75, ABSENT, 8.0, 2.0, 6.0].map(f64::to_bits);
        assert_eq!(bits, expected);
    }
}
