//! Reports of recorded traces, compared with other codings of the same samples.

use std::hint::black_box;
use std::io::{Read, Write};

use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use fleetgauge_benches::{CpuTime, Page, Trace};
use fleetgauge_page::{Format, Reader};
use fleetgauge_proto::frame::HEADER_LEN;
use fleetgauge_proto::message::{Report, Rows};
use fleetgauge_proto::report::{EncodedValues, Values, is_absent};
use fleetgauge_proto::{Message, VERSION};

use crate::messages::encode;
use crate::raw;
use crate::remote_write::WriteRequest;

/// Time of the first page, in milliseconds since the Unix epoch.
const BEGIN_MS: u64 = 1_800_000_000_000;
/// Time between two pages, in milliseconds.
const INTERVAL_MS: u64 = 15_000;

type Group<'a> = BenchmarkGroup<'a, CpuTime>;

/// A page after the first, and the previous values that its report is encoded against.
struct Step<'a> {
    page: &'a Page,
    /// The values of the page before, by the rows of this page.
    before: Vec<f64>,
    unix_ms: u64,
}

impl<'a> Step<'a> {
    /// Creates the step from `pages[0]` to `pages[1]`. `number` is the number of the second page.
    fn new(trace: &Trace, pages: &'a [Page], number: u64) -> Self {
        Self {
            page: &pages[1],
            before: trace.values_in_rows_of(&pages[1], &pages[0]),
            unix_ms: BEGIN_MS + number * INTERVAL_MS,
        }
    }

    fn report<'v>(&self, values: Values<'v>) -> Message<'v> {
        let sequence = self.unix_ms / INTERVAL_MS;
        Message::Report(Report { stream: 0, sequence, unix_ms: self.unix_ms, values })
    }
}

/// Benches each trace, and the idle one with all counters moving.
pub(crate) fn bench(c: &mut Criterion<CpuTime>) {
    bench_trace(c, "idle", &Trace::idle());
    bench_trace(c, "busy", &Trace::busy());
    bench_trace(c, "churn", &Trace::churn());
    bench_trace(c, "moving", &Trace::idle().with_all_counters_moving());
}

fn bench_trace(c: &mut Criterion<CpuTime>, name: &str, trace: &Trace) {
    let pairs = trace.pages().windows(2).zip(1..);
    let steps: Vec<_> = pairs.map(|(pages, number)| Step::new(trace, pages, number)).collect();
    print_start(name, trace);
    print_bytes(name, trace, &steps);
    let mut group = c.benchmark_group("trace");
    group.throughput(Throughput::Elements(samples(&steps) as u64));
    bench_reports(&mut group, name, trace, &steps);
    bench_raw(&mut group, name, &steps);
    bench_remote_write(&mut group, name, trace, &steps);
    bench_text(&mut group, name, trace, &steps);
    group.finish();
}

fn samples(steps: &[Step<'_>]) -> usize {
    steps.iter().map(|step| present(step.page)).sum()
}

fn present(page: &Page) -> usize {
    page.values.iter().filter(|value| !is_absent(**value)).count()
}

/// Prints what an agent sends once: its catalog, all rows and the first report.
fn print_start(name: &str, trace: &Trace) {
    let page = &trace.pages()[0];
    let catalog = encode(&Message::Catalog(trace.catalog())).len();
    let rows = trace.row_changes(None, page);
    let rows = encode(&Message::Rows(Rows { stream: 0, changes: rows })).len();
    let mut encoded = EncodedValues::default();
    encoded.encode_all(&page.values, trace.shape(page));
    let values = bytes_of(encoded.values());
    println!(
        "trace/{name}: catalog {catalog} bytes, rows {rows} bytes, first report {:.3} bytes per \
         sample",
        values as f64 / present(page) as f64
    );
}

/// Prints the bytes per sample in each coding, over all pages but the first.
fn print_bytes(name: &str, trace: &Trace, steps: &[Step<'_>]) {
    let (mut values, mut frames, mut rows, mut changed) = (0, 0, 0, 0);
    let (mut raw, mut remote_write, mut text) = (0, 0, 0);
    let mut encoded = EncodedValues::default();
    for (step, pages) in steps.iter().zip(trace.pages().windows(2)) {
        let Step { page, before, .. } = step;
        encoded.encode_changed(before, &page.values, trace.shape(page));
        values += bytes_of(encoded.values());
        frames += encode(&step.report(encoded.values())).len();
        let changes = trace.row_changes(Some(&pages[0]), page);
        if !changes.is_empty() {
            rows += encode(&Message::Rows(Rows { stream: 0, changes })).len();
        }
        let cells = before.iter().zip(&page.values);
        changed += cells.filter(|(old, new)| old.to_bits() != new.to_bits()).count();
        raw += raw_bytes(step).len();
        remote_write += remote_write_of(trace, step).to_compressed().map_or(0, |bytes| bytes.len());
        text += gzip(&trace.text(page)).map_or(0, |bytes| bytes.len());
    }
    let samples = samples(steps) as f64;
    let of_sample = |bytes| bytes as f64 / samples;
    println!(
        "trace/{name}: {} reports of {:.0} samples, {:.1} changed values per 100 samples",
        steps.len(),
        samples / steps.len() as f64,
        of_sample(changed) * 100.0
    );
    println!(
        "trace/{name}: bytes per sample: values {:.3}, report frames {:.3}, rows frames {:.3}, raw \
         {:.3}, remote write {:.3}, gzip text {:.3}",
        of_sample(values),
        of_sample(frames),
        of_sample(rows),
        of_sample(raw),
        of_sample(remote_write),
        of_sample(text)
    );
}

fn bytes_of(values: Values<'_>) -> usize {
    match values {
        Values::All(values) => values.len(),
        Values::Changed { bitmap, values } => bitmap.len() + values.len(),
    }
}

/// Benches report frames: from the values to the frame, and from the frame to the cells.
fn bench_reports(group: &mut Group<'_>, name: &str, trace: &Trace, steps: &[Step<'_>]) {
    let (mut encoded, mut frame) = (EncodedValues::default(), Vec::new());
    group.bench_function(BenchmarkId::new("encode/report", name), |b| {
        b.iter(|| {
            for step in steps {
                frame.clear();
                encoded.encode_changed(&step.before, &step.page.values, trace.shape(step.page));
                step.report(encoded.values()).encode(VERSION, &mut frame)?;
                black_box(&frame);
            }
            Ok::<_, fleetgauge_proto::Violation>(())
        });
    });
    let frame = |step: &Step<'_>| {
        let mut encoded = EncodedValues::default();
        encoded.encode_changed(&step.before, &step.page.values, trace.shape(step.page));
        encode(&step.report(encoded.values()))
    };
    let frames: Vec<_> = steps.iter().map(frame).collect();
    let mut cells = Vec::new();
    group.bench_function(BenchmarkId::new("decode/report", name), |b| {
        b.iter(|| {
            for (step, frame) in steps.iter().zip(&frames) {
                cells.clear();
                cells.extend_from_slice(&step.before);
                let report = Report::decode(black_box(&frame[HEADER_LEN..]))?;
                report.values.decode(&mut cells, trace.shape(step.page))?;
                black_box(&cells);
            }
            Ok::<_, fleetgauge_proto::Violation>(())
        });
    });
}

