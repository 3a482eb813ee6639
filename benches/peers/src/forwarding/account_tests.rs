use std::time::Duration;

use bytes::Bytes;
use fleetgauge_receiver::wire::{TimeSeries, WriteRequest};
use fleetgauge_receiver::{Receiver, ReceiverSettings, STALE_MARKER};
use hyper::Request;
use prost::Message;
use tokio::net::TcpStream;

use super::*;
use crate::http;

const KIND: FleetKind = FleetKind::Wide;
const SERIES: u64 = 459;
/// Times of the reports of each host.
const TIMES: [u64; 3] = [10_000, 20_000, 30_000];
const ALL: Range<u64> = 0..35_000;

/// Two hosts with a report at each time.
fn offered() -> Offered {
    let offered = Offered::new(2, Duration::from_secs(10), false);
    for host in 0..2 {
        for time in TIMES {
            offered.push(host, time);
        }
    }
    offered
}

/// The series of a report, as the collector forwards them.
fn series(host: usize, sequence: u64) -> Vec<TimeSeries> {
    let time = TIMES[sequence as usize - 1] as i64;
    let (id, mut all) = (reading::id(host), Vec::new());
    Reading { kind: KIND, host, sequence }.samples(|name, labels, value| {
        let mut pairs = vec![(METRIC_NAME, name), ("agent", &*id)];
        pairs.extend(labels.iter().map(|label| (label.name, label.value)));
        pairs.retain(|(_, value)| !value.is_empty());
        pairs.sort_unstable();
        all.push(TimeSeries::of(&pairs, &[(time, value)]));
    });
    all
}

/// Sends series to a receiver, and compares what it has with what was offered.
async fn compared(series: Vec<TimeSeries>, within: &Range<u64>) -> (Count, usize) {
    let receiver = Receiver::start(ReceiverSettings::default()).unwrap();
    let message = WriteRequest::of(series).encode_to_vec();
    let body = snap::raw::Encoder::new().compress_vec(&message).unwrap();
    let request = Request::post("/api/v1/write")
        .header("Content-Encoding", "snappy")
        .header("Content-Type", "application/x-protobuf")
        .header("X-Prometheus-Remote-Write-Version", "0.1.0")
        .body(Bytes::from(body))
        .unwrap();
    let stream = TcpStream::connect(receiver.address()).await.unwrap();
    let mut sender = http::open(stream).await.unwrap();
    let response = http::send(&mut sender, receiver.address(), request).await.unwrap();
    assert_eq!(response.status(), 204);
    let offered = offered();
    let account = Account { kind: KIND, labels: ("agent", None), offered: &offered };
    let ledger = receiver.ledger();
    (account.count(&ledger, within), account.missing_reports(&ledger, within))
}

/// All series of all reports.
fn everything() -> Vec<TimeSeries> {
    let reports = (0..2).flat_map(|host| (1..=3).map(move |sequence| (host, sequence)));
    reports.flat_map(|(host, sequence)| series(host, sequence)).collect()
}

#[tokio::test]
async fn nothing_is_lost_if_the_engine_has_all_samples() {
    let (count, missing) = compared(everything(), &ALL).await;
    assert_eq!(count, Count { offered: 6 * SERIES, ..Count::default() });
    assert_eq!(missing, 0);
}

#[tokio::test]
async fn lost_sample_and_lost_report_are_counted() {
    let mut sent = everything();
    sent.pop();
    sent.drain(..SERIES as usize);
    let (count, missing) = compared(sent.clone(), &ALL).await;
    assert_eq!((count.lost, count.wrong, count.unknown), (SERIES + 1, 0, 0));
    assert_eq!(count.lost_times, Some((10_000, 30_000)));
    assert_eq!(missing, 1);
    // The lost report is older.
    let (count, missing) = compared(sent, &(15_000..35_000)).await;
    assert_eq!((count.offered, count.lost, missing), (4 * SERIES, 1, 0));
}

#[tokio::test]
async fn value_of_another_report_is_wrong() {
    let mut sent = everything();
    let gauge = |series: &&mut TimeSeries| {
        series.labels.iter().any(|label| label.value == KIND.sequence_gauge())
    };
    let first = sent.iter_mut().find(gauge).unwrap();
    first.samples[0].value += 4096.0;
    let (count, _) = compared(sent, &ALL).await;
    assert_eq!((count.lost, count.wrong), (0, 1));
}

#[tokio::test]
async fn sample_between_reports_and_marker_are_counted() {
    let mut sent = everything();
    let labels = sent[0].labels.clone();
    let add = |time, value| {
        let mut series = TimeSeries::of(&[], &[(time, value)]);
        series.labels = labels.clone();
        series
    };
    sent.push(add(30_500, 1.0));
    sent.push(add(30_501, f64::from_bits(STALE_MARKER)));
    let (count, _) = compared(sent, &ALL).await;
    assert_eq!((count.lost, count.unknown, count.markers), (0, 1, 1));
}

#[tokio::test]
async fn series_that_no_host_has_is_unknown() {
    let mut sent = everything();
    let labels = [(METRIC_NAME, "node_other"), ("agent", "web-000001.example")];
    sent.push(TimeSeries::of(&labels, &[(10_000, 1.0)]));
    let added = [(METRIC_NAME, "up"), ("agent", "web-000001.example")];
    sent.push(TimeSeries::of(&added, &[(10_000, 1.0)]));
    let (count, _) = compared(sent, &ALL).await;
    assert_eq!((count.lost, count.unknown), (0, 1));
}

#[test]
fn values_that_differ_in_the_last_bit_are_the_same() {
    let value = 0.1 + 0.2;
    assert!(is_same(0.3, value) && is_same(f64::NAN, f64::NAN));
    assert!(!is_same(0.3, 0.300_001) && !is_same(f64::NAN, 0.3));
}
