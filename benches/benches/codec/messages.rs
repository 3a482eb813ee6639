//! Messages, compared with the JSON of the Python program that fleetgauge replaces.

use std::hint::black_box;

use criterion::Criterion;
use fleetgauge_benches::{CpuTime, GAUGES, gauges};
use fleetgauge_proto::frame::HEADER_LEN;
use fleetgauge_proto::message::{Hello, Label, Report};
use fleetgauge_proto::report::{EncodedValues, Values};
use fleetgauge_proto::{Accept, Fingerprint, FrameBuffer, Message, VERSION};
use serde::{Deserialize, Serialize};

const ACCEPT: Accept = Accept { version: VERSION, max_payload_bytes: 1 << 20 };
const BEFORE: [f64; GAUGES] = [0.25, 0.5, 3.4e10, 6.8e10, 0.5, 3.4e10];
const NOW: [f64; GAUGES] = [0.31, 0.5, 3.1e10, 6.8e10, 0.54, 3.7e10];
/// Decimal places of the gauges.
const DECIMALS: [u8; GAUGES] = [0; GAUGES];

/// A JSON record of the Python program.
#[derive(Serialize, Deserialize)]
struct OldRecord {
    cpu: f64,
    ram: f64,
    disk: f64,
    ram_total: f64,
    ram_available: f64,
    ram_used: f64,
    client_no: u16,
}

/// Encodes a message as a frame.
pub(crate) fn encode(message: &Message<'_>) -> Vec<u8> {
    let mut frame = Vec::new();
    message.encode(VERSION, &mut frame).expect("it fits a frame");
    frame
}

/// Benches the messages that an agent sends often or that are long.
pub(crate) fn bench(c: &mut Criterion<CpuTime>) {
    let hello = Message::Hello(Hello {
        min_version: 1,
        max_version: 1,
        capabilities: 0,
        agent_id: "web-000001.example",
        host_nonce: [1; 16],
        process_nonce: [2; 16],
        labels: vec![Label { name: "role", value: "web" }],
        interval_ms: 15_000,
        agent_version: "0.1.0",
        catalogs: vec![Fingerprint([3; 16])],
        credential: None,
        extensions: Vec::new(),
    });
    both_ways(c, "hello", &hello);
    both_ways(c, "catalog", &Message::Catalog(gauges()));
    let (mut all, mut changed) = (EncodedValues::default(), EncodedValues::default());
    let shape = || std::iter::once((1, &DECIMALS[..]));
    all.encode_all(&NOW, shape());
    changed.encode_changed(&BEFORE, &NOW, shape());
    let full = report(all.values());
    both_ways(c, "report_all", &full);
    both_ways(c, "report_changed", &report(changed.values()));
    let frame = encode(&full);
    c.bench_function("decode/report_alone", |b| {
        b.iter(|| {
            Report::decode(black_box(&frame[HEADER_LEN..])).map(|report| {
                black_box(&report);
            })
        });
    });
    let mut row = BEFORE;
    c.bench_function("decode_and_store/report_all", |b| {
        b.iter(|| black_box(all.values()).decode(black_box(&mut row), shape()));
    });
    let old = old_json(c);
    println!(
        "bytes: report_all {}, report_changed {}, old_json {old}",
        frame.len(),
        encode(&report(changed.values())).len(),
    );
}

fn report(values: Values<'_>) -> Message<'_> {
    Message::Report(Report { stream: 0, sequence: 240, unix_ms: 1_800_000_000_000, values })
}

fn both_ways(c: &mut Criterion<CpuTime>, name: &str, message: &Message<'_>) {
    let frame = encode(message);
    let mut out = Vec::with_capacity(frame.len());
    c.bench_function(&format!("encode/{name}"), |b| {
        b.iter(|| {
            out.clear();
            black_box(message).encode(VERSION, &mut out)
        });
    });
    let mut frames = FrameBuffer::default();
    c.bench_function(&format!("decode/{name}"), |b| {
        b.iter(|| {
            let mut input = black_box(frame.as_slice());
            let frame = frames.next(&mut input, ACCEPT)?.expect("a whole frame");
            Message::decode(frame).map(|message| {
                black_box(&message);
            })
        });
    });
}

/// Benches the record of the Python program. Returns its bytes.
fn old_json(c: &mut Criterion<CpuTime>) -> usize {
    let old = OldRecord {
        cpu: 31.0,
        ram: 54.2,
        disk: 50.1,
        ram_total: 6.8e10,
        ram_available: 3.1e10,
        ram_used: 3.7e10,
        client_no: 50_123,
    };
    let mut out = Vec::new();
    c.bench_function("encode/old_json", |b| {
        b.iter(|| {
            out.clear();
            serde_json::to_writer(&mut out, black_box(&old))
        });
    });
    let json = serde_json::to_vec(&old).expect("a record is JSON");
    c.bench_function("decode/old_json", |b| {
        b.iter(|| serde_json::from_slice::<OldRecord>(black_box(&json)));
    });
    json.len()
}
