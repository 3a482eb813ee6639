//! Refusals of an engine that works.

use fleetgauge_receiver::FindingKind;
use fleetgauge_receiver::wire::{TimeSeries, WriteRequest};

use crate::client::{UP, post, receiver, send, snappy, text, up, write, zstd};

const OTHER: [(&str, &str); 2] = [("__name__", "up"), ("agent", "b")];

#[tokio::test]
async fn poison_rolls_the_whole_request_back() {
    let receiver = receiver();
    receiver.faults().poison(400, |labels| labels.get("agent") == Some("b"));
    let series = |labels, time| TimeSeries::of(labels, &[(time, 1.0)]);
    let both = WriteRequest::of(vec![series(&UP, 1), series(&OTHER, 1)]);
    let answer = send(&receiver, post("snappy", snappy(&both))).await.unwrap();
    assert_eq!(answer.status(), 400);
    assert!(text(answer).await.contains(r#"agent="b""#), "the answer names the series");
    assert_eq!(receiver.ledger().samples_total(), 0);
    assert_eq!(write(&receiver, &WriteRequest::of(vec![series(&UP, 1)])).await, 204);
    receiver.faults().poison(409, |_| true);
    assert_eq!(write(&receiver, &both).await, 409);
    receiver.faults().clear();
    assert_eq!(write(&receiver, &both).await, 204);
    assert_eq!(receiver.ledger().findings().violations(), 0);
}

#[tokio::test]
async fn in_order_only_refuses_older_samples_and_stores_nothing() {
    for status in [400, 409] {
        let receiver = receiver();
        receiver.faults().in_order_only(status);
        assert_eq!(write(&receiver, &up(&[(10, 1.0), (20, 2.0)])).await, 204);
        let other = TimeSeries::of(&OTHER, &[(30, 3.0)]);
        for (time, value) in [(15, 1.0), (10, 1.0), (20, 2.5)] {
            let bad = TimeSeries::of(&UP, &[(time, value)]);
            let request = WriteRequest::of(vec![other.clone(), bad]);
            assert_eq!(write(&receiver, &request).await, status, "{time} {value}");
        }
        assert!(receiver.ledger().find(&OTHER).is_none(), "the other series is rolled back");
        assert_eq!(write(&receiver, &up(&[(20, 2.0), (21, 3.0)])).await, 204, "repeat of newest");
        let ledger = receiver.ledger();
        assert_eq!(ledger.findings().count(FindingKind::OrderRefused), 3, "{ledger}");
        assert_eq!((ledger.samples_total(), ledger.repeated_total()), (3, 1), "{ledger}");
        assert_eq!(ledger.findings().violations(), 0, "{ledger}");
    }
}

#[tokio::test]
async fn in_order_only_sees_disorder_within_a_request() {
    let receiver = receiver();
    receiver.faults().in_order_only(400);
    assert_eq!(write(&receiver, &up(&[(20, 1.0), (10, 1.0)])).await, 400);
    let series = |time| TimeSeries::of(&UP, &[(time, 1.0)]);
    assert_eq!(write(&receiver, &WriteRequest::of(vec![series(20), series(10)])).await, 400);
    assert_eq!(receiver.ledger().samples_total(), 0);
    receiver.faults().clear();
    assert_eq!(write(&receiver, &up(&[(20, 1.0), (10, 1.0)])).await, 204);
}

#[tokio::test]
async fn bodies_above_the_limit_get_413() {
    let receiver = receiver();
    let body = snappy(&up(&[(1, 1.0)]));
    receiver.faults().too_large(body.len() - 1);
    let answer = send(&receiver, post("snappy", body.clone())).await.unwrap();
    assert_eq!(answer.status(), 413);
    assert_eq!(receiver.ledger().samples_total(), 0);
    receiver.faults().too_large(body.len());
    assert_eq!(send(&receiver, post("snappy", body)).await.unwrap().status(), 204);
    assert_eq!(receiver.ledger().findings().violations(), 0);
}

#[tokio::test]
async fn engine_without_zstd_takes_snappy() {
    for status in [400, 415] {
        let receiver = receiver();
        receiver.faults().no_zstd(status);
        let body = zstd(&up(&[(1, 1.0)]));
        assert_eq!(send(&receiver, post("zstd", body)).await.unwrap().status(), status);
        assert_eq!(receiver.ledger().samples_total(), 0);
        assert_eq!(write(&receiver, &up(&[(1, 1.0)])).await, 204);
        assert_eq!(receiver.ledger().findings().violations(), 0);
    }
}
