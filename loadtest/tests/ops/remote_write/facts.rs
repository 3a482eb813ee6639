//! Answers of real engines on which the collector and its documentation rely.

use std::time::{SystemTime, UNIX_EPOCH};

use fleetgauge_receiver::STALE_MARKER;
use fleetgauge_receiver::wire::{TimeSeries, WriteRequest};
use prost::Message;

use super::engine::{Engine, Kind, OUT_OF_ORDER};
use super::post::{post, post_as};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// An engine that gets samples of one series.
struct Series {
    engine: Engine,
    /// A time some seconds ago, in unix milliseconds.
    base_ms: i64,
}

impl Series {
    fn start(kind: Kind) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let base_ms = i64::try_from(now.as_millis()).unwrap() - 10_000;
        Self { engine: Engine::start(kind), base_ms }
    }

    /// Sends samples with these times after the base, and values. Returns the HTTP status.
    fn send(&self, samples: &[(i64, f64)]) -> u16 {
        let samples: Vec<_> =
            samples.iter().map(|(offset, value)| (self.base_ms + offset, *value)).collect();
        let series = TimeSeries::of(&[("__name__", "x"), ("agent", "a")], &samples);
        let request = WriteRequest::of(vec![series]).encode_to_vec();
        let body = snap::raw::Encoder::new().compress_vec(&request).unwrap();
        post(self.engine.address(), self.engine.path(), &body).unwrap()
    }
}

fn stale() -> f64 {
    f64::from_bits(STALE_MARKER)
}

#[test]
#[ignore = "needs prometheus"]
fn prometheus_without_a_window_accepts_only_what_is_newer_or_identical() {
    let series = Series::start(Kind::Prometheus(""));
    assert_eq!(series.send(&[(0, 1.0), (1_000, 2.0)]), 204);
    assert_eq!(series.send(&[(1_000, 2.0)]), 204, "the newest sample again");
    assert_eq!(series.send(&[(0, 1.0)]), 400, "an older sample again");
    assert_eq!(series.send(&[(0, 1.0), (1_000, 2.0)]), 400, "the whole request again");
    assert_eq!(series.send(&[(1_000, stale())]), 400, "a marker at the time of the sample");
    assert_eq!(series.send(&[(-2 * HOUR_MS, 1.0)]), 400, "an old sample");
    assert_eq!(series.send(&[(1_001, stale())]), 204, "a marker after the sample");
    assert!(series.engine.now("x").is_empty());
}

/// What is older than the window must not be sent again for ever: 2.42 answers as if it had failed.
#[test]
#[ignore = "needs prometheus"]
fn prometheus_with_a_window_accepts_what_is_in_it() {
    let series = Series::start(Kind::Prometheus(OUT_OF_ORDER));
    assert_eq!(series.send(&[(0, 1.0)]), 204);
    assert_eq!(series.send(&[(-5 * MINUTE_MS, 2.0), (-4 * MINUTE_MS, 3.0)]), 204);
    assert_eq!(series.send(&[(-5 * MINUTE_MS, 2.0), (-4 * MINUTE_MS, 3.0)]), 204, "again");
    let status = series.send(&[(-2 * HOUR_MS, 1.0)]);
    println!("older than the window: {status}");
    assert!([400, 500].contains(&status), "{status}");
    let samples = series.engine.samples("x", series.base_ms + 1);
    assert_eq!(samples.values().next().unwrap().len(), 3, "{samples:?}");
}

#[test]
#[ignore = "needs victoria-metrics"]
fn victoria_metrics_accepts_any_order_and_drops_repeats() {
    let series = Series::start(Kind::VictoriaMetrics);
    for _ in 0..2 {
        assert_eq!(series.send(&[(0, 1.0), (1_000, 2.0)]), 204);
        assert_eq!(series.send(&[(-5 * MINUTE_MS, 3.0)]), 204);
    }
    let find = || {
        let samples = series.engine.samples("x", series.base_ms + 1_000);
        samples.values().next().map(Vec::len).filter(|count| *count >= 3)
    };
    let count = super::wait_for("all samples", super::engine::VISIBLE.as_secs(), find);
    assert_eq!(count, 3);
}

#[test]
#[ignore = "needs prometheus"]
fn prometheus_answers_400_to_zstd() {
    answers_400_to_zstd(Kind::Prometheus(""));
}

#[test]
#[ignore = "needs victoria-metrics"]
fn victoria_metrics_answers_400_to_zstd() {
    answers_400_to_zstd(Kind::VictoriaMetrics);
}

fn answers_400_to_zstd(kind: Kind) {
    let engine = Engine::start(kind);
    // The magic number of zstd; what follows is not read by an engine that knows only snappy.
    let body = [0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x00, 0x01, 0x00, 0x00];
    assert_eq!(post_as(engine.address(), engine.path(), &body, "zstd").unwrap(), 400);
}