fn raw_bytes(step: &Step<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    raw::encode(&step.before, &step.page.values, &mut bytes).expect("a Vec takes everything");
    bytes
}

fn bench_raw(group: &mut Group<'_>, name: &str, steps: &[Step<'_>]) {
    group.bench_function(BenchmarkId::new("encode/raw", name), |b| {
        b.iter(|| steps.iter().for_each(|step| drop(black_box(raw_bytes(step)))));
    });
    let encoded: Vec<_> = steps.iter().map(raw_bytes).collect();
    let mut cells = Vec::new();
    group.bench_function(BenchmarkId::new("decode/raw", name), |b| {
        b.iter(|| {
            for (step, bytes) in steps.iter().zip(&encoded) {
                cells.clear();
                cells.extend_from_slice(&step.before);
                raw::decode(black_box(bytes), &mut cells)?;
                black_box(&cells);
            }
            Ok::<_, bincode::error::DecodeError>(())
        });
    });
}

fn remote_write_of(trace: &Trace, step: &Step<'_>) -> WriteRequest {
    WriteRequest::of(trace, step.page, step.unix_ms.cast_signed())
}

fn bench_remote_write(group: &mut Group<'_>, name: &str, trace: &Trace, steps: &[Step<'_>]) {
    let requests: Vec<_> = steps.iter().map(|step| remote_write_of(trace, step)).collect();
    group.bench_function(BenchmarkId::new("encode/remote_write", name), |b| {
        b.iter(|| requests.iter().for_each(|request| drop(black_box(request.to_compressed()))));
    });
    let encoded: Vec<_> = requests.iter().flat_map(WriteRequest::to_compressed).collect();
    group.bench_function(BenchmarkId::new("decode/remote_write", name), |b| {
        b.iter(|| {
            for bytes in &encoded {
                drop(black_box(WriteRequest::from_compressed(black_box(bytes))));
            }
        });
    });
}

/// Compresses a page as exporters do.
fn gzip(text: &str) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes())?;
    encoder.finish()
}

/// Benches the compression of pages, and what a server does with them: it decompresses and parses
/// them. Writing the pages is not measured.
fn bench_text(group: &mut Group<'_>, name: &str, trace: &Trace, steps: &[Step<'_>]) {
    let pages: Vec<_> = steps.iter().map(|step| trace.text(step.page)).collect();
    group.bench_function(BenchmarkId::new("encode/gzip_text", name), |b| {
        b.iter(|| pages.iter().for_each(|page| drop(black_box(gzip(page)))));
    });
    let pages: Vec<_> = pages.iter().flat_map(|page| gzip(page)).collect();
    group.bench_function(BenchmarkId::new("decode/gzip_text", name), |b| {
        b.iter(|| {
            for page in &pages {
                let mut text = Vec::new();
                GzDecoder::new(black_box(&page[..])).read_to_end(&mut text)?;
                let mut reader = Reader::new(Format::Text);
                reader.push(&text, |item| drop(black_box(item)));
                reader.finish(|item| drop(black_box(item)));
            }
            Ok::<_, std::io::Error>(())
        });
    });
}
