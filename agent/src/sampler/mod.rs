//! Samples the host. Each source has its own thread, so that a hung one does not delay the others.
//!
//! A round sends a request to each idle source and collects the answers until a deadline. The
//! values of a late source are missing from the round; it gets no request until it has answered,
//! and its late answer is dropped. A hung thread cannot be stopped and is left running.

mod cpu;
mod filesystem;
#[cfg(target_os = "linux")]
mod linux;
mod memory;
#[cfg(not(target_os = "linux"))]
mod portable;
mod source_thread;

use std::sync::Arc;
use std::time::Duration;

pub use cpu::Cpu;
pub use filesystem::Filesystem;
#[cfg(target_os = "linux")]
use linux as system;
pub use memory::Memory;
#[cfg(not(target_os = "linux"))]
use portable as system;
use source_thread::{Answer, Pending, SourceThread};
use tokio::sync::mpsc;

/// Longest time that a round waits for its sources. Local files answer in microseconds, so a
/// source that has not answered by then probably hangs; its reading is missing from the round.
pub const MAX_ROUND: Duration = Duration::from_secs(2);
/// Divisor of the interval: a round may take half of it, so that rounds do not overlap.
const ROUND_DIVISOR: u32 = 2;

/// Returns the maximum duration of a round, for a sampling interval.
#[must_use]
pub fn deadline(interval: Duration) -> Duration {
    MAX_ROUND.min(interval / ROUND_DIVISOR)
}

/// A source of readings. Reading may block for ever.
pub(crate) trait Source: Send {
    /// Reads the source. After an error it is read again in the next round.
    fn read(&mut self) -> Result<Reading, SourceError>;
}

/// Function that creates a source. Runs on the thread of the source.
pub(crate) type SourceFactory = Arc<dyn Fn() -> Result<Box<dyn Source>, SourceError> + Send + Sync>;

/// Why a source has no reading.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SourceError(Box<str>);

impl SourceError {
    /// Creates an error with a cause.
    pub fn new(cause: impl ToString) -> Self {
        Self(cause.to_string().into())
    }
}

/// The reading of one source.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Reading {
    Cpu(Cpu),
    Memory(Memory),
    Filesystem(Filesystem),
}

/// The readings of a round. A field is `None` if its source failed or was late.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Readings {
    /// CPU usage.
    pub cpu: Option<Cpu>,
    /// Memory usage.
    pub memory: Option<Memory>,
    /// Usage of the root filesystem or the system drive.
    pub filesystem: Option<Filesystem>,
}

impl Readings {
    const fn set(&mut self, reading: Reading) {
        match reading {
            Reading::Cpu(cpu) => self.cpu = Some(cpu),
            Reading::Memory(memory) => self.memory = Some(memory),
            Reading::Filesystem(filesystem) => self.filesystem = Some(filesystem),
        }
    }
}

/// The sources of the host and their threads.
#[derive(Debug)]
pub struct Sampler {
    threads: Vec<SourceThread>,
    answers: mpsc::Receiver<Answer>,
    readings: Readings,
}

impl Sampler {
    /// Starts the threads of the host's sources.
    #[must_use]
    pub fn new() -> Self {
        Self::with_sources(vec![
            ("cpu", Arc::new(|| Ok(Box::new(system::CpuSource::new()?)))),
            ("memory", Arc::new(|| Ok(Box::new(system::MemorySource::new()?)))),
            ("filesystem", Arc::new(|| Ok(Box::new(filesystem::FilesystemSource::new()?)))),
        ])
    }

    /// Starts a thread for each source.
    pub(crate) fn with_sources(sources: Vec<(&'static str, SourceFactory)>) -> Self {
        // Each source has at most one answer in flight.
        let (sender, answers) = mpsc::channel(sources.len().max(1));
        let threads = sources
            .into_iter()
            .enumerate()
            .map(|(index, (name, factory))| SourceThread::new(index, name, factory, sender.clone()))
            .collect();
        Self { threads, answers, readings: Readings::default() }
    }

    /// Runs a round and returns its readings. Waits until every source answered or `deadline`
    /// passed.
    pub async fn sample(&mut self, deadline: Duration) -> Readings {
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
        self.finish_round()
    }

    /// Sends a request to every idle source.
    fn start_round(&mut self) {
        while let Ok(late) = self.answers.try_recv() {
            if let Some(thread) = self.threads.get_mut(late.source) {
                thread.answered();
            }
        }
        self.readings = Readings::default();
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
            Ok(reading) => {
                self.readings.set(reading);
                thread.recovered();
            }
            Err(error) => thread.failed(&error),
        }
    }

    /// Ends the round and returns its readings. Sources that have not answered are late.
    fn finish_round(&mut self) -> Readings {
        for thread in &mut self.threads {
            thread.close_round();
        }
        self.readings
    }
}

impl Default for Sampler {
    fn default() -> Self {
        Self::new()
    }
}

/// Returns `part / whole`; `None` if `whole` is 0.
#[expect(clippy::cast_precision_loss, reason = "a ratio needs no more than 53 bits")]
fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;
