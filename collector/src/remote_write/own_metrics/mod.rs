//! Forwards the collector's own metrics, those of `/metrics/self`, to a destination.
//!
//! They are not durable: while the engine is away, those of some minutes are queued in memory.

mod snapshot;

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fleetgauge_proto::catalog::Family;
use prometheus_client::registry::Registry as MetricsRegistry;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::answer::{Answer, Next};
use super::backoff::Backoff;
use super::client::Client;
use super::compression::Compressor;
use super::destination::Destination;
use super::drop_reason::DropReason;
use super::encode::{FamilyMetadata, LabeledEncoder, STALE, SeriesLabels};
use super::metadata::type_number;
use crate::clock::millis;
use crate::config::Config;
use crate::state::CollectorState;
use snapshot::{Page, Snapshot};

/// Interval of samples: that of a usual scrape.
const INTERVAL: Duration = Duration::from_secs(15);
/// Maximum duration of a request, so that the next sample is not late by much.
const MAX_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum queued requests: those of five minutes. One has some hundred series, of 100 bytes each.
const MAX_QUEUED: usize = 20;
/// Time between a stale marker and the sample before it, in milliseconds.
const MARKER_DELAY_MS: i64 = 1;
/// Minimum time between two samples, in milliseconds: a stale marker fits in between.
const MIN_STEP_MS: i64 = 2;

/// Returns the families of the collector's own metrics.
pub(super) fn families(metrics: &MetricsRegistry) -> Vec<Family> {
    snapshot::page(metrics).map(|page| Page::parse(&page).families).unwrap_or_default()
}

/// Returns the label `instance` of a collector for which none is set: where Prometheus reaches its
/// HTTP port, by `advertise` or by the name of the host.
pub(super) fn default_instance(config: &Config, http: SocketAddr) -> Box<str> {
    let port = http.port();
    match &config.advertise {
        Some(target) => target.as_str().into(),
        None => match host_name() {
            Some(name) => format!("{name}:{port}").into(),
            None => http.to_string().into(),
        },
    }
}

#[cfg(unix)]
fn host_name() -> Option<String> {
    let names = rustix::system::uname();
    names.nodename().to_str().ok().filter(|name| !name.is_empty()).map(str::to_owned)
}

#[cfg(not(unix))]
fn host_name() -> Option<String> {
    None
}

/// A request that was not answered yet: samples, or stale markers.
#[derive(Debug)]
struct Queued {
    body: Vec<u8>,
    samples: usize,
    unix_ms: i64,
    is_markers: bool,
    /// Whether it was sent before.
    is_retry: bool,
}

/// The series that were queued last, and their time.
#[derive(Debug, Default)]
struct Shown {
    series: BTreeSet<SeriesLabels>,
    unix_ms: i64,
}

/// Forwards the collector's own metrics to a destination.
pub(super) struct OwnMetrics {
    collector: Arc<CollectorState>,
    destination: Arc<Destination>,
    metrics: Arc<MetricsRegistry>,
    instance: Box<str>,
    client: Client,
    compressor: Compressor,
    encoder: LabeledEncoder,
    queue: VecDeque<Queued>,
    shown: Shown,
    backoff: Backoff,
    /// The engine gets no request before this time.
    not_before: Instant,
}

impl OwnMetrics {
    /// `instance` is the label of the same name, if the destination sets none.
    pub(super) fn new(
        collector: &Arc<CollectorState>,
        destination: &Arc<Destination>,
        metrics: &Arc<MetricsRegistry>,
        instance: &str,
    ) -> Self {
        let mut settings = destination.settings.clone();
        settings.timeout = settings.timeout.min(MAX_TIMEOUT);
        Self {
            collector: Arc::clone(collector),
            destination: Arc::clone(destination),
            metrics: Arc::clone(metrics),
            instance: settings.own_instance.as_deref().unwrap_or(instance).into(),
            client: Client::new(&settings).sharing(&destination.confirmation),
            compressor: Compressor::default(),
            encoder: LabeledEncoder::new(settings.protocol),
            queue: VecDeque::new(),
            shown: Shown::default(),
            backoff: Backoff::default(),
            not_before: Instant::now(),
        }
    }

    /// Forwards samples until `stop`, and then stale markers. Gives up what is queued at `abort`.
    pub(super) async fn run(mut self, stop: CancellationToken, abort: CancellationToken) {
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let forward = async {
            loop {
                ticks.tick().await;
                self.sample();
                self.flush().await;
            }
        };
        // A request that is cut off stays queued.
        tokio::select! {
            () = stop.cancelled() => {}
            () = forward => {}
        }
        self.end();
        self.not_before = Instant::now();
        tokio::select! {
            () = self.flush() => {}
            () = abort.cancelled() => {}
        }
        while self.drop_first(DropReason::Stopped) {}
    }

    /// Queues the present values, behind stale markers of series that have ended.
    fn sample(&mut self) {
        let Some(page) = snapshot::page(&self.metrics) else { return };
        let rules = &self.destination.settings.rules;
        let Snapshot { series, families } = Snapshot::of(&page, rules, &self.instance);
        let ended = self.shown.series.iter().filter(|labels| !series.contains_key(*labels));
        let ended: Vec<_> = ended.cloned().collect();
        self.queue_markers(&ended);
        // The clock can be set back.
        let unix_ms = self.now_ms().max(self.shown.unix_ms.saturating_add(MIN_STEP_MS));
        let mut body = Vec::new();
        for (labels, (value, family)) in &series {
            let family = family.and_then(|index| families.get(index));
            let metadata = family.map(metadata).unwrap_or_default();
            self.encoder.series(labels, metadata, *value, unix_ms, &mut body);
        }
        self.encoder.finish(&mut body);
        let samples = series.len();
        self.destination.metrics.samples_in.inc_by(samples as u64);
        self.push(Queued { body, samples, unix_ms, is_markers: false, is_retry: false });
        self.shown = Shown { series: series.into_keys().collect(), unix_ms };
    }

