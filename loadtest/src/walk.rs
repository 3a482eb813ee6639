//! Values for people to look at: hosts whose load, memory and disk move as those of real ones do.

use fleetgauge_agent::metrics::MetricSet;
use fleetgauge_agent::sampler::{Cpu, Filesystem, Memory, Readings};
use fleetgauge_proto::report::ABSENT;

use crate::value::NAMES;

const GIB: u64 = 1 << 30;
/// The largest step between two reports, as a share of the whole.
const CPU_STEP: f64 = 0.06;
const MEMORY_STEP: f64 = 0.01;
/// A disk fills, and is cleaned up where it is full.
const DISK_STEP: f64 = 0.001;
const DISK_CLEANED: (f64, f64) = (0.95, 0.4);

/// One host.
#[derive(Debug)]
pub struct Walk {
    set: MetricSet,
    rng: fastrand::Rng,
    /// Shares of CPU, memory and disk in use.
    cpu: f64,
    memory: f64,
    disk: f64,
    /// What it has of them, in bytes.
    memory_total: u64,
    disk_total: u64,
}

impl Walk {
    /// A host that reports this set and differs from others by the seed.
    #[must_use]
    pub fn new(set: MetricSet, seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        Self {
            set,
            cpu: rng.f64() * 0.6,
            memory: 0.2 + rng.f64() * 0.6,
            disk: 0.3 + rng.f64() * 0.6,
            memory_total: GIB << rng.u32(2..8),
            disk_total: GIB << rng.u32(5..12),
            rng,
        }
    }

    /// The values of its next report.
    pub fn values(&mut self) -> [f64; NAMES.len()] {
        let readings = self.step();
        let mut values = [ABSENT; NAMES.len()];
        for (value, metric) in values.iter_mut().zip(self.set.metrics()) {
            *value = metric.value(&readings).unwrap_or(ABSENT);
        }
        values
    }

    fn step(&mut self) -> Readings {
        let mut moved = |share: f64, most: f64| {
            (share + (self.rng.f64() - 0.5) * 2.0 * most).clamp(0.005, 0.995)
        };
        self.cpu = moved(self.cpu, CPU_STEP);
        self.memory = moved(self.memory, MEMORY_STEP);
        self.disk += self.rng.f64() * DISK_STEP;
        if self.disk > DISK_CLEANED.0 {
            self.disk = DISK_CLEANED.1;
        }
        let (memory, disk) = (self.memory_total as f64, self.disk_total as f64);
        let used = (disk * self.disk) as u64;
        Readings {
            cpu: Some(Cpu { usage_ratio: self.cpu }),
            memory: Some(Memory {
                total: self.memory_total,
                available: (memory * (1.0 - self.memory)) as u64,
            }),
            filesystem: Some(Filesystem { used, available: self.disk_total - used }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sets_are_as_wide_as_a_simulated_report() {
        for set in [MetricSet::Basic, MetricSet::Classic] {
            assert_eq!(set.metrics().len(), NAMES.len());
        }
    }

    #[test]
    fn hosts_stay_plausible() {
        let mut host = Walk::new(MetricSet::Basic, 7);
        for _ in 0..10_000 {
            let [cpu, memory, disk, total, available, used] = host.values();
            for ratio in [cpu, memory, disk] {
                assert!((0.0..=1.0).contains(&ratio), "{ratio}");
            }
            assert_eq!(used, total - available);
            assert_eq!(memory, used / total);
        }
    }
}
