//! End to end over loopback: CPU of both ends together for a report that has been taken in.
//!
//! A Ping behind the reports is answered once they have been handled, so nothing is guessed.

use std::io::{Read, Write};
use std::net::TcpStream;

use criterion::{BenchmarkId, Throughput};
use fleetgauge_benches::{Clock, SERIES, criterion, schema};
use fleetgauge_collector::{Config, Listeners, run};
use fleetgauge_proto::message::{Hello, Ping, Report};
use fleetgauge_proto::report::{Values, write_all};
use fleetgauge_proto::{Accept, FrameBuffer, Message, VERSION};

/// The collector's own.
#[global_allocator]
static ALLOCATOR: fleetgauge_collector::Allocator = fleetgauge_collector::Allocator;

const ACCEPT: Accept = Accept { version: VERSION, max_payload_bytes: 1 << 20 };

struct Agent {
    stream: TcpStream,
    sequence: u64,
    out: Vec<u8>,
    values: Vec<u8>,
}

impl Agent {
    fn connect(address: std::net::SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the collector listens");
        stream.set_nodelay(true).expect("a socket option");
        let (frame, fingerprint) =
            fleetgauge_proto::schema::encode(&schema()).expect("six gauges fit a frame");
        let mut out = Vec::new();
        let hello = Message::Hello(Hello {
            min_version: 1,
            max_version: 1,
            capabilities: 0,
            agent_id: "bench",
            host_nonce: [1; 16],
            process_nonce: [2; 16],
            labels: Vec::new(),
            interval_ms: 300_000,
            agent_version: "bench",
            schema: fingerprint,
            credential: None,
            extensions: Vec::new(),
        });
        hello.encode(VERSION, &mut out).expect("it fits a frame");
        let mut values = Vec::new();
        write_all(&[0.5; SERIES], &mut values);
        let mut agent = Self { stream, sequence: 0, out, values };
        agent.flush();
        agent.await_frame();
        agent.out = frame;
        agent
    }

    fn queue_report(&mut self) {
        self.sequence += 1;
        let values = Values::All(&self.values);
        let report = Report { stream: 0, sequence: self.sequence, unix_ms: 0, values };
        Message::Report(report).encode(VERSION, &mut self.out).expect("it fits a frame");
    }

    /// Sends what is queued and waits until it has been handled.
    fn round_trip(&mut self) {
        let ping = Message::Ping(Ping { token: self.sequence });
        ping.encode(VERSION, &mut self.out).expect("it fits a frame");
        self.flush();
        self.await_frame();
    }

    fn flush(&mut self) {
        self.stream.write_all(&self.out).expect("the collector reads");
        self.out.clear();
    }

    fn await_frame(&mut self) {
        let (mut frames, mut buffer) = (FrameBuffer::default(), [0; 1024]);
        loop {
            let read = self.stream.read(&mut buffer).expect("the collector answers");
            let mut input = &buffer[..read];
            let frame = frames.next(&mut input, ACCEPT).expect("a legal frame");
            if let Some(frame) = frame {
                let message = Message::decode(frame).expect("a legal message");
                assert!(
                    matches!(message, Message::Welcome(_) | Message::Pong(_)),
                    "the collector sent {message:?}"
                );
                return;
            }
        }
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
    runtime.spawn(run(config, listeners, std::future::pending()));
    let mut agent = Agent::connect(address);

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
