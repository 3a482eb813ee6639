//! Sampling the host: every source on a thread of its own, so that one that hangs holds up nobody.
//!
//! A round asks every source that is idle and takes the answers that come before the deadline. Who
//! is late is absent from the round and is not asked again until it has answered; its late answer,
//! by then a thing of the past, is thrown away. A thread cannot be stopped from outside: a hung one
//! is left alone.

mod cpu;
mod filesystem;
#[cfg(target_os = "linux")]
mod linux;
mod memory;
#[cfg(not(target_os = "linux"))]
mod portable;
mod worker;

use std::sync::Arc;
use std::time::Duration;

pub use cpu::Cpu;
pub use filesystem::Filesystem;
#[cfg(target_os = "linux")]
use linux as system;
pub use memory::Memory;
#[cfg(not(target_os = "linux"))]
use portable as system;
use tokio::sync::mpsc;
use worker::{Answer, Asked, Worker};

/// How long a round waits for its sources. A local file answers in microseconds; a source that
/// needs longer than this hangs, and the others should not be late for it.
pub const DEADLINE: Duration = Duration::from_secs(2);
/// The part of an interval that a round may take at most, so that rounds never meet.
const DEADLINE_PART: u32 = 2;

/// The deadline of a round at this interval.
#[must_use]
pub fn deadline(interval: Duration) -> Duration {
    DEADLINE.min(interval / DEADLINE_PART)
}

/// Something of the host that can be read. Reading may block for ever.
pub(crate) trait Source: Send {
    /// Reads it now, or says why not; it is tried again in the next round.
    fn read(&mut self) -> Result<Reading, SourceError>;
}

/// Makes a source, on the thread that will read it.
pub(crate) type MakeSource = Arc<dyn Fn() -> Result<Box<dyn Source>, SourceError> + Send + Sync>;

/// Why a source gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SourceError(Box<str>);

impl SourceError {
    /// With a cause for people.
    pub fn new(cause: impl ToString) -> Self {
        Self(cause.to_string().into())
    }
}

/// What one source gives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Reading {
    /// From the CPU source.
    Cpu(Cpu),
    /// From the memory source.
    Memory(Memory),
    /// From the filesystem source.
    Filesystem(Filesystem),
}

/// What one round gave; `None` where a source failed or was late.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Readings {
    /// The CPUs.
    pub cpu: Option<Cpu>,
    /// The memory.
    pub memory: Option<Memory>,
    /// The root filesystem or the system drive.
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

/// The sources of this host and their threads.
#[derive(Debug)]
pub struct Sampler {
    workers: Vec<Worker>,
    answers: mpsc::Receiver<Answer>,
    readings: Readings,
}

impl Sampler {
    /// Starts the threads of this host's sources.
    #[must_use]
    pub fn new() -> Self {
        Self::with_sources(vec![
            ("cpu", Arc::new(|| Ok(Box::new(system::CpuSource::new()?)))),
            ("memory", Arc::new(|| Ok(Box::new(system::MemorySource::new()?)))),
            ("filesystem", Arc::new(|| Ok(Box::new(filesystem::FilesystemSource::new()?)))),
        ])
    }

    /// Starts a thread for each of these.
    pub(crate) fn with_sources(sources: Vec<(&'static str, MakeSource)>) -> Self {
        // Each has at most one answer under way.
        let (tell, answers) = mpsc::channel(sources.len().max(1));
        let workers = sources
            .into_iter()
            .enumerate()
            .map(|(number, (name, make))| Worker::new(number, name, make, tell.clone()))
            .collect();
        Self { workers, answers, readings: Readings::default() }
    }

    /// One round, done when every source has answered or `deadline` has passed.
    pub async fn sample(&mut self, deadline: Duration) -> Readings {
        self.ask();
        let end = tokio::time::sleep(deadline);
        tokio::pin!(end);
        while self.is_waiting() {
            tokio::select! {
                biased;
                answer = self.answers.recv() => match answer {
                    Some(answer) => self.take(answer),
                    None => break,
                },
                () = &mut end => break,
            }
        }
        self.finish()
    }

    /// Opens a round: asks every source that is not still busy with an earlier one.
    fn ask(&mut self) {
        while let Ok(late) = self.answers.try_recv() {
            if let Some(worker) = self.workers.get_mut(late.worker) {
                worker.answered();
            }
        }
        self.readings = Readings::default();
        for worker in &mut self.workers {
            worker.ask();
        }
    }

    /// Whether an answer to this round may still come.
    fn is_waiting(&self) -> bool {
        self.workers.iter().any(|worker| worker.asked() == Asked::ThisRound)
    }

    /// Takes an answer; one to an earlier round is of the past and only frees its source.
    fn take(&mut self, answer: Answer) {
        let Some(worker) = self.workers.get_mut(answer.worker) else { return };
        if worker.answered() != Asked::ThisRound {
            return;
        }
        match answer.result {
            Ok(reading) => {
                self.readings.set(reading);
                worker.present();
            }
            Err(error) => worker.absent(&error),
        }
    }

    /// Closes the round: who has not answered is late.
    fn finish(&mut self) -> Readings {
        for worker in &mut self.workers {
            worker.close_round();
        }
        self.readings
    }
}

impl Default for Sampler {
    fn default() -> Self {
        Self::new()
    }
}

/// `part` / `whole`; `None` where there is no whole.
#[expect(clippy::cast_precision_loss, reason = "a ratio needs no more than 53 bits")]
fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;
