//! The collector's metrics of remote write. Where Prometheus's own remote write has a metric with
//! the same meaning, the name ends as it does there.

use std::borrow::Cow;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::drop_reason::DropReason;

/// Bounds of the duration of a request, in seconds.
const REQUEST_BOUNDS: [f64; 12] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RemoteLabel {
    remote_name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    remote_name: String,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabels {
    remote_name: String,
    status: String,
}

/// The metrics of all destinations.
#[derive(Debug)]
pub(crate) struct RemoteWriteMetrics {
    samples_in: Family<RemoteLabel, Counter>,
    samples: Family<RemoteLabel, Counter>,
    samples_retried: Family<RemoteLabel, Counter>,
    samples_uncertain: Family<RemoteLabel, Counter>,
    samples_dropped: Family<ReasonLabels, Counter>,
    samples_pending: Family<RemoteLabel, Gauge>,
    reports_missing: Family<RemoteLabel, Counter>,
    stale_markers: Family<RemoteLabel, Counter>,
    stale_markers_superseded: Family<RemoteLabel, Counter>,
    stale_markers_dropped: Family<RemoteLabel, Counter>,
    metadata: Family<RemoteLabel, Counter>,
    bytes: Family<RemoteLabel, Counter>,
    requests: Family<StatusLabels, Counter>,
    highest_sent: Family<RemoteLabel, Gauge<f64, AtomicU64>>,
    lag: Family<RemoteLabel, Gauge<f64, AtomicU64>>,
    clock_offset: Family<RemoteLabel, Gauge<f64, AtomicU64>>,
    batch_seconds: Family<RemoteLabel, Histogram, fn() -> Histogram>,
}

/// The metrics of one destination.
#[derive(Debug)]
pub(crate) struct DestinationMetrics {
    name: String,
    /// Samples of reports that were to be forwarded.
    pub(super) samples_in: Counter,
    /// Samples that the engine has accepted, stale markers not included.
    pub(super) samples: Counter,
    /// Samples that were sent again after a failed request.
    pub(super) samples_retried: Counter,
    /// Samples that the engine has refused and may have, from a request without an answer.
    pub(super) samples_uncertain: Counter,
    /// Series with a sample in the queues.
    pub(super) samples_pending: Gauge,
    /// Reports that agents no longer had in their logs when the collector asked for them.
    pub(super) reports_missing: Counter,
    /// Stale markers that the engine has accepted.
    pub(super) stale_markers: Counter,
    /// Stale markers that the engine has refused, because the series has newer samples.
    pub(super) stale_markers_superseded: Counter,
    /// Stale markers that were not sent. The series end some minutes later by themselves.
    pub(super) stale_markers_dropped: Counter,
    /// Families whose metadata was sent.
    pub(super) metadata: Counter,
    /// Bytes of accepted requests, compressed.
    pub(super) bytes: Counter,
    /// Time of the newest accepted sample, in unix seconds.
    pub(super) highest_sent: Gauge<f64, AtomicU64>,
    /// Age of the oldest sample that is queued or being sent, in seconds; 0 without one.
    pub(super) lag: Gauge<f64, AtomicU64>,
    /// The engine's time of day less the collector's, in seconds, from its answers.
    pub(super) clock_offset: Gauge<f64, AtomicU64>,
    /// Seconds from the first byte of a request to the end of its answer.
    pub(super) batch_seconds: Histogram,
    dropped: Family<ReasonLabels, Counter>,
    requests: Family<StatusLabels, Counter>,
}

impl RemoteWriteMetrics {
    /// Creates the metrics and registers them.
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            samples_in: Family::default(),
            samples: Family::default(),
            samples_retried: Family::default(),
            samples_uncertain: Family::default(),
            samples_dropped: Family::default(),
            samples_pending: Family::default(),
            reports_missing: Family::default(),
            stale_markers: Family::default(),
            stale_markers_superseded: Family::default(),
            stale_markers_dropped: Family::default(),
            metadata: Family::default(),
            bytes: Family::default(),
            requests: Family::default(),
            highest_sent: Family::default(),
            lag: Family::default(),
            clock_offset: Family::default(),
            batch_seconds: Family::new_with_constructor(|| Histogram::new(REQUEST_BOUNDS)),
        };
        metrics.register(registry);
        metrics
    }

    fn register(&self, to: &mut Registry) {
        let to = to.sub_registry_with_prefix("fleetgauge_remote_write");
        to.register("samples_in", "Samples of reports to forward", self.samples_in.clone());
        to.register("samples", "Samples that the engine has accepted", self.samples.clone());
        to.register(
            "samples_retried",
            "Samples sent again after a failed request",
            self.samples_retried.clone(),
        );
        to.register(
            "samples_uncertain",
            "Samples refused as older than others, of a request that the engine may have stored",
            self.samples_uncertain.clone(),
        );
        to.register(
            "samples_dropped",
            "Samples that were not forwarded, by reason",
            self.samples_dropped.clone(),
        );
        to.register(
            "samples_pending",
            "Samples in the queues of the collector; a histogram counts as one",
            self.samples_pending.clone(),
        );
        to.register(
            "reports_missing",
            "Reports that were not forwarded, because agents no longer had them in their logs",
            self.reports_missing.clone(),
        );
        to.register(
            "stale_markers",
            "Stale markers that the engine has accepted",
            self.stale_markers.clone(),
        );
        to.register(
            "stale_markers_superseded",
            "Stale markers that the engine has refused, as for series that have newer samples",
            self.stale_markers_superseded.clone(),
        );
        to.register(
            "stale_markers_dropped",
            "Stale markers that were not sent: the queues were full, or the collector stopped",
            self.stale_markers_dropped.clone(),
        );
        to.register("metadata", "Metric families whose metadata was sent", self.metadata.clone());
        to.register_with_unit(
            "sent",
            "Bytes of the requests that the engine has accepted, compressed",
            Unit::Bytes,
            self.bytes.clone(),
        );
        to.register(
            "requests",
            "Requests by HTTP status, or by why there was no answer",
            self.requests.clone(),
        );
        to.register_with_unit(
            "queue_highest_sent_timestamp",
            "Time of the newest sample that the engine has accepted",
            Unit::Seconds,
            self.highest_sent.clone(),
        );
        to.register_with_unit(
            "lag",
            "Age of the oldest sample that is queued or being sent; 0 without one",
            Unit::Seconds,
            self.lag.clone(),
        );
        to.register_with_unit(
            "clock_offset",
            "Time of day of the engine less that of the collector, from the header Date",
            Unit::Seconds,
            self.clock_offset.clone(),
        );
        to.register_with_unit(
            "sent_batch_duration",
            "Time from the start of a request to its answer",
            Unit::Seconds,
            self.batch_seconds.clone(),
        );
    }

    /// Returns the metrics of a destination. Every known reason starts at zero.
    pub(super) fn of(&self, name: &str) -> DestinationMetrics {
        let label = RemoteLabel { remote_name: name.to_owned() };
        let metrics = DestinationMetrics {
            name: name.to_owned(),
            samples_in: self.samples_in.get_or_create_owned(&label),
            samples: self.samples.get_or_create_owned(&label),
            samples_retried: self.samples_retried.get_or_create_owned(&label),
            samples_uncertain: self.samples_uncertain.get_or_create_owned(&label),
            samples_pending: self.samples_pending.get_or_create_owned(&label),
            reports_missing: self.reports_missing.get_or_create_owned(&label),
            stale_markers: self.stale_markers.get_or_create_owned(&label),
            stale_markers_superseded: self.stale_markers_superseded.get_or_create_owned(&label),
            stale_markers_dropped: self.stale_markers_dropped.get_or_create_owned(&label),
            metadata: self.metadata.get_or_create_owned(&label),
            bytes: self.bytes.get_or_create_owned(&label),
            highest_sent: self.highest_sent.get_or_create_owned(&label),
            lag: self.lag.get_or_create_owned(&label),
            clock_offset: self.clock_offset.get_or_create_owned(&label),
            batch_seconds: self.batch_seconds.get_or_create_owned(&label),
            dropped: self.samples_dropped.clone(),
            requests: self.requests.clone(),
        };
        for reason in DropReason::ALL {
            metrics.dropped(reason, 0);
        }
        metrics
    }
}

impl DestinationMetrics {
    /// Counts samples that are not forwarded.
    pub(super) fn dropped(&self, reason: DropReason, samples: usize) {
        let labels = ReasonLabels { remote_name: self.name.clone(), reason: reason.reason() };
        self.dropped.get_or_create(&labels).inc_by(samples as u64);
    }

    /// Returns the number of samples that were dropped for this reason.
    #[cfg(test)]
    pub(super) fn dropped_for(&self, reason: DropReason) -> u64 {
        let labels = ReasonLabels { remote_name: self.name.clone(), reason: reason.reason() };
        self.dropped.get_or_create(&labels).get()
    }

    /// Counts a request by its HTTP status, or by why there was no answer.
    pub(super) fn request(&self, status: Cow<'static, str>) {
        let labels = StatusLabels { remote_name: self.name.clone(), status: status.into_owned() };
        self.requests.get_or_create(&labels).inc();
    }
}
