//! Snapshot and rendering of a page, in nanoseconds per line, compared with prometheus-client's
//! `Family` with the same series.

use std::hint::black_box;

use criterion::{BenchmarkId, SamplingMode, Throughput};
use fleetgauge_benches::{Clock, Fleet, SERIES, criterion};
use fleetgauge_collector::exposition::{Disconnected, Format, Gzip, Sink, render};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The collector's allocator.
#[global_allocator]
static ALLOCATOR: fleetgauge_collector::Allocator = fleetgauge_collector::Allocator;

/// A sink that accepts and discards every chunk.
struct Discard;

impl Sink for Discard {
    fn chunk(&mut self, bytes: &[u8]) -> Result<(), Disconnected> {
        black_box(bytes);
        Ok(())
    }
}

/// A sink whose client has disconnected: rejects the first chunk.
struct DisconnectAtOnce;

impl Sink for DisconnectAtOnce {
    fn chunk(&mut self, bytes: &[u8]) -> Result<(), Disconnected> {
        black_box(bytes);
        Err(Disconnected)
    }
}

/// Maximum number of agents for prometheus-client, which needs gigabytes of memory beyond it.
const MAX_CLIENT_AGENTS: usize = 100_000;

type FloatGauge = Gauge<f64, std::sync::atomic::AtomicU64>;

fn client_registry(agents: usize) -> Registry {
    let mut registry = Registry::default();
    for series in 0..SERIES {
        let family = Family::<Vec<(String, String)>, FloatGauge>::default();
        for agent in 0..agents {
            let labels = vec![("agent".to_owned(), format!("web-{agent:06}.example"))];
            family.get_or_create(&labels).set(agent as f64 / 997.0);
        }
        registry.register(format!("host_gauge_{series}"), "A gauge", family);
    }
    registry
}

fn main() {
    let mut c = criterion(Clock::Thread);
    let mut group = c.benchmark_group("exposition");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    for agents in [1_000, 10_000, 100_000, 1_000_000] {
        group.throughput(Throughput::Elements((agents * SERIES) as u64));
        let fleet = Fleet::new(agents);
        group.bench_function(BenchmarkId::new("snapshot", agents), |b| {
            b.iter(|| fleet.registry.snapshot());
        });
        group.bench_function(BenchmarkId::new("first_chunk", agents), |b| {
            b.iter(|| render(&fleet.registry.snapshot(), Format::Text, &mut DisconnectAtOnce));
        });
        group.bench_function(BenchmarkId::new("snapshot_and_render", agents), |b| {
            b.iter(|| render(&fleet.registry.snapshot(), Format::Text, &mut Discard));
        });
        group.bench_function(BenchmarkId::new("snapshot_render_gzip", agents), |b| {
            b.iter(|| {
                let mut discard = Discard;
                let mut gzip = Gzip::new(&mut discard);
                render(&fleet.registry.snapshot(), Format::Text, &mut gzip)?;
                gzip.finish()
            });
        });
        drop(fleet);
        if agents > MAX_CLIENT_AGENTS {
            continue;
        }
        let registry = client_registry(agents);
        group.bench_function(BenchmarkId::new("prometheus_client_family", agents), |b| {
            b.iter(|| {
                let mut page = String::new();
                prometheus_client::encoding::text::encode(&mut page, &registry).map(|()| page.len())
            });
        });
    }
    group.finish();
    c.final_summary();
}
