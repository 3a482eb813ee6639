//! Requests of the collector, committed as files: of an agent with metrics of every kind, of its
//! stale markers, and of its metadata.
//!
//! To write the files anew after a change of the encoding, set `WRITE_GOLDEN_REQUESTS`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use fleetgauge_receiver::wire::WriteRequest;
use fleetgauge_receiver::{STALE_MARKER, wire};
use prost::Message;

use super::super::every_kind;
use super::super::programs::{repository, wait_for};
use super::engine::{Engine, Kind, VISIBLE};
use super::post::{post, serve};
use super::{Forwarding, Labels};

/// If set, the files are written instead of compared.
const WRITE: &str = "WRITE_GOLDEN_REQUESTS";
const NAMES: [&str; 3] = ["samples", "markers", "metadata"];

fn path(name: &str) -> PathBuf {
    repository("loadtest/tests/ops/remote_write/requests").join(format!("{name}.snappy"))
}

fn decode(body: &[u8]) -> WriteRequest {
    let body = snap::raw::Decoder::new().decompress_vec(body).unwrap();
    WriteRequest::decode(&*body).unwrap()
}

/// Returns the body of a committed request.
fn committed(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).unwrap()
}

/// Runs a collector and an agent that reports once and ends. Returns the bodies of its requests.
fn recorded() -> BTreeMap<&'static str, Vec<u8>> {
    let requests = Arc::new(Mutex::new(BTreeMap::new()));
    let recorder = Arc::clone(&requests);
    let engine = serve(move |request| {
        assert_eq!(request.encoding, "snappy");
        let mut requests = recorder.lock().unwrap();
        requests.entry(name_of(&decode(&request.body))).or_insert_with(|| request.body.clone());
        204
    });
    let collector = Forwarding::to(&format!("http://{engine}/"), "compression = \"snappy\"\n");
    let agent = every_kind::report_to(&collector.agents);
    let has = |name| requests.lock().unwrap().contains_key(name);
    wait_for("samples and metadata", 60, || (has("samples") && has("metadata")).then_some(()));
    drop(agent);
    wait_for("stale markers", 60, || has("markers").then_some(()));
    let requests = requests.lock().unwrap();
    requests.clone()
}

fn name_of(request: &WriteRequest) -> &'static str {
    let samples = || request.timeseries.iter().flat_map(|series| &series.samples);
    if samples().next().is_none() {
        "metadata"
    } else if samples().all(|sample| sample.value.to_bits() == STALE_MARKER) {
        "markers"
    } else {
        "samples"
    }
}

/// Returns a request without its times, which differ in each run. As bytes, because the NaN of a
/// stale marker is not equal to itself.
fn without_times(body: &[u8]) -> Vec<u8> {
    let mut request = decode(body);
    for sample in request.timeseries.iter_mut().flat_map(|series| &mut series.samples) {
        sample.timestamp = 0;
    }
    request.encode_to_vec()
}

#[test]
#[ignore = "needs the collector's program"]
fn requests_are_as_committed() {
    for (name, body) in recorded() {
        if std::env::var_os(WRITE).is_some() {
            std::fs::write(path(name), &body).unwrap();
        }
        let same = without_times(&body) == without_times(&committed(name));
        assert!(same, "{name} differs: {:#?}", decode(&body));
    }
}

/// Labels are sorted, none is empty, and a series is in a request once.
#[test]
fn committed_requests_keep_the_rules_of_the_protocol() {
    for name in NAMES {
        let request = decode(&committed(name));
        assert_eq!(name_of(&request), name);
        let mut seen = Vec::new();
        for series in &request.timeseries {
            let names: Vec<_> = series.labels.iter().map(|label| &label.name).collect();
            assert!(names.is_sorted_by(|one, next| one < next), "{names:?}");
            assert!(series.labels.iter().all(|label| !label.value.is_empty()), "{series:?}");
            assert!(!seen.contains(&&series.labels), "twice: {series:?}");
            seen.push(&series.labels);
        }
        assert!(seen.len() > 15 || !request.metadata.is_empty(), "{name}: {} series", seen.len());
    }
}

#[test]
#[ignore = "needs prometheus"]
fn prometheus_accepts_the_committed_requests() {
    accepts_committed_requests(Kind::Prometheus(""));
}

#[test]
#[ignore = "needs victoria-metrics"]
fn victoria_metrics_accepts_the_committed_requests() {
    accepts_committed_requests(Kind::VictoriaMetrics);
}

/// Posts the requests, and checks that the engine has their samples until the stale markers.
fn accepts_committed_requests(kind: Kind) {
    let engine = Engine::start(kind);
    // Twice, as after a lost answer: the samples must not count twice.
    for name in NAMES.iter().flat_map(|name| [name; 2]) {
        let status = post(engine.address(), engine.path(), &committed(name)).unwrap();
        assert!((200..=299).contains(&status), "{name}: {status}");
    }
    let samples = decode(&committed("samples"));
    let sampled_ms = samples.timeseries[0].samples[0].timestamp;
    let expected: BTreeMap<_, _> = samples.timeseries.iter().map(expected).collect();
    let all = "{agent=~\".+\"}";
    let found = wait_for("all samples", VISIBLE.as_secs(), || {
        let found = engine.samples(all, sampled_ms + 60_000);
        (found.len() == expected.len()).then_some(found)
    });
    assert_eq!(found, expected);
    let values = |history: super::host::History| -> Vec<_> {
        history.into_iter().map(|(labels, samples)| (labels, samples[0].1)).collect()
    };
    let expected = values(expected);
    assert_eq!(values(engine.at(all, sampled_ms)), expected);
    assert_eq!(engine.at(all, sampled_ms + 1_000).len(), 0, "stale markers have no effect");
}

/// Labels and the sample that the engine must have.
fn expected(series: &wire::TimeSeries) -> (Labels, Vec<(i64, f64)>) {
    let label = |label: &wire::Label| (label.name.clone(), label.value.clone());
    let sample = |sample: &wire::Sample| (sample.timestamp, sample.value);
    (series.labels.iter().map(label).collect(), series.samples.iter().map(sample).collect())
}
