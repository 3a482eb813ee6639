//! Encoding of reports for remote write 1.0 and 2.0, and compression of requests, in nanoseconds
//! per sample: of hosts like the idle trace, and of hosts with six gauges. Presence and stale
//! markers as well.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkGroup, BenchmarkId, Throughput};
use fleetgauge_benches::{Clock, CpuTime, Fleet, Hosts, criterion};
use fleetgauge_collector::config::Protocol;
use fleetgauge_collector::registry::Layout;
use fleetgauge_collector::remote_write::{CellSet, Compressor, Encoder, Encoding, Points};

/// The collector's allocator.
#[global_allocator]
static ALLOCATOR: fleetgauge_collector::Allocator = fleetgauge_collector::Allocator;

/// Hosts whose reports are encoded in turn, as a collector does.
const AGENTS: usize = 1_000;
/// Samples of a request: the default of the collector.
const REQUEST_SAMPLES: usize = 10_000;
const UNIX_MS: i64 = 1_800_000_000_000;

/// What a report leaves for the encoder.
struct Entry {
    labels: Box<str>,
    layout: Layout,
    values: Box<[f64]>,
}

fn entries(hosts: Hosts) -> Vec<Entry> {
    let fleet = Fleet::of(hosts, AGENTS);
    let mut entries = Vec::with_capacity(AGENTS);
    fleet.registry.each_agent(|labels, layout, values| {
        // A label that all agents of a fleet have.
        let labels = format!("{labels},dc=\"fra\"").into();
        entries.push(Entry { labels, layout: layout.clone(), values: values.into() });
    });
    entries
}

fn bench_hosts(group: &mut BenchmarkGroup<'_, CpuTime>, kind: &str, hosts: Hosts) {
    let entries = entries(hosts);
    let mut encoder = Encoder::new(Arc::default());
    let mut out = Vec::new();
    let mut samples = |entry: &Entry, out: &mut Vec<u8>| {
        let Entry { labels, layout, values } = entry;
        let points = [Points::samples(values, UNIX_MS)];
        encoder.series(labels, layout, &points, 0..layout.cells() + 1, out).samples
    };
    let per_entry = samples(&entries[0], &mut out);
    println!(
        "remote_write/{kind}: {per_entry} samples, {:.1} bytes per sample",
        out.len() as f64 / per_entry as f64
    );
    group.throughput(Throughput::Elements(per_entry as u64));
    let mut next = entries.iter().cycle();
    let mut next = || next.next().expect("there are entries");
    group.bench_function(BenchmarkId::new("encode", kind), |b| {
        b.iter(|| {
            out.clear();
            samples(next(), black_box(&mut out))
        });
    });
    let mut encoder = Encoder::with_protocol(Arc::default(), Protocol::V2);
    let (mut pending, mut bytes_per_sample) = (0, 0.0);
    out.clear();
    group.bench_function(BenchmarkId::new("encode_2.0", kind), |b| {
        b.iter(|| {
            let Entry { labels, layout, values } = next();
            let cells = 0..layout.cells() + 1;
            let points = [Points::samples(values, UNIX_MS)];
            let out = black_box(&mut out);
            pending += encoder.series(labels, layout, &points, cells, out).samples;
            if pending >= REQUEST_SAMPLES {
                encoder.finish(out);
                bytes_per_sample = out.len() as f64 / pending as f64;
                out.clear();
                pending = 0;
            }
        });
    });
    println!("remote_write/{kind}: {bytes_per_sample:.1} bytes per sample of 2.0");
    group.bench_function(BenchmarkId::new("presence", kind), |b| {
        b.iter(|| {
            let entry = next();
            CellSet::of(&entry.layout, &entry.values)
        });
    });
    let present: Vec<_> =
        entries.iter().map(|entry| CellSet::of(&entry.layout, &entry.values)).collect();
    let mut encoder = Encoder::new(Arc::default());
    let mut gone = entries.iter().zip(&present).cycle();
    group.bench_function(BenchmarkId::new("markers", kind), |b| {
        b.iter(|| {
            out.clear();
            let (Entry { labels, layout, .. }, present) = gone.next().expect("there are entries");
            let cells = 0..layout.cells() + 1;
            let points = [Points::markers(present, UNIX_MS)];
            encoder.series(labels, layout, &points, cells, black_box(&mut out))
        });
    });
}

/// Compresses requests of the collector's default size.
fn bench_compression(group: &mut BenchmarkGroup<'_, CpuTime>, kind: &str, hosts: Hosts) {
    let mut encoder = Encoder::new(Arc::default());
    let (mut requests, mut samples, mut of_last) = (vec![Vec::new()], 0, 0);
    for Entry { labels, layout, values } in &entries(hosts) {
        if of_last >= REQUEST_SAMPLES {
            requests.push(Vec::new());
            of_last = 0;
        }
        let Some(out) = requests.last_mut() else { return };
        let points = [Points::samples(values, UNIX_MS)];
        let own = encoder.series(labels, layout, &points, 0..layout.cells() + 1, out).samples;
        of_last += own;
        samples += own;
    }
    let mut compressor = Compressor::default();
    for encoding in [Encoding::Snappy, Encoding::Zstd] {
        let mut bytes = 0;
        for request in &requests {
            bytes += compressor.compress(request, encoding).expect("it is in memory").len();
        }
        let per_sample = bytes as f64 / samples as f64;
        println!("remote_write/{kind}: {per_sample:.1} bytes per sample with {}", encoding.name());
        group.throughput(Throughput::Elements((samples / requests.len()) as u64));
        let mut next = requests.iter().cycle();
        group.bench_function(BenchmarkId::new(encoding.name(), kind), |b| {
            b.iter(|| {
                let request = next.next().expect("there are requests");
                compressor.compress(black_box(request), encoding)
            });
        });
    }
}

fn main() {
    let mut c = criterion(Clock::Thread);
    let mut group = c.benchmark_group("remote_write");
    bench_hosts(&mut group, "node_exporter", Hosts::idle());
    bench_hosts(&mut group, "gauges", Hosts::Gauges);
    for (kind, hosts) in [("node_exporter", Hosts::idle()), ("gauges", Hosts::Gauges)] {
        bench_compression(&mut group, kind, hosts);
    }
    group.finish();
    c.final_summary();
}
