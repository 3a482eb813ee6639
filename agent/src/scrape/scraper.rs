//! When an exporter is scraped.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::exporter::Exporter;
use super::scrape_log::ScrapeLog;
use crate::config::ScrapeSettings;

/// A scrape may start this much before it is due: rounds do not begin at exact intervals.
const TOLERANCE: Duration = Duration::from_millis(200);

/// Scrapes an exporter in the rounds of the sampler in which it is due.
///
/// ```text
///       start: it is due                 join: it has finished
/// idle ------------------> running -----------------------------> idle
/// ```
///
/// A round waits for a scrape unless the last one took longer than a round: then a hung exporter
/// would delay all rounds. Its page counts for the round in which it is joined.
#[derive(Debug)]
pub(super) struct Scraper {
    settings: Arc<ScrapeSettings>,
    /// `None` while it is running.
    exporter: Option<Box<Exporter>>,
    task: Option<JoinHandle<Box<Exporter>>>,
    /// When the next scrape is due; `None`: immediately.
    due: Option<Instant>,
    /// Whether a round waits for the scrape.
    is_awaited: bool,
    log: ScrapeLog,
}

impl Scraper {
    pub(super) fn new(settings: ScrapeSettings) -> Self {
        let settings = Arc::new(settings);
        let exporter = Some(Box::new(Exporter::new(&settings)));
        let log = ScrapeLog::new(Arc::clone(&settings));
        Self { settings, exporter, task: None, due: None, is_awaited: true, log }
    }

    /// Returns its job and instance, for logs.
    pub(super) fn name(&self) -> String {
        format!("{} at {}", self.settings.job, self.settings.instance)
    }

    /// Starts a scrape if it is due and none is running.
    pub(super) fn start(&mut self, now: Instant) {
        if self.due.is_some_and(|due| due > now + TOLERANCE) {
            return;
        }
        let Some(mut exporter) = self.exporter.take() else { return };
        // Scrapes that were missed, for example while the exporter hung, are skipped.
        let next = self.due.unwrap_or(now) + self.settings.interval;
        self.due = Some(if next > now { next } else { now + self.settings.interval });
        self.task = Some(tokio::spawn(async move {
            exporter.scrape().await;
            exporter
        }));
    }

    /// Waits until the running scrape has finished, if there is one that a round waits for.
    /// [`Self::join`] returns it.
    pub(super) async fn wait(&mut self) {
        if self.is_awaited
            && self.exporter.is_none()
            && let Some(task) = &mut self.task
        {
            self.exporter = Some(joined(task.await, &self.settings));
        }
    }

    /// Returns a scrape that has finished since the last call, at the end of a round of this
    /// duration or before it. Logs changes.
    pub(super) async fn join(&mut self, round: Duration) -> Option<&Exporter> {
        let task = self.task.as_mut()?;
        if self.exporter.is_none() {
            if !task.is_finished() {
                return None;
            }
            self.exporter = Some(joined(task.await, &self.settings));
        }
        self.task = None;
        let exporter = self.exporter.as_deref()?;
        self.is_awaited = exporter.scraped().duration <= round;
        self.log.scraped(exporter);
        Some(exporter)
    }

    /// Ends a round. The next rounds do not wait for a scrape that is still running.
    pub(super) fn end_round(&mut self) {
        self.is_awaited &= self.task.is_none();
    }
}

impl Drop for Scraper {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Returns the exporter, or a new one that has failed if the scrape panicked.
fn joined(
    result: Result<Box<Exporter>, tokio::task::JoinError>,
    settings: &ScrapeSettings,
) -> Box<Exporter> {
    result.unwrap_or_else(|_| Box::new(Exporter::new(settings)))
}