    /// Queues stale markers of all series.
    fn end(&mut self) {
        let all: Vec<_> = std::mem::take(&mut self.shown.series).into_iter().collect();
        self.queue_markers(&all);
    }

    fn queue_markers(&mut self, series: &[SeriesLabels]) {
        let unix_ms = self.shown.unix_ms.saturating_add(MARKER_DELAY_MS);
        let (mut body, marker) = (Vec::new(), STALE);
        for labels in series {
            let metadata = FamilyMetadata::default();
            self.encoder.series(labels, metadata, marker, unix_ms, &mut body);
        }
        self.encoder.finish(&mut body);
        let samples = series.len();
        self.push(Queued { body, samples, unix_ms, is_markers: true, is_retry: false });
    }

    /// Appends a request. Drops the oldest one if there are too many.
    fn push(&mut self, queued: Queued) {
        if queued.samples == 0 {
            return;
        }
        if self.queue.len() >= MAX_QUEUED {
            self.drop_first(DropReason::QueueFull);
        }
        self.queue.push_back(queued);
    }

    /// Sends what is queued until a request fails.
    async fn flush(&mut self) {
        let oldest_ms = self.oldest_allowed();
        while let Some(first) = self.queue.front_mut() {
            if first.unix_ms < oldest_ms {
                self.drop_first(DropReason::TooOld);
                continue;
            }
            if Instant::now() < self.not_before {
                return;
            }
            let encoding = self.destination.compression.encoding();
            let Ok(body) = self.compressor.compress(&first.body, encoding) else {
                self.drop_first(DropReason::TooLarge);
                continue;
            };
            let bytes = body.len();
            if std::mem::replace(&mut first.is_retry, true) {
                self.destination.metrics.samples_retried.inc_by(first.samples as u64);
            }
            let reply = self.client.send(body, encoding).await;
            self.destination.metrics.request(reply.outcome.status());
            match Next::after(reply.outcome, &self.destination, encoding, &mut self.backoff) {
                Next::Done(answer) => self.answered(&answer, bytes),
                Next::Again => {}
                Next::Wait(delay) => {
                    self.not_before = Instant::now() + delay;
                    return;
                }
            }
        }
    }

    /// Removes the first request, which is answered.
    fn answered(&mut self, answer: &Answer, bytes: usize) {
        self.backoff = Backoff::default();
        let metrics = &self.destination.metrics;
        match answer {
            Answer::Accepted => {
                let Some(Queued { samples, unix_ms, is_markers, .. }) = self.queue.pop_front()
                else {
                    return;
                };
                if is_markers {
                    metrics.stale_markers.inc_by(samples as u64);
                    return;
                }
                metrics.samples.inc_by(samples as u64);
                metrics.bytes.inc_by(bytes as u64);
                self.destination.accepted_until(unix_ms);
            }
            Answer::Refused { status, excerpt } => {
                if self.queue.front().is_some_and(|first| first.is_markers) {
                    metrics.stale_markers_superseded.inc_by(self.first_samples());
                    self.queue.pop_front();
                    return;
                }
                self.log_refused(*status, excerpt);
                self.drop_first(DropReason::Rejected);
            }
            Answer::TooLarge => drop(self.drop_first(DropReason::TooLarge)),
            Answer::Aborted => {}
        }
    }

    fn log_refused(&self, status: u16, excerpt: &str) {
        let kind = ("own metrics refused by the engine", "");
        let Some(count) = self.collector.log_due(kind) else { return };
        let remote_name = &*self.destination.settings.name;
        warn!(remote_name, status, excerpt, count, "own metrics refused by the engine");
    }

    fn first_samples(&self) -> u64 {
        self.queue.front().map_or(0, |first| first.samples as u64)
    }

    /// Drops the first request and counts its samples. Returns `false` if there is none.
    fn drop_first(&mut self, reason: DropReason) -> bool {
        let Some(Queued { samples, is_markers, .. }) = self.queue.pop_front() else { return false };
        let metrics = &self.destination.metrics;
        if is_markers {
            metrics.stale_markers_dropped.inc_by(samples as u64);
        } else {
            metrics.dropped(reason, samples);
        }
        true
    }

    /// Returns the time before which samples are dropped, in unix milliseconds.
    fn oldest_allowed(&self) -> i64 {
        let max_age = millis(self.destination.settings.max_age);
        self.now_ms().saturating_sub_unsigned(max_age)
    }

    fn now_ms(&self) -> i64 {
        i64::try_from(self.collector.clock.unix_ms()).unwrap_or(i64::MAX)
    }
}

fn metadata(family: &Family) -> FamilyMetadata<'_> {
    let kind = family.kind.map_or(0, type_number);
    FamilyMetadata { kind, help: &family.help, unit: &family.unit }
}

#[cfg(test)]
#[path = "own_metrics_tests.rs"]
mod tests;
