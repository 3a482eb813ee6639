//! One scrape of an exporter: from the request to the samples.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::ScrapeError;
use super::body;
use super::http::HttpClient;
use super::page_sink::{LeftOut, PageMemory};
use super::relabel::Relabel;
use super::text::{Format, PageLimits, PageReader};
use crate::config::ScrapeSettings;
use crate::tables::Output;

/// Samples that the agent has for each exporter.
pub(super) const OWN_NAMES: &[&str] = &[UP, DURATION, SAMPLES_SCRAPED, SAMPLES_LEFT_OUT, FAILURES];
pub(super) const UP: &str = "up";
pub(super) const DURATION: &str = "scrape_duration_seconds";
pub(super) const SAMPLES_SCRAPED: &str = "scrape_samples_scraped";
pub(super) const SAMPLES_LEFT_OUT: &str = "scrape_samples_left_out_total";
pub(super) const FAILURES: &str = "scrape_failures_total";

/// An exporter: its connection, and what its last page contained.
#[derive(Debug)]
pub(super) struct Exporter {
    http: HttpClient,
    timeout: Duration,
    relabel: Relabel,
    reader: PageReader,
    format: Format,
    memory: PageMemory,
    output: Output,
    /// Whether the output has a page that was not finished.
    is_unfinished: bool,
    scraped: Scraped,
}

/// How a scrape ended.
#[derive(Debug, Clone)]
pub(super) struct Scraped {
    /// Number of samples of the page, with those that were left out.
    pub(super) result: Result<usize, ScrapeError>,
    /// Time that it took.
    pub(super) duration: Duration,
}

impl Exporter {
    /// Creates an exporter. Does not connect yet.
    pub(super) fn new(settings: &ScrapeSettings) -> Self {
        let limits = PageLimits {
            max_bytes: settings.max_size,
            max_samples: settings.max_samples,
            ..PageLimits::default()
        };
        Self {
            http: HttpClient::new(settings),
            timeout: settings.timeout,
            relabel: relabel(settings),
            reader: PageReader::new(Format::Prometheus, limits),
            format: Format::Prometheus,
            memory: PageMemory::default(),
            output: Output::new(&[]),
            is_unfinished: false,
            // Stays if the first scrape panics.
            scraped: Scraped {
                result: Err(ScrapeError::Unusable("it made the scrape panic")),
                duration: Duration::ZERO,
            },
        }
    }

    /// Scrapes once.
    pub(super) async fn scrape(&mut self) {
        let start = Instant::now();
        let limit = self.timeout;
        let ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        let result = timeout(limit, self.page()).await;
        let result = result.unwrap_or(Err(ScrapeError::Timeout { ms }));
        if result.is_err() {
            self.reset();
        }
        self.scraped = Scraped { result, duration: start.elapsed() };
    }

    /// Returns how the last scrape ended.
    pub(super) const fn scraped(&self) -> &Scraped {
        &self.scraped
    }

    /// Returns the samples of the last page, if the last scrape succeeded.
    pub(super) const fn output(&self) -> &Output {
        &self.output
    }

    /// Returns the number of samples of the last page that are left out.
    pub(super) fn samples_left_out(&self) -> usize {
        self.left_out().samples + self.output.samples_left_out()
    }

    /// Returns what the last page has that the protocol cannot carry.
    pub(super) const fn left_out(&self) -> &LeftOut {
        self.memory.left_out()
    }

    /// Fetches and parses the page. Returns the number of its samples.
    async fn page(&mut self) -> Result<usize, ScrapeError> {
        let response = self.http.get().await?;
        let format = body::format(response.headers())?;
        let coding = body::coding(response.headers())?;
        if std::mem::replace(&mut self.format, format) != format {
            // The same key may have another meaning in the other format.
            self.memory.clear();
        }
        self.is_unfinished = true;
        self.output.begin();
        let mut sink = self.memory.begin(&self.relabel, &mut self.output);
        self.reader.restart(format);
        body::read(response.into_body(), coding, &mut self.reader, &mut sink).await?;
        self.memory.finish();
        self.output.finish();
        self.is_unfinished = false;
        Ok(self.reader.samples())
    }

    /// Drops what a scrape left that did not finish.
    fn reset(&mut self) {
        self.http.disconnect();
        if std::mem::take(&mut self.is_unfinished) {
            self.memory.clear();
            self.output.begin();
            self.output.finish();
        }
    }
}

/// Returns the labels of all series of an exporter.
pub(super) fn relabel(settings: &ScrapeSettings) -> Relabel {
    // A label of the settings cannot be called job or instance: those are reserved.
    let target = [("job", &*settings.job), ("instance", &*settings.instance)];
    Relabel::new(target.into_iter().chain(settings.labels.iter()), OWN_NAMES)
}

#[cfg(test)]
#[path = "exporter_tests.rs"]
mod tests;
