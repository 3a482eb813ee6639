//! All scraped exporters: their samples, and the metrics about scrapes.

use std::time::{Duration, Instant};

use fleetgauge_proto::catalog::FamilyKind;
use tokio::time::timeout;

use super::exporter::{OWN_NAMES, Scraped, relabel};
use super::relabel::Relabel;
use super::sample_order::{SampleOrder, What};
use super::scraper::Scraper;
use crate::config::ScrapeSettings;
use crate::tables::{FoundFamily, Output, TableState};

/// Help texts of the samples in [`OWN_NAMES`], in the same order.
const HELP: [&str; 3] = [
    "Whether the last scrape of the exporter succeeded and is reported: 1 for yes, 0 for no.",
    "Time that the last scrape took.",
    "Samples on the page of the last scrape; 0 if it failed.",
];

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
}

impl Scrapers {
    pub(crate) fn new(settings: &[ScrapeSettings]) -> Self {
        let target = |settings: &ScrapeSettings| Target {
            relabel: relabel(settings),
            scraper: Scraper::new(settings.clone()),
            last: None,
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
                Ok(_) => state.set(source, exporter.output()),
                Err(_) => state.clear(source),
            }
            target.last = Some(exporter.scraped().clone());
        }
    }

    fn write_status(&mut self, is_left_out: impl Fn(usize) -> bool) {
        let Self { targets, status, status_order: order } = self;
        status.begin();
        order.begin(status);
        for (index, Target { relabel, last, .. }) in targets.iter().enumerate() {
            let Some(scraped) = last else { continue };
            let values = values(scraped, is_left_out(index));
            for ((name, help), value) in OWN_NAMES.iter().zip(HELP).zip(values) {
                if order.add(&index.to_le_bytes(), What::Sample, status) {
                    status.repeat(value);
                } else {
                    let labels: Vec<_> = relabel.added().collect();
                    let family = FoundFamily { name, kind: FamilyKind::Gauge, help };
                    status.sample(family, &labels, value);
                }
            }
        }
        order.finish();
        status.finish();
    }
}

/// Returns the values of the samples in [`OWN_NAMES`]. A page that is left out keeps its number of
/// samples, which tells why.
#[expect(clippy::cast_precision_loss, reason = "samples and microseconds are far below 2^53")]
fn values(Scraped { result, duration }: &Scraped, is_left_out: bool) -> [f64; 3] {
    // Finer digits are noise that reports would have to carry.
    let seconds = duration.as_micros() as f64 / 1e6;
    let samples = result.as_ref().map_or(0, |samples| *samples);
    [f64::from(u8::from(result.is_ok() && !is_left_out)), seconds, samples as f64]
}

#[cfg(test)]
#[path = "scrapers_tests.rs"]
mod tests;
