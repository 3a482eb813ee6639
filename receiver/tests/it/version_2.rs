//! Remote write 2.0.

use bytes::Bytes;
use fleetgauge_receiver::wire::TimeSeries;
use fleetgauge_receiver::wire_v2::{Metadata, Request};
use fleetgauge_receiver::{FindingKind, Receiver, ReceiverSettings};
use http_body_util::Full;
use prost::Message;

use crate::client::{UP, post, receiver, send, up, write};

const OTHER: [(&str, &str); 2] = [("__name__", "load"), ("agent", "a")];
const WRITTEN: &str = "x-prometheus-remote-write-samples-written";

fn request_of(message: &[u8]) -> hyper::Request<Full<Bytes>> {
    let body = snap::raw::Encoder::new().compress_vec(message).unwrap();
    let mut request = post("snappy", body);
    let content_type = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
    let headers = request.headers_mut();
    headers.insert("content-type", content_type.parse().unwrap());
    headers.insert("x-prometheus-remote-write-version", "2.0.0".parse().unwrap());
    request
}

fn request(message: &Request) -> hyper::Request<Full<Bytes>> {
    request_of(&message.encode_to_vec())
}

fn two_series() -> Request {
    Request::of(&[TimeSeries::of(&UP, &[(1, 1.0), (2, 2.0)]), TimeSeries::of(&OTHER, &[(1, 0.0)])])
}

async fn is_undecodable(receiver: &Receiver, request: hyper::Request<Full<Bytes>>, reason: &str) {
    assert_eq!(send(receiver, request).await.unwrap().status(), 400);
    let ledger = receiver.ledger();
    let texts = ledger.findings().texts(FindingKind::Undecodable);
    assert!(texts.last().unwrap().contains(reason), "{ledger}");
    assert_eq!(ledger.samples_total(), 0, "{ledger}");
}

#[tokio::test]
async fn both_versions_fill_the_same_series() {
    let receiver = receiver();
    let answer = send(&receiver, request(&two_series())).await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()[WRITTEN]),
        (204, &"3".parse().unwrap())
    );
    assert_eq!(write(&receiver, &up(&[(2, 2.0), (3, 3.0)])).await, 204);
    let ledger = receiver.ledger();
    let samples = ledger.find(&UP).unwrap().samples();
    assert!(samples.iter().map(|s| (s.unix_ms, s.value())).eq([(1, 1.0), (2, 2.0), (3, 3.0)]));
    assert_eq!(ledger.find(&OTHER).unwrap().samples().len(), 1);
    assert_eq!((ledger.repeated_total(), ledger.findings().violations()), (1, 0), "{ledger}");
}

#[tokio::test]
async fn metadata_of_version_2_is_kept_by_metric() {
    let receiver = receiver();
    let mut message = two_series();
    message.symbols.extend(["Load average".to_owned(), "jobs".to_owned()]);
    let last = u32::try_from(message.symbols.len() - 1).unwrap();
    let metadata = Metadata { kind: 2, help_ref: last - 1, unit_ref: last };
    message.timeseries[1].metadata = Some(metadata);
    assert_eq!(send(&receiver, request(&message)).await.unwrap().status(), 204);
    let ledger = receiver.ledger();
    assert_eq!(ledger.metadata().keys().collect::<Vec<_>>(), ["load"]);
    let metadata = &ledger.metadata()["load"];
    assert_eq!((metadata.kind, metadata.unit.as_str()), (2, "jobs"));
    assert_eq!(metadata.help, "Load average");
}

#[tokio::test]
async fn illegal_labels_of_version_2_are_found() {
    let receiver = receiver();
    let reversed = Request::of(&[TimeSeries::of(&[UP[1], UP[0]], &[(1, 1.0)])]);
    assert_eq!(send(&receiver, request(&reversed)).await.unwrap().status(), 400);
    assert_eq!(receiver.ledger().findings().count(FindingKind::UnsortedLabels), 1);
}

#[tokio::test]
async fn bad_symbols_are_undecodable() {
    let receiver = receiver();
    let mut message = two_series();
    message.timeseries[0].labels_refs[1] = 1000;
    is_undecodable(&receiver, request(&message), "reference to a symbol").await;
    let mut message = two_series();
    message.timeseries[0].labels_refs.pop();
    is_undecodable(&receiver, request(&message), "label without a value").await;
    let mut message = two_series();
    message.symbols[0] = "x".to_owned();
    is_undecodable(&receiver, request(&message), "first symbol").await;
    let truncated = [&two_series().encode_to_vec()[..], &[0x2a, 9]].concat();
    is_undecodable(&receiver, request_of(&truncated), "beyond the end").await;
}

#[tokio::test]
async fn flood_of_references_is_undecodable() {
    let receiver = receiver();
    let mut message = two_series();
    message.timeseries[0].labels_refs = vec![0; 2002];
    is_undecodable(&receiver, request(&message), "too many integers").await;
}

#[tokio::test]
async fn long_symbol_with_many_references_is_refused() {
    let settings = ReceiverSettings { max_message: 100_000, ..ReceiverSettings::default() };
    let receiver = Receiver::start(settings).unwrap();
    let mut message = Request::of(&[TimeSeries::of(&[("__name__", &"a".repeat(10_000))], &[])]);
    for _ in 0..20 {
        message.timeseries[0].labels_refs.extend([1, 2]);
    }
    is_undecodable(&receiver, request(&message), "series too long").await;
    let short = Request::of(&[TimeSeries::of(&[("__name__", &"a".repeat(10_000))], &[])]);
    let many = vec![short.timeseries[0].clone(); 20];
    let message = Request { timeseries: many, ..short };
    is_undecodable(&receiver, request(&message), "request too long").await;
}

#[tokio::test]
async fn engine_without_version_2_takes_version_1() {
    for status in [400, 415] {
        let receiver = receiver();
        receiver.faults().no_version_2(status);
        assert_eq!(send(&receiver, request(&two_series())).await.unwrap().status(), status);
        assert_eq!(receiver.ledger().samples_total(), 0);
        let answer = send(&receiver, post("snappy", crate::client::snappy(&up(&[(1, 1.0)]))));
        let answer = answer.await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.headers().get(WRITTEN)), (204, None));
        assert_eq!(receiver.ledger().findings().violations(), 0);
    }
}
