//! Queries of the ledger.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fleetgauge_receiver::wire::{MetricMetadata, TimeSeries, WriteRequest};
use fleetgauge_receiver::{Detail, FindingKind, Limits, Receiver, ReceiverSettings, SharedLedger};

use crate::client::{MOMENT, SOON, UP, post, receiver, send, snappy, stale, up, write, zstd};

#[tokio::test]
async fn snappy_and_zstd_fill_the_same_series() {
    let receiver = receiver();
    let (first, second) = (snappy(&up(&[(1, 1.0)])), zstd(&up(&[(2, 2.0)])));
    let bytes = u64::try_from(first.len() + second.len()).unwrap();
    assert_eq!(send(&receiver, post("snappy", first)).await.unwrap().status(), 204);
    assert_eq!(send(&receiver, post("zstd", second)).await.unwrap().status(), 204);
    let ledger = receiver.ledger();
    assert_eq!(ledger.find(&UP).unwrap().samples().len(), 2);
    assert_eq!((ledger.requests_total(), ledger.stored_requests_total()), (2, 2));
    assert_eq!((ledger.bytes_total(), ledger.answers(204)), (bytes, 2));
    assert_eq!((ledger.connections_total(), ledger.findings().violations()), (2, 0));
}

#[tokio::test]
async fn series_have_labels_and_samples() {
    let receiver = receiver();
    let series = |agent| {
        TimeSeries::of(&[("__name__", "load"), ("agent", agent)], &[(1, 1.0), (2, f64::MAX)])
    };
    write(&receiver, &WriteRequest::of(vec![series("web-1"), series("web-2")])).await;
    let ledger = receiver.ledger();
    let agents: Vec<_> = ledger.series().map(|own| own.labels().get("agent").unwrap()).collect();
    assert_eq!(agents, ["web-1", "web-2"]);
    let labels = ledger.series().next().unwrap().labels();
    assert_eq!((labels.metric(), labels.get("dc")), ("load", None));
    assert_eq!(labels.to_string(), r#"{__name__="load",agent="web-1"}"#);
    assert!(ledger.find(&[("agent", "web-2"), ("__name__", "load")]).is_some(), "any order");
    assert!(ledger.find(&[("agent", "web-3"), ("__name__", "load")]).is_none());
    assert_eq!(ledger.samples_total(), 4);
}

#[tokio::test]
async fn hashes_of_values_find_repeats_conflicts_and_disorder() {
    let limits = Limits { detail: Detail::Hashes { capacity: 1 }, ..Limits::default() };
    let settings = ReceiverSettings::default();
    let receiver = Receiver::start_with(SharedLedger::new(limits), settings).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let now = i64::try_from(now).unwrap();
    let samples = [(now, 1.0), (now + 1, stale()), (now - 3_600_000, 3.0), (now, 1.0), (now, 1.5)];
    for sample in samples {
        assert_eq!(write(&receiver, &up(&[sample])).await, 204);
    }
    let ledger = receiver.ledger();
    let series = ledger.find(&UP).unwrap();
    assert_eq!((series.samples(), series.is_live()), (&[][..], false));
    assert_eq!((ledger.samples_total(), series.newest_unix_ms()), (3, Some(now + 1)));
    assert_eq!((series.repeated(), series.conflicting(), series.out_of_order()), (1, 1, 1));
    assert_eq!(ledger.findings().count(FindingKind::Repeated), 1);
    let kept: Vec<_> = series.hashed_samples().unwrap().collect();
    assert_eq!(kept.iter().map(|kept| kept.unix_ms - now).collect::<Vec<_>>(), [-3_600_000, 0, 1]);
    assert!(kept[0].has_bits(3_f64.to_bits()) && kept[1].has_bits(1_f64.to_bits()));
    assert!(kept[2].is_stale_marker() && !kept[1].has_bits(1.5_f64.to_bits()));
}

#[tokio::test]
async fn many_samples_of_many_series_are_all_kept() {
    let receiver = receiver();
    let names: Vec<_> = (0..100).map(|index| format!("m{index}")).collect();
    for request in 0..20 {
        let sample = |i: i32| (i64::from(request * 10 + i), f64::from(i));
        let samples: Vec<_> = (0..10).map(sample).collect();
        let series = names.iter().map(|name| TimeSeries::of(&[("__name__", name)], &samples));
        assert_eq!(write(&receiver, &WriteRequest::of(series.collect())).await, 204);
    }
    let ledger = receiver.ledger();
    assert_eq!((ledger.samples_total(), ledger.series().count()), (20_000, 100));
    for series in ledger.series() {
        let times = series.samples().iter().map(|sample| sample.unix_ms);
        assert!(times.eq(0..200), "{}", series.labels());
    }
    assert_eq!(ledger.findings().violations(), 0, "{ledger}");
}

#[tokio::test]
async fn stale_marker_ends_a_series_and_its_arrival_is_known() {
    let receiver = receiver();
    let before = Instant::now();
    write(&receiver, &up(&[(10, 1.0)])).await;
    assert!(receiver.ledger().is_live(&UP));
    assert_eq!(receiver.ledger().find(&UP).unwrap().marker_arrival(), None);
    let between = Instant::now();
    write(&receiver, &up(&[(11, stale())])).await;
    {
        let ledger = receiver.ledger();
        let series = ledger.find(&UP).unwrap();
        assert!(!series.is_live());
        let arrival = series.marker_arrival().unwrap();
        assert!(between <= arrival && arrival <= Instant::now());
        assert_eq!(series.last_arrival(), arrival);
        assert_eq!(ledger.markers_total(), 1);
    }
    write(&receiver, &up(&[(12, 1.0)])).await;
    let ledger = receiver.ledger();
    let series = ledger.find(&UP).unwrap();
    assert!(series.is_live());
    assert!(before < series.last_arrival());
    assert!(series.marker_arrival().unwrap() < series.last_arrival());
}

#[tokio::test]
async fn late_older_sample_does_not_revive_a_series() {
    let receiver = receiver();
    write(&receiver, &up(&[(10, stale())])).await;
    write(&receiver, &up(&[(9, 1.0)])).await;
    assert!(!receiver.ledger().is_live(&UP));
    assert!(!receiver.ledger().is_live(&[("__name__", "unknown")]));
}

#[tokio::test]
async fn other_nans_are_no_stale_markers() {
    let receiver = receiver();
    write(&receiver, &up(&[(10, f64::NAN)])).await;
    assert!(receiver.ledger().is_live(&UP));
    assert_eq!(receiver.ledger().markers_total(), 0);
}

#[tokio::test]
async fn requests_with_markers_and_samples_are_counted_as_mixed() {
    let receiver = receiver();
    for samples in [&[(1, 1.0)][..], &[(2, stale())], &[(3, 1.0), (4, stale())]] {
        write(&receiver, &up(samples)).await;
    }
    assert_eq!(receiver.ledger().mixed_requests_total(), 1);
}

#[tokio::test]
async fn newest_metadata_of_a_family_is_kept() {
    let receiver = receiver();
    for help in ["old", "new"] {
        let metadata = MetricMetadata {
            kind: 2,
            metric_family_name: "load".to_owned(),
            help: help.to_owned(),
            unit: "bytes".to_owned(),
        };
        let request = WriteRequest { timeseries: Vec::new(), metadata: vec![metadata] };
        assert_eq!(write(&receiver, &request).await, 204);
    }
    let ledger = receiver.ledger();
    assert_eq!(ledger.metadata().len(), 1);
    let metadata = &ledger.metadata()["load"];
    assert_eq!((metadata.kind, metadata.help.as_str()), (2, "new"));
    assert_eq!(metadata.unit, "bytes");
}

#[tokio::test]
async fn wait_until_is_woken_by_a_request() {
    let receiver = receiver();
    let ledger = receiver.shared_ledger();
    let waiting =
        tokio::spawn(
            async move { ledger.wait_until(SOON, |ledger| ledger.samples_total() == 2).await },
        );
    write(&receiver, &up(&[(1, 1.0)])).await;
    write(&receiver, &up(&[(2, 1.0)])).await;
    waiting.await.unwrap().unwrap();
}

#[tokio::test]
async fn wait_until_that_fails_shows_the_ledger() {
    let receiver = receiver();
    write(&receiver, &up(&[(1, 1.0)])).await;
    let failed = receiver.wait_until(MOMENT, |ledger| ledger.samples_total() == 2).await;
    let text = failed.unwrap_err().to_string();
    assert!(text.contains("1 series"), "{text}");
    receiver.wait_until(Duration::ZERO, |ledger| ledger.samples_total() == 1).await.unwrap();
}

#[tokio::test]
async fn ledger_outlives_its_receiver() {
    let first = receiver();
    write(&first, &up(&[(1, 1.0)])).await;
    let ledger = first.shared_ledger();
    drop(first);
    let second = Receiver::start_with(ledger, ReceiverSettings::default()).unwrap();
    write(&second, &up(&[(2, 1.0)])).await;
    assert_eq!(second.ledger().find(&UP).unwrap().samples().len(), 2);
}
