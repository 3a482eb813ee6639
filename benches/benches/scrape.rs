//! A scrape over HTTP and loopback: CPU time of both ends, in nanoseconds per line. The client
//! discards the page.
//!
//! The page has as many lines as that of 100,000 agents with six gauges. It has 1,000 agents with
//! 600 gauges, because the limit on open files does not allow 100,000 connections.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use criterion::{SamplingMode, Throughput};
use fleetgauge_benches::{Agent, Clock, criterion};
use fleetgauge_collector::{Config, Listeners, run};
use fleetgauge_proto::catalog::FamilyKind;
use fleetgauge_proto::message::{Catalog, Column, Family, Table};

/// The collector's allocator.
#[global_allocator]
static ALLOCATOR: fleetgauge_collector::Allocator = fleetgauge_collector::Allocator;

const AGENTS: usize = 1_000;
const GAUGES: usize = 600;

/// Size of a page, and time until its first sample.
#[derive(Debug, Clone, Copy)]
struct Page {
    bytes: u64,
    first_sample_ms: f64,
}

/// Fetches a page and discards it.
fn scrape(http: SocketAddr, headers: &str) -> Page {
    let mut stream = TcpStream::connect(http).expect("the collector listens");
    let requested = Instant::now();
    write!(
        stream,
        "GET /metrics/agents HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n{headers}\r\n"
    )
    .expect("the collector reads");
    let mut buffer = vec![0; 256 * 1024];
    let (mut bytes, mut first_sample_ms) = (0, 0.0);
    loop {
        let read = stream.read(&mut buffer).expect("the collector answers");
        if read == 0 {
            return Page { bytes, first_sample_ms };
        }
        // The response head arrives alone or with the first chunk. 1 KiB includes a sample.
        if bytes < 1024 && bytes + read as u64 >= 1024 {
            first_sample_ms = requested.elapsed().as_secs_f64() * 1e3;
        }
        bytes += read as u64;
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let config = Config::default();
    let listeners = Listeners::bind(&config).expect("free ports");
    let address = listeners.agent_addresses().expect("bound sockets")[0];
    let http = listeners.http.local_addr().expect("a bound socket");
    runtime.spawn(run(config, listeners, std::future::pending()));

    let names: Vec<_> = (0..GAUGES).map(|n| format!("host_memory_gauge_{n:03}_bytes")).collect();
    let family =
        |name| Family { name, kind: FamilyKind::Gauge as u8, unit: "bytes", help: "A gauge." };
    let column =
        |family| Column { family, width: 1, decimals: 0, parameters: vec![], labels: vec![] };
    let columns = (0..GAUGES as u32).map(column).collect();
    let catalog = Catalog {
        stream: 0,
        slot: 0,
        families: names.iter().map(|name| family(name)).collect(),
        tables: vec![Table { row_labels: Vec::new(), columns }],
    };
    let agents: Vec<_> = (0..AGENTS)
        .map(|n| {
            let mut agent = Agent::connect(address, &format!("web-{n:06}.example"), &catalog);
            agent.queue_report();
            agent.round_trip();
            agent
        })
        .collect();

    let mut c = criterion(Clock::Process);
    let mut group = c.benchmark_group("scrape");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.throughput(Throughput::Elements((AGENTS * GAUGES) as u64));
    let mut plain = 0;
    for (name, headers) in [("plain", ""), ("gzip", "Accept-Encoding: gzip\r\n")] {
        let page = scrape(http, headers);
        if plain == 0 {
            plain = page.bytes;
        }
        let share = page.bytes as f64 / plain as f64;
        println!(
            "scrape/{name}: {} bytes, {:.1} % of the plain page; first sample after {:.1} ms",
            page.bytes,
            share * 100.0,
            page.first_sample_ms
        );
        group.bench_function(name, |b| b.iter(|| scrape(http, headers)));
    }
    group.finish();
    c.final_summary();
    drop(agents);
}
