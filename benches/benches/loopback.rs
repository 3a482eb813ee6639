//! End to end over loopback: CPU time of both ends per report.
//!
//! A Ping after the reports is answered only when the collector has processed them.

use criterion::{BenchmarkId, Throughput};
use fleetgauge_benches::{Agent, Clock, criterion, gauges};
use fleetgauge_collector::{Config, Listeners, run};

/// The collector's allocator.
#[global_allocator]
static ALLOCATOR: fleetgauge_collector::Allocator = fleetgauge_collector::Allocator;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let mut config = Config::default();
    // No rate limit: reports come as fast as possible.
    config.bounds.reports_per_interval = 1_000_000;
    let listeners = Listeners::bind(&config).expect("free ports");
    let address = listeners.agent_addresses().expect("bound sockets")[0];
    runtime.spawn(run(config, listeners, std::future::pending()));
    let mut agent = Agent::connect(address, "bench", &gauges());

    let mut c = criterion(Clock::Process);
    let mut group = c.benchmark_group("loopback");
    for reports in [1, 32] {
        group.throughput(Throughput::Elements(reports));
        group.bench_function(BenchmarkId::new("reports_a_round_trip", reports), |b| {
            b.iter(|| {
                (0..reports).for_each(|_| agent.queue_report());
                agent.round_trip();
            });
        });
    }
    group.finish();
    c.final_summary();
}
