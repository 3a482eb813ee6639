//! Takes a sample at every tick and keeps only the newest.

use std::time::{Duration, Instant, SystemTime};

use fleetgauge_proto::AgentId;
use fleetgauge_proto::report::ABSENT;
use tokio::sync::watch;

use crate::metrics::MetricSet;
use crate::sampler::{Readings, Sampler, deadline};
use crate::schedule::Schedule;

/// The values of one moment.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sample {
    /// When it was taken, in milliseconds since 1970 UTC.
    pub(super) unix_ms: u64,
    /// In the order of the metric set.
    pub(super) values: Vec<f64>,
}

impl Sample {
    fn new(set: MetricSet, readings: &Readings, unix: Duration) -> Self {
        let values = set.metrics().iter().map(|metric| metric.value(readings).unwrap_or(ABSENT));
        Self {
            unix_ms: u64::try_from(unix.as_millis()).unwrap_or(u64::MAX),
            values: values.collect(),
        }
    }
}

/// Puts a sample into `newest` at once and at each tick of the agent's schedule, for ever. A new `interval`
/// makes a new schedule; connections do not.
pub(super) async fn sample_on_schedule(
    id: &AgentId,
    set: MetricSet,
    mut interval: watch::Receiver<Duration>,
    newest: watch::Sender<Option<Sample>>,
) {
    let mut sampler = Sampler::new();
    loop {
        let every = *interval.borrow_and_update();
        let mut schedule = Schedule::new(id, every, Instant::now(), unix_now());
        loop {
            let unix = unix_now();
            let readings = sampler.sample(deadline(every)).await;
            newest.send_replace(Some(Sample::new(set, &readings, unix)));
            tokio::select! {
                () = tokio::time::sleep_until(schedule.next().into()) => {
                    schedule.advance(Instant::now());
                }
                Ok(()) = interval.changed() => break,
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
        let sample = Sample::new(MetricSet::Basic, &readings, Duration::from_millis(1_234));
        assert_eq!(sample.unix_ms, 1_234);
        let bits: Vec<_> = sample.values.iter().map(|value| value.to_bits()).collect();
        let expected = [0.5, 0.75, ABSENT, 8.0, 2.0, 6.0].map(f64::to_bits);
        assert_eq!(bits, expected);
    }
}
