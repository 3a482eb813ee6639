//! Connect, report and disconnect of an agent in a fleet of 1,000 and of 100,000.

use std::hint::black_box;

use criterion::BenchmarkId;
use fleetgauge_benches::{Clock, Fleet, GAUGES, criterion};
use fleetgauge_proto::report::EncodedValues;

/// The collector's allocator.
#[global_allocator]
static ALLOCATOR: fleetgauge_collector::Allocator = fleetgauge_collector::Allocator;

fn main() {
    let mut c = criterion(Clock::Thread);
    let mut group = c.benchmark_group("registry");
    for agents in [1_000, 100_000] {
        let fleet = Fleet::new(agents);
        let shape = || std::iter::once((1, &[0; GAUGES][..]));
        // Stored in turn, so that every value changes.
        let reports = [0.25, 0.5].map(|value| {
            let mut encoded = EncodedValues::default();
            encoded.encode_all(&[value; GAUGES], shape());
            encoded
        });
        let mut reports = reports.iter().map(EncodedValues::values).cycle();
        let mut index = 0;
        group.bench_function(BenchmarkId::new("update", agents), |b| {
            b.iter(|| {
                // This stride visits every agent, in an order that the CPU cannot prefetch.
                index = (index + 48_271) % agents;
                let values = reports.next().expect("the reports repeat");
                assert_eq!(black_box(&fleet.agents[index]).store(&values), Ok(true));
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
