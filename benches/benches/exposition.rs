//! Snapshot and rendering of a page, in nanoseconds per line: of hosts with six gauges, compared
//! with prometheus-client's `Family` with the same series, and of hosts like the idle trace. Prints
//! the resident bytes of fleets and snapshots as well.

use std::hint::black_box;

use criterion::{BenchmarkGroup, BenchmarkId, SamplingMode, Throughput};
use fleetgauge_benches::{Clock, CpuTime, Fleet, GAUGES, Hosts, criterion, resident_growth};
use fleetgauge_collector::exposition::{Disconnected, Format, Gzip, Sink, render};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The collector's allocator.
#[global_allocator]
static ALLOCATOR: fleetgauge_collector::Allocator = fleetgauge_collector::Allocator;

/// Accepts, counts and discards every chunk.
#[derive(Default)]
struct Discard {
    bytes: usize,
}

impl Sink for Discard {
    fn chunk(&mut self, bytes: &[u8]) -> Result<(), Disconnected> {
        self.bytes += black_box(bytes).len();
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

/// Number of agents whose resident bytes are measured, which takes some time.
const MEASURED_AGENTS: usize = 10_000;
/// Maximum number of agents for prometheus-client, which needs gigabytes of memory beyond it.
const MAX_CLIENT_AGENTS: usize = 100_000;

type FloatGauge = Gauge<f64, std::sync::atomic::AtomicU64>;

fn client_registry(agents: usize) -> Registry {
    let mut registry = Registry::default();
    for series in 0..GAUGES {
        let family = Family::<Vec<(String, String)>, FloatGauge>::default();
        for agent in 0..agents {
            let labels = vec![("agent".to_owned(), format!("web-{agent:06}.example"))];
            family.get_or_create(&labels).set(agent as f64 / 997.0);
        }
        registry.register(format!("host_gauge_{series}"), "A gauge", family);
    }
    registry
}

/// Benches the page of a fleet. `kind` names the hosts.
fn bench_fleet(group: &mut BenchmarkGroup<'_, CpuTime>, kind: &str, fleet: &Fleet) {
    let agents = fleet.agents.len();
    let id = |part: &str| BenchmarkId::new(format!("{kind}/{part}"), agents);
    group.throughput(Throughput::Elements(fleet.samples() as u64));
    print_page(kind, fleet);
    if agents == MEASURED_AGENTS {
        print_snapshot(kind, fleet);
    }
    group.bench_function(id("snapshot"), |b| b.iter(|| fleet.registry.snapshot()));
    group.bench_function(id("first_chunk"), |b| {
        b.iter(|| render(&fleet.registry.snapshot(), Format::Text, &mut DisconnectAtOnce));
    });
    let snapshot = fleet.registry.snapshot();
    group.bench_function(id("render"), |b| {
        b.iter(|| render(&snapshot, Format::Text, &mut Discard::default()));
    });
    group.bench_function(id("render_gzip"), |b| {
        b.iter(|| {
            let mut discard = Discard::default();
            let mut gzip = Gzip::new(&mut discard);
            render(&snapshot, Format::Text, &mut gzip)?;
            gzip.finish()
        });
    });
    drop(snapshot);
    group.bench_function(id("snapshot_and_render"), |b| {
        b.iter(|| render(&fleet.registry.snapshot(), Format::Text, &mut Discard::default()));
    });
}

/// Prints the number of lines and bytes of a page.
fn print_page(kind: &str, fleet: &Fleet) {
    let snapshot = fleet.registry.snapshot();
    let (mut plain, mut compressed) = (Discard::default(), Discard::default());
    let counted = render(&snapshot, Format::Text, &mut plain).expect("a sink takes everything");
    let mut gzip = Gzip::new(&mut compressed);
    let written = render(&snapshot, Format::Text, &mut gzip).and_then(|_| gzip.finish());
    written.expect("a sink takes everything");
    let of_line = |bytes| bytes as f64 / counted.lines as f64;
    println!(
        "exposition/{kind} of {} agents: {} lines, {:.1} bytes per line, {:.2} compressed",
        fleet.agents.len(),
        counted.lines,
        of_line(plain.bytes),
        of_line(compressed.bytes)
    );
}

/// Prints the resident bytes of a snapshot.
fn print_snapshot(kind: &str, fleet: &Fleet) {
    let (snapshot, bytes) = resident_growth(|| fleet.registry.snapshot());
    println!(
        "exposition/{kind} of {} agents: a snapshot has {:.1} resident bytes per line",
        fleet.agents.len(),
        bytes as f64 / fleet.samples() as f64
    );
    drop(snapshot);
}

/// Creates a fleet and prints its resident bytes.
fn create_fleet(kind: &str, hosts: Hosts, agents: usize) -> Fleet {
    if agents != MEASURED_AGENTS {
        return Fleet::of(hosts, agents);
    }
    let (fleet, bytes) = resident_growth(|| Fleet::of(hosts, agents));
    println!(
        "exposition/{kind} of {agents} agents: {:.1} resident bytes per series without connections",
        bytes as f64 / fleet.samples() as f64
    );
    fleet
}

fn bench_prometheus_client(group: &mut BenchmarkGroup<'_, CpuTime>, agents: usize) {
    let registry = client_registry(agents);
    group.throughput(Throughput::Elements((agents * GAUGES) as u64));
    group.bench_function(BenchmarkId::new("gauges/prometheus_client_family", agents), |b| {
        b.iter(|| {
            let mut page = String::new();
            prometheus_client::encoding::text::encode(&mut page, &registry).map(|()| page.len())
        });
    });
}

fn main() {
    let mut c = criterion(Clock::Thread);
    let mut group = c.benchmark_group("exposition");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    for agents in [1_000, 10_000, 100_000] {
        let kind = "node_exporter";
        bench_fleet(&mut group, kind, &create_fleet(kind, Hosts::idle(), agents));
    }
    for agents in [1_000, 10_000, 100_000, 1_000_000] {
        let kind = "gauges";
        bench_fleet(&mut group, kind, &create_fleet(kind, Hosts::Gauges, agents));
        if agents <= MAX_CLIENT_AGENTS {
            bench_prometheus_client(&mut group, agents);
        }
    }
    group.finish();
    c.final_summary();
}
