//! Samples the host.
//!
//! A round reads the sources one after another on one thread, until a deadline. If a source hangs,
//! the others continue on another thread (`crew`). The values of a late source are absent from
//! the round; it is not read again before it has answered, and its late answer is dropped. A hung
//! thread cannot be stopped and is left running.
//!
//! [`crate::tables`] has what a source declares and writes.

mod cpu;
mod crew;
mod filesystem;
mod host;
mod limit_log;
#[cfg(target_os = "linux")]
mod linux;
mod memory;
#[cfg(target_os = "linux")]
pub(crate) mod node;
#[cfg(not(target_os = "linux"))]
#[path = "node_absent.rs"]
pub(crate) mod node;
#[cfg(target_os = "linux")]
mod peaks;
#[cfg(not(target_os = "linux"))]
mod portable;
mod source;
mod status;

use std::sync::Arc;
use std::time::{Duration, Instant};

pub use cpu::Cpu;
use crew::{Crew, Job, Outcome, PATIENCE};
pub use filesystem::Filesystem;
use fleetgauge_proto::message::Family;
use fleetgauge_proto::{Limits, Violation};
pub use host::Readings;
pub(crate) use host::{HostPart, HostReader, host_reader};
use limit_log::LimitLog;
pub use memory::Memory;
pub use source::{Source, SourceError, SourceFactory, SourceSpec};
use source::{SourceJob, SourceLog};
use status::SourceStatus;

use crate::catalogs::Catalogs;
use crate::config::ScrapeSettings;
use crate::scrape::Scrapers;
use crate::tables::{Sample, TableSet, TableState};

/// Longest time that a round waits for its sources. Local files answer in microseconds; a source
/// that takes longer than this hangs.
pub const MAX_ROUND: Duration = Duration::from_secs(2);
/// Divisor of the interval: a round may take half of it, so that rounds do not overlap.
const ROUND_DIVISOR: u32 = 2;

/// Returns the maximum duration of a round, for a sampling interval.
#[must_use]
pub fn deadline(interval: Duration) -> Duration {
    MAX_ROUND.min(interval / ROUND_DIVISOR)
}

/// Joins the tables of sources, and the table about those that are collectors. The catalog declares
/// the families of `order` first.
///
/// # Errors
/// The declarations of the sources contradict each other.
pub fn table_set(
    order: impl IntoIterator<Item = Family<'static>>,
    sources: &[SourceSpec],
) -> Result<TableSet, Violation> {
    let status = status::tables(sources);
    let tables = sources.iter().map(|source| &*source.tables);
    TableSet::try_new(order, tables.chain([&*status]))
}

/// The sources of the host, the threads that read them, and the exporters.
#[derive(Debug)]
pub struct Sampler {
    /// Jobs are boxed, because they are moved several times in a round.
    crew: Crew<Box<SourceJob>>,
    scrapers: Scrapers,
    sources: Vec<SampledSource>,
    status: SourceStatus,
    state: TableState,
    limit_log: LimitLog,
}

#[derive(Debug)]
struct SampledSource {
    /// `None` while a thread has it.
    job: Option<Box<SourceJob>>,
    log: SourceLog,
}

impl Sampler {
    /// Creates a sampler. `tables` is the [`table_set`] of the sources.
    #[must_use]
    pub fn new(tables: &TableSet, sources: Vec<SourceSpec>) -> Self {
        Self::with_exporters(tables, sources, &[])
    }

    /// Creates a sampler that also scrapes exporters.
    #[must_use]
    pub fn with_exporters(
        tables: &TableSet,
        sources: Vec<SourceSpec>,
        exporters: &[ScrapeSettings],
    ) -> Self {
        let status = SourceStatus::new(&sources);
        let sampled = |(index, spec): (usize, SourceSpec)| {
            let log = SourceLog::new(spec.name);
            SampledSource { job: Some(Box::new(SourceJob::new(index, spec))), log }
        };
        let names: Vec<_> =
            sources.iter().map(|source| source.name).chain([status::NAME]).collect();
        let sources = sources.into_iter().enumerate().map(sampled).collect();
        let scrapers = Scrapers::new(exporters);
        let state = TableState::new(tables.clone().with_found_sources(scrapers.sources()));
        let limit_log = LimitLog::new(
            names.into_iter().map(str::to_owned).chain(scrapers.source_names()).collect(),
        );
        Self { crew: Crew::new(PATIENCE), scrapers, sources, status, state, limit_log }
    }

