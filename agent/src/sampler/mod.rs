//! Samples the host. Each source has its own thread, so that a hung one does not delay the others.
//!
//! A round sends a request to each idle source and collects the answers until a deadline. The
//! values of a late source are absent from the round; it gets no request until it has answered,
//! and its late answer is dropped. A hung thread cannot be stopped and is left running.
//!
//! [`crate::tables`] has what a source declares and writes.

mod cpu;
mod filesystem;
mod host;
#[cfg(target_os = "linux")]
mod linux;
mod memory;
#[cfg(target_os = "linux")]
pub(crate) mod node;
#[cfg(not(target_os = "linux"))]
mod portable;
mod source_thread;

use std::sync::Arc;
use std::time::Duration;

pub use cpu::Cpu;
pub use filesystem::Filesystem;
use fleetgauge_proto::Limits;
pub use host::Readings;
pub(crate) use host::{HostPart, HostReader, host_reader};
pub use memory::Memory;
use source_thread::{Answer, Pending, SourceThread};
use tokio::sync::mpsc;

use crate::catalogs::Catalogs;
use crate::tables::{Output, Sample, TableSet, TableSpec, TableState};

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

/// A source of rows and values. It may keep state from one reading to the next.
pub trait Source: Send {
    /// Sets all rows that exist now, and their values. May block for ever.
    ///
    /// # Errors
    /// The source could not be read. Its rows stay, and their values are absent. The next round
    /// reads it again.
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError>;
}

/// Creates a source on its thread. After an error the next round calls it again.
pub type SourceFactory = Arc<dyn Fn() -> Result<Box<dyn Source>, SourceError> + Send + Sync>;

/// A source: its name, its tables and how to create it.
#[derive(Clone)]
pub struct SourceSpec {
    /// Name, for logs and for the name of its thread.
    pub name: &'static str,
    /// Its tables. [`Output::row`] names them by their index.
    pub tables: Vec<TableSpec>,
    /// Creates the source.
    pub factory: SourceFactory,
}

impl std::fmt::Debug for SourceSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SourceSpec")
            .field("name", &self.name)
            .field("tables", &self.tables)
            .finish_non_exhaustive()
    }
}

/// Why a source has no reading.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// Reading failed: the cause.
    #[error("{0}")]
    Failed(Box<str>),
    /// The host has nothing for this source, such as a device or a kernel module.
    #[error("nothing found")]
    NothingFound,
}

impl SourceError {
    /// Creates an error with a cause.
    pub fn new(cause: impl ToString) -> Self {
        Self::Failed(cause.to_string().into())
    }
}

/// The sources of the host and their threads.
#[derive(Debug)]
pub struct Sampler {
    threads: Vec<SourceThread>,
    answers: mpsc::Receiver<Answer>,
    state: TableState,
}

impl Sampler {
    /// Starts a thread for each source. `tables` are those of the sources.
    #[must_use]
    pub fn new(tables: &TableSet, sources: Vec<SourceSpec>) -> Self {
        // Each source has at most one answer in flight.
        let (sender, answers) = mpsc::channel(sources.len().max(1));
        let threads = sources
            .into_iter()
            .enumerate()
            .map(|(index, spec)| SourceThread::new(index, spec, sender.clone()))
            .collect();
        Self { threads, answers, state: TableState::new(tables.clone()) }
    }

    /// Runs a round: until every source answered or `deadline` passed.
    pub async fn sample(&mut self, deadline: Duration, limits: &Limits) -> Sample {
        self.start_round();
        let end = tokio::time::sleep(deadline);
        tokio::pin!(end);
        while self.is_waiting() {
            tokio::select! {
                biased;
                answer = self.answers.recv() => match answer {
                    Some(answer) => self.process(answer),
                    None => break,
                },
                () = &mut end => break,
            }
        }
        self.finish_round(limits)
    }

    /// Returns the catalogs of the last sample. Their number never falls.
    #[must_use]
    pub const fn catalogs(&self) -> &Catalogs {
        self.state.catalogs()
    }

    /// Sends a request to every idle source.
    fn start_round(&mut self) {
        while let Ok(late) = self.answers.try_recv() {
            if let Some(thread) = self.threads.get_mut(late.source) {
                thread.answered();
            }
        }
        self.state.clear_values();
        for thread in &mut self.threads {
            thread.request();
        }
    }

    /// Returns whether an answer of this round is pending.
    fn is_waiting(&self) -> bool {
        self.threads.iter().any(|thread| thread.pending() == Pending::ThisRound)
    }

    /// Processes an answer. A late answer of an earlier round only makes its source idle.
    fn process(&mut self, answer: Answer) {
        let Some(thread) = self.threads.get_mut(answer.source) else { return };
        if thread.answered() != Pending::ThisRound {
            return;
        }
        match answer.result {
            Ok(output) => {
                thread.recovered(output.skipped());
                self.state.set(answer.source, &output);
            }
            Err(error) => thread.failed(&error),
        }
    }

    /// Ends the round. Sources that have not answered are late.
    fn finish_round(&mut self, limits: &Limits) -> Sample {
        for thread in &mut self.threads {
            thread.close_round();
        }
        self.state.sample(limits)
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
