//! Realistic values for the demo: CPU, memory and disk usage of each host is a random walk.

use fleetgauge_agent::catalogs::Catalogs;
use fleetgauge_agent::metrics::{MetricSet, Selection};
use fleetgauge_agent::sampler::{Cpu, Filesystem, Memory, Readings};
use fleetgauge_proto::AgentId;
use fleetgauge_proto::report::ABSENT;

use crate::engine::{FleetModel, ReportValues};
use crate::sim_values::NAMES;
use crate::worker_protocol::WorkerConfig;

/// First parts of the agent ids of simulated hosts, as in `web-01.demo`.
const ROLES: [&str; 5] = ["web", "db", "cache", "queue", "build"];

const GIB: u64 = 1 << 30;
/// Maximum change of CPU usage between two reports, as a share of the total.
const CPU_STEP: f64 = 0.06;
/// Maximum change of memory usage between two reports, as a share of the total.
const MEMORY_STEP: f64 = 0.01;
/// Growth of disk usage per report, as a share of the total.
const DISK_STEP: f64 = 0.001;
/// Disk usage at which a cleanup starts, and disk usage after it.
const DISK_CLEANUP: (f64, f64) = (0.95, 0.4);

/// A fleet of hosts whose values are random walks.
pub(super) struct RandomWalkFleet {
    hosts: Vec<RandomWalkHost>,
    catalogs: Catalogs,
}

impl RandomWalkFleet {
    pub(super) fn new(set: MetricSet, config: &WorkerConfig) -> anyhow::Result<Self> {
        let host = |agent| RandomWalkHost::new(set, config.seed ^ u64::from(agent));
        let catalogs = Selection::of(set).catalogs().clone();
        Ok(Self { hosts: config.agents.range().map(host).collect(), catalogs })
    }
}

impl FleetModel for RandomWalkFleet {
    fn id(&self, agent: u32) -> AgentId {
        let (agent, roles) = (agent as usize, ROLES.len());
        let id =
            AgentId::try_new(&format!("{}-{:02}.demo", ROLES[agent % roles], agent / roles + 1));
        id.unwrap_or_else(|bad| unreachable!("roles and numbers are legal: {bad}"))
    }

    fn catalogs(&self) -> Catalogs {
        self.catalogs.clone()
    }

    fn write_values(&mut self, agent: u32, _: u64, before: Option<u64>, out: &mut ReportValues) {
        let host = &mut self.hosts[agent as usize];
        let values = host.values();
        let reported = std::mem::replace(&mut host.reported, values);
        out.set_single_row(before.map(|_| &reported[..]), &values);
    }
}

/// A simulated host whose values change by small random steps.
#[derive(Debug)]
struct RandomWalkHost {
    set: MetricSet,
    rng: fastrand::Rng,
    /// Values of the last report.
    reported: [f64; NAMES.len()],
    /// Shares of CPU, memory and disk in use.
    cpu: f64,
    memory: f64,
    disk: f64,
    /// Totals, in bytes.
    memory_total: u64,
    disk_total: u64,
}

impl RandomWalkHost {
    /// Creates a host that reports this metric set, with a random walk from this seed.
    fn new(set: MetricSet, seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        Self {
            set,
            reported: [ABSENT; NAMES.len()],
            cpu: rng.f64() * 0.6,
            memory: 0.2 + rng.f64() * 0.6,
            disk: 0.3 + rng.f64() * 0.6,
            memory_total: GIB << rng.u32(2..8),
            disk_total: GIB << rng.u32(5..12),
            rng,
        }
    }

    /// Advances the random walk by one report. Returns the values of that report.
    fn values(&mut self) -> [f64; NAMES.len()] {
        let readings = self.step();
        let mut values = [ABSENT; NAMES.len()];
        for (value, metric) in values.iter_mut().zip(self.set.metrics()) {
            *value = metric.value(&readings).unwrap_or(ABSENT);
        }
        values
    }

    fn step(&mut self) -> Readings {
        let mut walk = |share: f64, step: f64| {
            (share + (self.rng.f64() - 0.5) * 2.0 * step).clamp(0.005, 0.995)
        };
        self.cpu = walk(self.cpu, CPU_STEP);
        self.memory = walk(self.memory, MEMORY_STEP);
        self.disk += self.rng.f64() * DISK_STEP;
        if self.disk > DISK_CLEANUP.0 {
            self.disk = DISK_CLEANUP.1;
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
    fn both_metric_sets_have_as_many_values_as_a_simulated_report() {
        for set in [MetricSet::Basic, MetricSet::Classic] {
            assert_eq!(set.metrics().len(), NAMES.len());
        }
    }

    #[test]
    fn values_stay_plausible() {
        let mut host = RandomWalkHost::new(MetricSet::Basic, 7);
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