    /// Runs a round: until every source was read and every exporter scraped, or `deadline` passed.
    ///
    /// Needs a tokio runtime with I/O and time if there are exporters.
    pub async fn sample(&mut self, deadline: Duration, limits: &Limits) -> Sample {
        let first = self.first_scraper();
        self.scrapers.begin_round(deadline, &mut self.state, first).await;
        self.start_round();
        tokio::join!(self.crew.wait(deadline), self.scrapers.wait(deadline));
        self.scrapers.end_round(deadline, &mut self.state, first).await;
        self.finish_round(limits)
    }

    /// Renames the labels of found families that have these names, from the next sample on.
    pub(crate) fn rename_labels(&mut self, names: &Arc<[Box<str>]>) {
        self.state.rename_labels(names);
    }

    /// Returns the index of the first source of the scrapers: after that of the status.
    const fn first_scraper(&self) -> usize {
        self.sources.len() + 1
    }

    /// Returns the catalogs of the last sample. Their number never falls.
    #[must_use]
    pub const fn catalogs(&self) -> &Catalogs {
        self.state.catalogs()
    }

    /// Starts to read all sources that no thread is reading since an earlier round.
    fn start_round(&mut self) {
        for (job, _) in self.crew.take_late() {
            self.take_back(job);
        }
        self.state.clear_values(self.first_scraper());
        self.crew.start(self.sources.iter_mut().filter_map(|source| source.job.take()));
    }

    /// Ends the round. Sources that have not been read are late.
    fn finish_round(&mut self, limits: &Limits) -> Sample {
        for outcome in self.crew.end_round(Instant::now()) {
            match outcome {
                Outcome::InTime(job, duration) => self.process(job, duration),
                Outcome::Late(job, duration) => {
                    self.status.set(job.key(), duration, false);
                    self.take_back(job);
                }
                Outcome::Running(source, duration) => {
                    self.failed(source, duration, &SourceError::new("no answer in time"));
                }
                Outcome::NotRun(job) => {
                    let error = self.not_run();
                    self.failed(job.key(), Duration::ZERO, &error);
                    self.take_back(job);
                }
            }
        }
        self.set_status();
        let first = self.first_scraper();
        self.state.fit(limits);
        if !self.state.left_out().is_empty() {
            for source in self.state.left_out() {
                self.status.set_left_out(*source);
            }
            self.set_status();
            self.scrapers.report_left_out(&mut self.state, first);
        }
        self.limit_log.update(&self.state);
        self.state.fitted_sample()
    }

    /// Takes the rows about collectors.
    fn set_status(&mut self) {
        if let Some(output) = self.status.output() {
            self.state.set(self.sources.len(), output);
        }
    }

    /// Processes the reading of a source.
    fn process(&mut self, mut job: Box<SourceJob>, duration: Duration) {
        let index = job.key();
        match job.take_result() {
            Ok(()) => {
                self.status.set(index, duration, true);
                if let Some(source) = self.sources.get_mut(index) {
                    source.log.succeeded(job.output());
                }
                self.state.set(index, job.output());
            }
            Err(error) => self.failed(index, duration, &error),
        }
        self.take_back(job);
    }

    fn failed(&mut self, index: usize, duration: Duration, error: &SourceError) {
        self.status.set(index, duration, false);
        if let Some(source) = self.sources.get_mut(index) {
            source.log.failed(error);
        }
    }

    /// Returns why a source was not read at all.
    fn not_run(&self) -> SourceError {
        match self.crew.thread_error() {
            Some(error) => SourceError::new(format_args!("cannot start a thread: {error}")),
            None => SourceError::new("not read in time: sources before it did not answer"),
        }
    }

    /// Keeps a job for the next round. Drops a result that has not been taken: it is late.
    fn take_back(&mut self, mut job: Box<SourceJob>) {
        job.discard_result();
        if let Some(source) = self.sources.get_mut(job.key()) {
            source.job = Some(job);
        }
    }
}

/// Returns `part / whole`; `None` if `whole` is 0.
#[expect(clippy::cast_precision_loss, reason = "a ratio needs no more than 53 bits")]
fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
pub(crate) mod controlled;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;
