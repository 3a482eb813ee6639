//! A handmade request for each kind of finding.

use fleetgauge_receiver::FindingKind;
use fleetgauge_receiver::wire::{TimeSeries, WriteRequest};
use prost::Message;

use crate::client::{UP, post, receiver, send, snappy, up, write};

/// Sends a series with these labels, which must be refused for exactly this reason.
async fn is_refused(labels: &[(&str, &str)], kind: FindingKind) {
    let receiver = receiver();
    let good = TimeSeries::of(&UP, &[(1, 1.0)]);
    let bad = TimeSeries::of(labels, &[(1, 1.0)]);
    assert_eq!(write(&receiver, &WriteRequest::of(vec![good, bad])).await, 400);
    let ledger = receiver.ledger();
    assert_eq!(ledger.findings().count(kind), 1, "{ledger}");
    assert_eq!(ledger.findings().violations(), 1, "{ledger}");
    assert!(ledger.findings().texts(kind)[0].contains(labels[0].1), "{ledger}");
    assert_eq!((ledger.samples_total(), ledger.series().count()), (0, 0), "{ledger}");
}

#[tokio::test]
async fn unsorted_labels_are_found() {
    is_refused(&[("b", "1"), ("__name__", "x"), ("a", "2")], FindingKind::UnsortedLabels).await;
}

#[tokio::test]
async fn unsorted_labels_of_a_known_series_are_found() {
    let receiver = receiver();
    assert_eq!(write(&receiver, &up(&[(1, 1.0)])).await, 204);
    let reversed = TimeSeries::of(&[UP[1], UP[0]], &[(2, 1.0)]);
    assert_eq!(write(&receiver, &WriteRequest::of(vec![reversed])).await, 400);
    assert_eq!(receiver.ledger().findings().count(FindingKind::UnsortedLabels), 1);
}

#[tokio::test]
async fn empty_label_values_are_found() {
    is_refused(&[("__name__", "x"), ("a", "")], FindingKind::EmptyLabel).await;
    is_refused(&[("", "a"), ("__name__", "x")], FindingKind::EmptyLabel).await;
    is_refused(&[("__name__", ""), ("a", "b")], FindingKind::EmptyLabel).await;
}

#[tokio::test]
async fn missing_metric_name_is_found() {
    is_refused(&[("a", "b")], FindingKind::MissingName).await;
}

#[tokio::test]
async fn invalid_names_are_found() {
    is_refused(&[("__name__", "x"), ("a-b", "c")], FindingKind::InvalidName).await;
    is_refused(&[("0a", "c"), ("__name__", "x")], FindingKind::InvalidName).await;
    is_refused(&[("__name__", "x y")], FindingKind::InvalidName).await;
    is_refused(&[("__name__", "x"), ("a:b", "c")], FindingKind::InvalidName).await;
}

#[tokio::test]
async fn duplicate_labels_are_found() {
    is_refused(&[("__name__", "x"), ("a", "1"), ("a", "2")], FindingKind::DuplicateLabel).await;
}

#[tokio::test]
async fn duplicate_series_in_a_request_are_found() {
    let receiver = receiver();
    let series = |unix_ms| TimeSeries::of(&UP, &[(unix_ms, 1.0)]);
    assert_eq!(write(&receiver, &WriteRequest::of(vec![series(1), series(2)])).await, 204);
    assert_eq!(write(&receiver, &WriteRequest::of(vec![series(3)])).await, 204);
    let ledger = receiver.ledger();
    assert_eq!(ledger.findings().count(FindingKind::DuplicateSeries), 1, "{ledger}");
    assert_eq!(ledger.samples_total(), 3);
}

#[tokio::test]
async fn series_without_samples_are_found() {
    let receiver = receiver();
    assert_eq!(write(&receiver, &up(&[])).await, 204);
    let ledger = receiver.ledger();
    assert_eq!(ledger.findings().count(FindingKind::EmptySeries), 1, "{ledger}");
    assert_eq!(ledger.series().count(), 0);
}

#[tokio::test]
async fn out_of_order_samples_are_found_and_sorted() {
    let receiver = receiver();
    assert_eq!(write(&receiver, &up(&[(10, 1.0), (30, 3.0), (20, 2.0)])).await, 204);
    assert_eq!(write(&receiver, &up(&[(5, 0.5)])).await, 204);
    let ledger = receiver.ledger();
    assert_eq!(ledger.findings().count(FindingKind::OutOfOrder), 2, "{ledger}");
    let series = ledger.find(&UP).unwrap();
    assert_eq!(series.out_of_order(), 2);
    let samples: Vec<_> = series.samples().iter().map(|s| (s.unix_ms, s.value())).collect();
    assert_eq!(samples, [(5, 0.5), (10, 1.0), (20, 2.0), (30, 3.0)]);
}

#[tokio::test]
async fn conflicting_samples_are_found_and_the_first_one_stays() {
    let receiver = receiver();
    for value in [1.0, 2.0, -0.0, 0.0] {
        write(&receiver, &up(&[(10, value)])).await;
    }
    let ledger = receiver.ledger();
    assert_eq!(ledger.findings().count(FindingKind::Conflicting), 3, "{ledger}");
    let series = ledger.find(&UP).unwrap();
    assert_eq!(series.conflicting(), 3);
    assert_eq!(series.samples().len(), 1);
    assert_eq!(series.samples()[0].value(), 1.0);
}

