//! Agents coming, reporting and going, among a thousand and a hundred thousand others.

use std::hint::black_box;

use criterion::BenchmarkId;
use fleetgauge_benches::{Clock, Fleet, SERIES, criterion};
use fleetgauge_proto::report::{Values, write_all};

/// The collector's own.
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
        let mut turn = 0;
        group.bench_function(BenchmarkId::new("update", agents), |b| {
            b.iter(|| {
                // A stride that visits every agent in an order the cache does not foresee.
                turn = (turn + 48_271) % agents;
                assert!(black_box(&fleet.agents[turn]).row().store(turn as u64, &values));
            });
        });
        group.bench_function(BenchmarkId::new("connect_and_remove", agents), |b| {
            b.iter(|| {
                turn = (turn + 48_271) % agents;
                assert!(fleet.disconnect(turn));
                black_box(fleet.connect(turn));
            });
        });
    }
    group.finish();
    c.final_summary();
}
