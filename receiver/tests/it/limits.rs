//! Attacks on the memory of the receiver.

use fleetgauge_receiver::wire::{MetricMetadata, TimeSeries, WriteRequest};
use fleetgauge_receiver::{Detail, FindingKind, Limits, Receiver, ReceiverSettings, SharedLedger};

use crate::client::{Client, SOON, post, receiver, send, snappy, up, write, zstd};

fn limited(limits: Limits) -> Receiver {
    Receiver::start_with(SharedLedger::new(limits), ReceiverSettings::default()).unwrap()
}

fn series(name: &str) -> TimeSeries {
    TimeSeries::of(&[("__name__", name)], &[(1, 1.0)])
}

async fn is_over_limit(receiver: &Receiver, request: &WriteRequest) {
    let before = receiver.ledger().samples_total();
    assert_eq!(write(receiver, request).await, 503);
    let ledger = receiver.ledger();
    assert_eq!(ledger.findings().count(FindingKind::OverLimit), 1, "{ledger}");
    assert_eq!(ledger.samples_total(), before);
}

#[tokio::test]
async fn flood_of_series_is_refused() {
    let receiver = limited(Limits { series: 2, ..Limits::default() });
    let known = WriteRequest::of(vec![series("a"), series("b")]);
    assert_eq!(write(&receiver, &known).await, 204);
    is_over_limit(&receiver, &WriteRequest::of(vec![series("a"), series("c")])).await;
    assert_eq!(write(&receiver, &known).await, 204);
}

#[tokio::test]
async fn flood_of_label_bytes_is_refused() {
    let receiver = limited(Limits { label_bytes: 1000, ..Limits::default() });
    assert_eq!(write(&receiver, &WriteRequest::of(vec![series(&"a".repeat(900))])).await, 204);
    is_over_limit(&receiver, &WriteRequest::of(vec![series(&"b".repeat(100))])).await;
}

#[tokio::test]
async fn flood_of_samples_is_refused() {
    let receiver = limited(Limits { samples: 3, ..Limits::default() });
    assert_eq!(write(&receiver, &up(&[(1, 1.0), (2, 1.0)])).await, 204);
    is_over_limit(&receiver, &up(&[(3, 1.0), (4, 1.0)])).await;
    assert_eq!(write(&receiver, &up(&[(3, 1.0)])).await, 204);
}

#[tokio::test]
async fn time_that_hashed_samples_cannot_have_is_refused() {
    let detail = Detail::Hashes { capacity: 0 };
    let receiver = limited(Limits { detail, ..Limits::default() });
    // In 1970.
    is_over_limit(&receiver, &up(&[(1, 1.0)])).await;
    assert!(receiver.ledger().series().next().is_none());
}

#[tokio::test]
async fn flood_of_metadata_is_refused() {
    let receiver = limited(Limits { families: 1, ..Limits::default() });
    let request = |name: &str, help: String| {
        let metric_family_name = name.to_owned();
        let metadata = MetricMetadata { metric_family_name, help, ..Default::default() };
        WriteRequest { timeseries: Vec::new(), metadata: vec![metadata] }
    };
    assert_eq!(write(&receiver, &request("a", "b".to_owned())).await, 204);
    assert_eq!(write(&receiver, &request("a", "c".to_owned())).await, 204, "known family");
    is_over_limit(&receiver, &request("d", String::new())).await;
    assert_eq!(write(&receiver, &request("a", "h".repeat(20_000))).await, 503);
    assert_eq!(receiver.ledger().metadata().len(), 1);
}

#[tokio::test]
async fn flood_of_empty_labels_is_undecodable() {
    let receiver = receiver();
    let labels = vec![("", ""); 1001];
    let request = WriteRequest::of(vec![TimeSeries::of(&labels, &[(1, 1.0)])]);
    assert_eq!(write(&receiver, &request).await, 400);
    let ledger = receiver.ledger();
    assert_eq!(ledger.findings().texts(FindingKind::Undecodable), ["too many labels"]);
}

#[tokio::test]
async fn flood_of_repeated_metadata_is_refused() {
    let receiver = limited(Limits { families: 10, ..Limits::default() });
    let request = |families| {
        let metadata = vec![MetricMetadata::default(); families];
        WriteRequest { timeseries: Vec::new(), metadata }
    };
    assert_eq!(write(&receiver, &request(10)).await, 204);
    is_over_limit(&receiver, &request(11)).await;
}

#[tokio::test]
async fn compression_bombs_are_refused() {
    let settings = ReceiverSettings { max_message: 100_000, ..ReceiverSettings::default() };
    let bomb = WriteRequest::of(vec![series(&"a".repeat(100_000))]);
    for (encoding, body) in [("snappy", snappy(&bomb)), ("zstd", zstd(&bomb))] {
        assert!(body.len() < 10_000);
        let receiver = Receiver::start(settings.clone()).unwrap();
        assert_eq!(send(&receiver, post(encoding, body)).await.unwrap().status(), 400);
        let ledger = receiver.ledger();
        let texts = ledger.findings().texts(FindingKind::Undecodable);
        assert!(texts[0].contains("100000 bytes"), "{texts:?}");
    }
}

#[tokio::test]
async fn snappy_length_that_lies_is_refused_before_allocation() {
    let receiver = receiver();
    let body = vec![0xff, 0xff, 0xff, 0xff, 0x0f, 0];
    assert_eq!(send(&receiver, post("snappy", body)).await.unwrap().status(), 400);
    assert_eq!(receiver.ledger().findings().count(FindingKind::Undecodable), 1);
}

#[tokio::test]
async fn body_above_the_bound_gets_413() {
    let settings = ReceiverSettings { max_body: 1000, ..ReceiverSettings::default() };
    let receiver = Receiver::start(settings).unwrap();
    assert_eq!(send(&receiver, post("snappy", vec![0; 1001])).await.unwrap().status(), 413);
    assert_eq!(receiver.ledger().findings().count(FindingKind::OverLimit), 1);
}

#[tokio::test]
async fn flood_of_connections_is_closed() {
    let settings = ReceiverSettings { max_connections: 1, ..ReceiverSettings::default() };
    let receiver = Receiver::start(settings).unwrap();
    let request = |time| post("snappy", snappy(&up(&[(time, 1.0)])));
    let mut first = Client::connect(receiver.address()).await.unwrap();
    assert_eq!(first.send(request(1)).await.unwrap().status(), 204);
    let mut second = Client::connect(receiver.address()).await.unwrap();
    assert!(second.send(request(2)).await.is_err());
    assert_eq!(first.send(request(3)).await.unwrap().status(), 204);
    drop(first);
    let again = async {
        loop {
            let mut third = Client::connect(receiver.address()).await.unwrap();
            if third.send(request(4)).await.is_ok() {
                break;
            }
        }
    };
    tokio::time::timeout(SOON, again).await.unwrap();
}

#[tokio::test]
async fn texts_of_findings_are_bounded() {
    let receiver = receiver();
    for _ in 0..10 {
        let bad = TimeSeries::of(&[("a", &"é".repeat(10_000))], &[(1, 1.0)]);
        write(&receiver, &WriteRequest::of(vec![bad])).await;
    }
    let ledger = receiver.ledger();
    let texts = ledger.findings().texts(FindingKind::MissingName);
    assert_eq!(ledger.findings().count(FindingKind::MissingName), 10);
    assert_eq!(texts.len(), 5);
    assert!(texts.iter().all(|text| text.len() <= 500));
}
