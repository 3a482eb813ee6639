//! Connect, report and disconnect of an agent in a fleet: of hosts with six gauges, and of hosts
//! like the idle trace. Reports are in nanoseconds per sample.

use std::hint::black_box;

use criterion::{BenchmarkGroup, BenchmarkId, Throughput};
use fleetgauge_benches::{Clock, CpuTime, Fleet, Hosts, SHARES, criterion};
use fleetgauge_proto::report::EncodedValues;

/// The collector's allocator.
#[global_allocator]
static ALLOCATOR: fleetgauge_collector::Allocator = fleetgauge_collector::Allocator;

/// Stride between agents that report one after another. Visits every agent, in an order that the
/// CPU cannot prefetch.
const STRIDE: usize = 48_271;

type Group<'a> = BenchmarkGroup<'a, CpuTime>;

/// Reports of hosts that alternate between two steps.
struct Reports {
    /// The report of step 1, and the one that returns to step 0, by host number modulo [`SHARES`].
    of_host: Vec<[EncodedValues; 2]>,
}

impl Reports {
    fn new(hosts: &Hosts, agents: usize) -> Self {
        let report = |host| {
            let [first, second] = [0, 1].map(|step| hosts.page(host, step));
            [hosts.encode_changed(&first, &second), hosts.encode_changed(&second, &first)]
        };
        Self { of_host: (0..agents.min(SHARES)).map(report).collect() }
    }
}

/// Benches a report that an agent of the fleet sends: the check and the storage of its values.
fn bench_update(group: &mut Group<'_>, kind: &str, fleet: &Fleet, hosts: &Hosts) {
    let agents = fleet.agents.len();
    let reports = Reports::new(hosts, agents);
    group.throughput(Throughput::Elements((fleet.samples() / agents) as u64));
    // Whether the agent's values are those of step 1.
    let (mut has_moved, mut index) = (vec![false; agents], 0);
    group.bench_function(BenchmarkId::new(format!("{kind}/update"), agents), |b| {
        b.iter(|| {
            index = (index + STRIDE) % agents;
            let report = &reports.of_host[index % SHARES][usize::from(has_moved[index])];
            has_moved[index] = !has_moved[index];
            assert!(black_box(&fleet.agents[index]).store(&report.values()).is_ok());
        });
    });
}

fn bench_connect(group: &mut Group<'_>, kind: &str, fleet: &Fleet) {
    let (agents, mut index) = (fleet.agents.len(), 0);
    group.throughput(Throughput::Elements(1));
    group.bench_function(BenchmarkId::new(format!("{kind}/connect_and_remove"), agents), |b| {
        b.iter(|| {
            index = (index + STRIDE) % agents;
            assert!(fleet.disconnect(index));
            black_box(fleet.connect(index));
        });
    });
}

fn main() {
    let mut c = criterion(Clock::Thread);
    let mut group = c.benchmark_group("registry");
    for agents in [1_000, 100_000] {
        let fleet = Fleet::new(agents);
        bench_update(&mut group, "gauges", &fleet, &Hosts::Gauges);
        bench_connect(&mut group, "gauges", &fleet);
    }
    for agents in [1_000, 10_000, 100_000] {
        for (kind, hosts) in [("idle", Hosts::idle as fn() -> _), ("moving", Hosts::moving)] {
            bench_update(&mut group, kind, &Fleet::of(hosts(), agents), &hosts());
        }
    }
    group.finish();
    c.final_summary();
}
