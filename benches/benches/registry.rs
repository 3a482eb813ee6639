//! Connect, report and disconnect of an agent in a fleet of 1,000 and of 100,000.

use std::hint::black_box;

use criterion::BenchmarkId;
use fleetgauge_benches::{Clock, Fleet, SERIES, criterion};
use fleetgauge_proto::report::{Values, write_all};

/// The collector's allocator.
#[global_allocator]
static ALLOCATOR: fleetgauge_collector::Allocator = fleetgauge_collector::Allocator;

fn main() {
    let mut c = criterion(Clock::Thread);
    let mut group = c.benchmark_group("registry");
    for agents in [1_000, 100_000] {
        let fleet = Fleet::new(agents);
        let mut bytes = Vec::new();
        write_all(&[0.5; SERIES], &mut bytes);
        let values = Values::All(&bytes);
        let mut index = 0;
        group.bench_function(BenchmarkId::new("update", agents), |b| {
            b.iter(|| {
                // This stride visits every agent, in an order that the CPU cannot prefetch.
                index = (index + 48_271) % agents;
                assert!(black_box(&fleet.agents[index]).row().store(index as u64, &values));
            });
        });
        group.bench_function(BenchmarkId::new("connect_and_remove", agents), |b| {
            b.iter(|| {
                index = (index + 48_271) % agents;
                assert!(fleet.disconnect(index));
                black_box(fleet.connect(index));
            });
        });
    }
    group.finish();
    c.final_summary();
}
