//! `/metrics/fleet`: histograms and quantiles of every gauge over all agents, from the registry to
//! the page.

use std::hint::black_box;

use criterion::{BenchmarkId, SamplingMode, Throughput};
use fleetgauge_benches::{Clock, Fleet, criterion};
use fleetgauge_collector::exposition::Format;
use fleetgauge_collector::fleet_stats::{self, Columns, FleetQuery};

/// The collector's allocator.
#[global_allocator]
static ALLOCATOR: fleetgauge_collector::Allocator = fleetgauge_collector::Allocator;

fn page(fleet: &Fleet) -> Vec<u8> {
    let columns = Columns::copy(&fleet.registry, &FleetQuery::default());
    let mut page = Vec::new();
    let written = fleet_stats::write(&columns.expect("all gauges"), Format::Text, &mut page);
    written.expect("a Vec takes everything");
    page
}

fn main() {
    let mut c = criterion(Clock::Thread);
    let mut group = c.benchmark_group("fleet");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    for agents in [1_000, 100_000, 1_000_000] {
        group.throughput(Throughput::Elements(agents as u64));
        let fleet = Fleet::new(agents);
        group.bench_function(BenchmarkId::new("copy", agents), |b| {
            b.iter(|| Columns::copy(&fleet.registry, &FleetQuery::default()));
        });
        group.bench_function(BenchmarkId::new("copy_and_write", agents), |b| {
            b.iter(|| black_box(page(&fleet)));
        });
    }
    group.finish();
    c.final_summary();
}