#[tokio::test]
async fn zeros_of_different_sign_conflict() {
    // By hand: prost leaves a value of -0.0 out, which means 0.0.
    let request = |sign: u8| {
        let sample = [0x12, 11, 0x09, 0, 0, 0, 0, 0, 0, 0, sign, 0x10, 10];
        let labels = TimeSeries::of(&UP, &[]).encode_to_vec();
        let length = u8::try_from(labels.len() + sample.len()).unwrap();
        let message = [&[0x0a, length][..], &labels, &sample].concat();
        post("snappy", snap::raw::Encoder::new().compress_vec(&message).unwrap())
    };
    let receiver = receiver();
    for sign in [0, 0x80] {
        assert_eq!(send(&receiver, request(sign)).await.unwrap().status(), 204);
    }
    assert_eq!(receiver.ledger().findings().count(FindingKind::Conflicting), 1);
}

#[tokio::test]
async fn repeated_samples_are_counted_but_are_no_violation() {
    let receiver = receiver();
    let request = up(&[(10, 1.0), (20, f64::NAN)]);
    for _ in 0..3 {
        assert_eq!(write(&receiver, &request).await, 204);
    }
    let ledger = receiver.ledger();
    assert_eq!(ledger.repeated_total(), 4, "{ledger}");
    assert_eq!(ledger.find(&UP).unwrap().repeated(), 4);
    assert_eq!((ledger.samples_total(), ledger.findings().violations()), (2, 0), "{ledger}");
}

#[tokio::test]
async fn bad_headers_are_found() {
    let cases = [
        ("content-type", Some("text/plain"), 415),
        ("content-type", None, 400),
        ("content-encoding", Some("gzip"), 415),
        ("content-encoding", None, 400),
        ("content-type", Some("application/x-protobuf;proto=io.prometheus.write.v2.Request"), 400),
        ("x-prometheus-remote-write-version", Some("2.0.0"), 400),
        ("x-prometheus-remote-write-version", None, 400),
    ];
    for (name, value, status) in cases {
        let receiver = receiver();
        let mut request = post("snappy", snappy(&up(&[(1, 1.0)])));
        match value {
            Some(value) => {
                request.headers_mut().insert(name, value.parse().unwrap());
            }
            None => drop(request.headers_mut().remove(name)),
        }
        assert_eq!(send(&receiver, request).await.unwrap().status(), status, "{name} {value:?}");
        let ledger = receiver.ledger();
        assert_eq!(ledger.findings().count(FindingKind::BadHeader), 1, "{ledger}");
        assert_eq!(ledger.samples_total(), 0);
    }
}

#[tokio::test]
async fn header_that_occurs_twice_is_found() {
    let receiver = receiver();
    let mut request = post("snappy", snappy(&up(&[(1, 1.0)])));
    request.headers_mut().append("content-encoding", "snappy".parse().unwrap());
    assert_eq!(send(&receiver, request).await.unwrap().status(), 400);
    assert_eq!(receiver.ledger().findings().count(FindingKind::BadHeader), 1);
}

#[tokio::test]
async fn wrong_path_and_method_are_found() {
    let receiver = receiver();
    let mut request = post("snappy", snappy(&up(&[(1, 1.0)])));
    *request.uri_mut() = "/write".parse().unwrap();
    assert_eq!(send(&receiver, request).await.unwrap().status(), 404);
    let mut request = post("snappy", snappy(&up(&[(1, 1.0)])));
    *request.method_mut() = hyper::Method::PUT;
    assert_eq!(send(&receiver, request).await.unwrap().status(), 405);
    assert_eq!(receiver.ledger().findings().count(FindingKind::BadHeader), 2);
}

#[tokio::test]
async fn undecodable_bodies_are_found() {
    let good = TimeSeries::of(&UP, &[(1, 1.0)]);
    let compress = |message: &[u8]| snap::raw::Encoder::new().compress_vec(message).unwrap();
    let mut truncated = WriteRequest::of(vec![good]).encode_to_vec();
    truncated.pop();
    let invalid_text = [&[0x0a, 6, 0x0a, 4, 0x0a, 2, 0xff, 0xff][..]].concat();
    let bodies = [
        ("snappy", b"\xff\xff\xff\xff\xff\xff".to_vec()),
        ("snappy", Vec::new()),
        ("zstd", b"no zstd".to_vec()),
        ("snappy", compress(&truncated)),
        ("snappy", compress(&invalid_text)),
        ("snappy", compress(&[0x1a, 2, 0x0a, 9])),
    ];
    for (encoding, body) in bodies {
        let receiver = receiver();
        let request = post(encoding, body.clone());
        assert_eq!(send(&receiver, request).await.unwrap().status(), 400, "{body:?}");
        let ledger = receiver.ledger();
        assert_eq!(ledger.findings().count(FindingKind::Undecodable), 1, "{body:?} {ledger}");
        assert_eq!(ledger.samples_total(), 0);
    }
}

#[tokio::test]
async fn series_of_concurrent_requests_are_no_duplicates() {
    let receiver = receiver();
    receiver.faults().delay(std::time::Duration::from_millis(20));
    let (first, second) = (up(&[(1, 1.0)]), up(&[(1, 1.0)]));
    tokio::join!(write(&receiver, &first), write(&receiver, &second));
    let ledger = receiver.ledger();
    assert_eq!(ledger.findings().count(FindingKind::DuplicateSeries), 0, "{ledger}");
    assert_eq!(ledger.repeated_total(), 1);
}
