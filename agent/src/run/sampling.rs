//! Takes a sample at every tick and keeps only the newest.

use std::time::{Duration, Instant, SystemTime};

use fleetgauge_proto::AgentId;
use fleetgauge_proto::report::ABSENT;
use tokio::sync::watch;

use crate::metrics::{Metric, MetricSet};
use crate::sampler::{Readings, Sampler, deadline};
use crate::schedule::Schedule;

/// When to sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    /// Fixes the moments in each interval.
    pub(super) id: AgentId,
    /// Time between samples.
    pub(super) interval: Duration,
}

/// What was read at one moment.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sample {
    /// When it was taken, in milliseconds since 1970 UTC.
    pub(super) unix_ms: u64,
    readings: Readings,
}

impl Sample {
    fn new(readings: Readings, unix: Duration) -> Self {
        Self { unix_ms: u64::try_from(unix.as_millis()).unwrap_or(u64::MAX), readings }
    }

    /// The values in the order of the metric set.
    pub(super) fn values(&self, set: MetricSet) -> Vec<f64> {
        let value = |metric: &Metric| metric.value(&self.readings).unwrap_or(ABSENT);
        set.metrics().iter().map(value).collect()
    }
}

/// Puts a sample into `newest` at once and at each tick of the agent's schedule, for ever. A new
/// `plan` makes a new schedule; connections do not.
pub(super) async fn sample_on_schedule(
    mut plan: watch::Receiver<Plan>,
    newest: watch::Sender<Option<Sample>>,
) {
    let mut sampler = Sampler::new();
    loop {
        let Plan { id, interval } = plan.borrow_and_update().clone();
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

/// Time since 1970 UTC; zero where the clock stands before it.
fn unix_now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::{Cpu, Memory};

    #[test]
    fn what_was_not_read_is_absent_not_zero() {
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
