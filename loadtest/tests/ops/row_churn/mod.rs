//! A host whose disks, mounts and network devices appear and disappear, under a real Prometheus.
//!
//! The host takes steps. In each, some rows of its tables appear and some disappear, and all values
//! tell the number of the step. After the scrape of a step, Prometheus must have exactly the series
//! of its rows: those of removed rows have ended. In the end, its history must have samples of
//! every series from exactly the steps in which its row existed.

mod host;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::http;
use super::programs::{Collector, wait_for};
use super::prometheus::{Prometheus, shipped};
use super::reporter::Reporter;
use host::{AGENT, Host, STEP_METRIC, Series, step_of};

/// Sets the length of the test in seconds: 600 for the long run in `docs/testing.md`.
const LENGTH: &str = "ROW_CHURN_SECONDS";
/// Length of the test otherwise.
const DEFAULT_LENGTH: Duration = Duration::from_secs(60);
/// Interval between two reports of a step that Prometheus has not scraped yet.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// The steps in which each series existed.
type Steps = BTreeMap<Series, BTreeSet<u64>>;

#[test]
#[ignore = "needs prometheus"]
fn series_appear_and_end_exactly_with_their_rows() {
    let length = std::env::var(LENGTH)
        .map_or(DEFAULT_LENGTH, |seconds| Duration::from_secs(seconds.parse().unwrap()));
    let collector = Collector::start(&[]);
    let mut host = Host::new();
    let mut reporter = Reporter::connect(host.profile(), &collector.agents);
    let prometheus = Prometheus::with(&shipped(&collector.http));
    let begun = Instant::now();
    let mut expected = Steps::new();
    while begun.elapsed() < length {
        host.step();
        let series = host.series();
        report_until_scraped(&host, &mut reporter, &prometheus);
        let found: BTreeMap<_, _> = prometheus
            .query(&format!("{{__name__=~\"churn_.*\", agent=\"{AGENT}\"}}"))
            .into_iter()
            .map(|(labels, value)| (own_labels(labels), value))
            .collect();
        assert_eq!(found, series, "after the scrape of step {}", host.number());
        for series in series.into_keys() {
            expected.entry(series).or_default().insert(host.number());
        }
    }
    assert_history(&prometheus, &expected, host.number());
}

/// Reports the step until Prometheus has it.
fn report_until_scraped(host: &Host, reporter: &mut Reporter, prometheus: &Prometheus) {
    reporter.report(&host.sample());
    let mut reported = Instant::now();
    let query = format!("{STEP_METRIC}{{agent=\"{AGENT}\"}} == {}", host.number());
    wait_for("a scrape of the step", 30, || {
        if reported.elapsed() >= REPORT_INTERVAL {
            reporter.report(&host.sample());
            reported = Instant::now();
        }
        (!prometheus.query(&query).is_empty()).then_some(())
    });
}

/// Checks all samples that Prometheus has stored. Every step was scraped.
fn assert_history(prometheus: &Prometheus, expected: &Steps, steps: u64) {
    assert!(steps >= 10, "only {steps} steps: no test of churn");
    let query = http::escape(&format!("{{__name__=~\"churn_.*\", agent=\"{AGENT}\"}}[1d]"));
    let answer = prometheus.get(&format!("/api/v1/query?query={query}"));
    let mut found = Steps::new();
    for series in answer["data"]["result"].as_array().unwrap() {
        let labels = series["metric"].as_object().unwrap();
        let label = |(name, value): (&String, &serde_json::Value)| {
            (name.clone(), value.as_str().unwrap().to_owned())
        };
        let series_of = own_labels(labels.iter().map(label).collect());
        let values = series["values"].as_array().unwrap();
        let step = |value: &serde_json::Value| {
            step_of(&series_of, value[1].as_str().unwrap().parse().unwrap())
        };
        found.insert(series_of.clone(), values.iter().map(step).collect());
    }
    let ended = expected.values().filter(|steps_of| steps_of.len() < steps as usize).count();
    assert!(ended * 2 > expected.len(), "{ended} of {} series ended", expected.len());
    assert_eq!(&found, expected);
}

/// Removes the labels that are the same on all series.
fn own_labels(mut labels: Series) -> Series {
    for label in ["agent", "instance", "job"] {
        assert!(labels.remove(label).is_some(), "{labels:?} lacks {label}");
    }
    labels
}
