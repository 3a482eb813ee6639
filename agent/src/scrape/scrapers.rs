//! All scraped exporters: their samples, and the metrics about scrapes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use fleetgauge_proto::catalog::FamilyKind;
use tokio::time::timeout;

use super::exporter::{
    DURATION, FAILURES, SAMPLES_LEFT_OUT, SAMPLES_SCRAPED, Scraped, UP, relabel,
};
use super::relabel::Relabel;
use super::sample_order::{SampleOrder, What};
use super::scraper::Scraper;
use crate::config::ScrapeSettings;
use crate::tables::{FoundFamily, Output, TableState};

/// A metric about the scrapes of an exporter: name, type and help.
type Metric = (&'static str, FamilyKind, &'static str);

const GAUGES: [Metric; 3] = [
    (
        UP,
        FamilyKind::Gauge,
        "Whether the last scrape of the exporter succeeded and is reported: 1 for yes, 0 for no.",
    ),
    (DURATION, FamilyKind::Gauge, "Time that the last scrape took."),
    (SAMPLES_SCRAPED, FamilyKind::Gauge, "Samples on the page of the last scrape; 0 if it failed."),
];
const LEFT_OUT: Metric = (
    SAMPLES_LEFT_OUT,
    FamilyKind::CounterAsNamed,
    "Samples that were left out, because they exceed a limit or contradict another sample.",
);
const FAILED: Metric = (
    FAILURES,
    FamilyKind::CounterAsNamed,
    "Scrapes that failed, by reason. Only reasons that have occurred.",
);

/// The scraped exporters of an agent.
///
/// In a [`TableState`] they are sources after all others: the first one has the metrics about
/// scrapes, and each exporter is a further one. Samples of a page stay until its exporter answers
/// again or fails.
#[derive(Debug, Default)]
pub(crate) struct Scrapers {
    targets: Vec<Target>,
    status: Output,
    status_order: SampleOrder,
}

#[derive(Debug)]
struct Target {
    scraper: Scraper,
    relabel: Relabel,
    /// How the last scrape ended; `None` before the first has ended.
    last: Option<Scraped>,
    /// Samples that were left out.
    samples_left_out: u64,
    /// Number of failed scrapes, by [`ScrapeError::reason`](super::ScrapeError::reason).
    failures: BTreeMap<&'static str, u64>,
}

impl Scrapers {
    pub(crate) fn new(settings: &[ScrapeSettings]) -> Self {
        let target = |settings: &ScrapeSettings| Target {
            relabel: relabel(settings),
            scraper: Scraper::new(settings.clone()),
            last: None,
            samples_left_out: 0,
            failures: BTreeMap::new(),
        };
        Self { targets: settings.iter().map(target).collect(), ..Self::default() }
    }

    /// Returns the number of its sources.
    pub(crate) const fn sources(&self) -> usize {
        let exporters = self.targets.len();
        if exporters == 0 { 0 } else { exporters + 1 }
    }

    /// Returns the names of its sources, for logs.
    pub(crate) fn source_names(&self) -> impl Iterator<Item = String> {
        let all = (self.sources() > 0).then(|| "scrape".to_owned());
        all.into_iter().chain(self.targets.iter().map(|target| target.scraper.name()))
    }

    /// Begins a round: takes pages that were late in an earlier one, and starts what is due.
    pub(crate) async fn begin_round(
        &mut self,
        round: Duration,
        state: &mut TableState,
        first: usize,
    ) {
        self.collect(round, state, first).await;
        let now = Instant::now();
        self.targets.iter_mut().for_each(|target| target.scraper.start(now));
    }

    /// Waits until the scrapes of the round have finished or this time has passed.
    pub(crate) async fn wait(&mut self, limit: Duration) {
        let _ = timeout(limit, async {
            for target in &mut self.targets {
                target.scraper.wait().await;
            }
        })
        .await;
    }

    /// Ends a round: takes all pages that have arrived, and writes the metrics about scrapes.
    /// `first` is the index of the first source.
    pub(crate) async fn end_round(
        &mut self,
        round: Duration,
        state: &mut TableState,
        first: usize,
    ) {
        if self.targets.is_empty() {
            return;
        }
        self.collect(round, state, first).await;
        self.targets.iter_mut().for_each(|target| target.scraper.end_round());
        self.write_status(|_| false);
        state.set(first, &self.status);
    }

    /// Reports exporters as down whose series the state leaves out: to an alert on `up`, they are
    /// as if the exporter did not answer.
    pub(crate) fn report_left_out(&mut self, state: &mut TableState, first: usize) {
        let is_left_out = |exporter: usize| state.left_out().contains(&(first + 1 + exporter));
        if (0..self.targets.len()).any(is_left_out) {
            self.write_status(is_left_out);
            state.set(first, &self.status);
        }
    }

    async fn collect(&mut self, round: Duration, state: &mut TableState, first: usize) {
        for (index, target) in self.targets.iter_mut().enumerate() {
            let Some(exporter) = target.scraper.join(round).await else { continue };
            let source = first + 1 + index;
            match &exporter.scraped().result {
                Ok(_) => {
                    target.samples_left_out += exporter.samples_left_out() as u64;
                    state.set(source, exporter.output());
                }
                Err(error) => {
                    *target.failures.entry(error.reason()).or_default() += 1;
                    state.clear(source);
                }
            }
            target.last = Some(exporter.scraped().clone());
        }
    }

    fn write_status(&mut self, is_left_out: impl Fn(usize) -> bool) {
        let Self { targets, status, status_order: order } = self;
        let mut key = Vec::new();
        status.begin();
        order.begin(status);
        for (index, target) in targets.iter().enumerate() {
            target.for_each_metric(is_left_out(index), |(name, kind, help), reason, value| {
                key.clear();
                key.extend_from_slice(&index.to_le_bytes());
                key.extend_from_slice(name.as_bytes());
                key.extend_from_slice(reason.unwrap_or_default().as_bytes());
                if order.add(&key, What::Sample, status) {
                    status.repeat(value);
                } else {
                    let reason = reason.map(|reason| ("reason", reason));
                    let labels: Vec<_> = target.relabel.added().chain(reason).collect();
                    status.sample(FoundFamily { name, kind, help }, &labels, value);
                }
            });
        }
        order.finish();
        status.finish();
    }
}

impl Target {
    /// Calls `each` with the metrics about its scrapes: the metric, the label `reason` and the
    /// value. A page that is left out keeps its number of samples, which tells why.
    #[expect(clippy::cast_precision_loss, reason = "samples and microseconds are far below 2^53")]
    fn for_each_metric(
        &self,
        is_left_out: bool,
        mut each: impl FnMut(Metric, Option<&'static str>, f64),
    ) {
        let Some(Scraped { result, duration }) = &self.last else { return };
        let up = f64::from(u8::from(result.is_ok() && !is_left_out));
        // Finer digits are noise that reports would have to carry.
        let seconds = duration.as_micros() as f64 / 1e6;
        let samples = result.as_ref().map_or(0, |samples| *samples) as f64;
        for (metric, value) in GAUGES.into_iter().zip([up, seconds, samples]) {
            each(metric, None, value);
        }
        each(LEFT_OUT, None, self.samples_left_out as f64);
        for (reason, count) in &self.failures {
            each(FAILED, Some(reason), *count as f64);
        }
    }
}

#[cfg(test)]
#[path = "scrapers_tests.rs"]
mod tests;
