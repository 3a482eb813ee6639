//! Sources, and the jobs that read them.

use std::sync::Arc;

use tracing::{debug, info, warn};

use super::crew::Job;
use crate::tables::{Output, TableSpec};

/// A source of rows and values. It may keep state from one reading to the next.
pub trait Source: Send {
    /// Sets all rows that exist now, and their values. May block for ever.
    ///
    /// # Errors
    /// The source could not be read. Its rows stay, and their values are absent. The next round
    /// reads it again, unless the error is [`SourceError::NothingFound`]. A collector that has
    /// never had a series is treated like that error.
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError>;
}

/// Creates a source. May block for ever. After an error the next round calls it again, unless the
/// error is [`SourceError::NothingFound`].
pub type SourceFactory = Arc<dyn Fn() -> Result<Box<dyn Source>, SourceError> + Send + Sync>;

/// A source: its name, its tables and how to create it.
#[derive(Clone)]
pub struct SourceSpec {
    /// Name, for logs and the label `collector`.
    pub name: &'static str,
    /// Its tables. [`Output::row`] names them by their index.
    pub tables: Vec<TableSpec>,
    /// Creates the source.
    pub factory: SourceFactory,
    /// Whether the duration and success of its readings are metrics.
    pub is_collector: bool,
}

impl std::fmt::Debug for SourceSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SourceSpec")
            .field("name", &self.name)
            .field("tables", &self.tables)
            .field("is_collector", &self.is_collector)
            .finish_non_exhaustive()
    }
}

/// Number of rounds in which a source that found nothing is not read again, nor a collector without
/// series: what a host lacks seldom appears.
const ROUNDS_AFTER_NOTHING_FOUND: u32 = 9;

/// Why a source has no reading.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// Reading failed: the cause.
    #[error("{0}")]
    Failed(Box<str>),
    /// The host has nothing for this source, such as a device or a kernel module. The source is not
    /// read again before the tenth round after this one.
    #[error("nothing found")]
    NothingFound,
}

impl SourceError {
    /// Creates an error with a cause.
    pub fn new(cause: impl ToString) -> Self {
        Self::Failed(cause.to_string().into())
    }
}

/// A source and its newest reading. The sampler owns it between rounds, a thread while it runs.
#[derive(Debug)]
pub(super) struct SourceJob {
    index: usize,
    spec: SourceSpec,
    /// `None` before the first reading and after creating it failed or reading panicked.
    source: Option<BoxedSource>,
    output: Output,
    /// Number of rounds before it is read again, after it found nothing. Their result is that of
    /// the reading.
    waits: u32,
    /// Whether a reading had series. Then it is read in every round: what a host once had comes
    /// back sooner than what it never had.
    has_found: bool,
    nothing: Result<(), SourceError>,
    /// `None` if no reading has finished since the result was taken.
    result: Option<Result<(), SourceError>>,
}

struct BoxedSource(Box<dyn Source>);

impl std::fmt::Debug for BoxedSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Source")
    }
}

impl SourceJob {
    /// Creates the job of the source with this index. Its first run creates the source.
    pub(super) fn new(index: usize, spec: SourceSpec) -> Self {
        let output = Output::new(&spec.tables);
        Self {
            index,
            spec,
            source: None,
            output,
            waits: 0,
            has_found: false,
            nothing: Ok(()),
            result: None,
        }
    }

    /// Takes the result of the reading that has finished.
    pub(super) fn take_result(&mut self) -> Result<(), SourceError> {
        let panicked = || Err(SourceError::new("the source panicked; it is created again"));
        self.result.take().unwrap_or_else(panicked)
    }

    /// Returns the rows and values of the last reading that succeeded.
    pub(super) const fn output(&self) -> &Output {
        &self.output
    }

    /// Drops the result, if it has not been taken.
    pub(super) fn discard_result(&mut self) {
        self.result = None;
    }

    /// Reads the source, unless it found nothing shortly before.
    fn read_or_wait(&mut self) -> Result<(), SourceError> {
        if self.waits > 0 {
            self.waits -= 1;
            return self.nothing.clone();
        }
        let result = self.read();
        let found_nothing = match &result {
            Ok(()) => {
                self.has_found |= !self.output.is_empty();
                self.spec.is_collector && !self.has_found
            }
            Err(error) => *error == SourceError::NothingFound,
        };
        if found_nothing {
            self.waits = ROUNDS_AFTER_NOTHING_FOUND;
            self.nothing.clone_from(&result);
        }
        result
    }

    fn read(&mut self) -> Result<(), SourceError> {
        // A panic drops the source, because the job does not own it then.
        let mut source = match self.source.take() {
            Some(source) => source,
            None => BoxedSource((self.spec.factory)()?),
        };
        self.output.begin();
        let result = source.0.read(&mut self.output);
        self.output.finish();
        self.source = Some(source);
        result
    }
}

impl Job for SourceJob {
    fn key(&self) -> usize {
        self.index
    }

    fn run(&mut self) {
        #[cfg(target_os = "linux")]
        super::node::files::share_texts();
        self.result = None;
        self.result = Some(self.read_or_wait());
    }
}

/// Logs changes of the state of a source, each once.
#[derive(Debug)]
pub(super) struct SourceLog {
    source: &'static str,
    state: SourceState,
    /// Whether its last reading had rows or samples that were left out.
    leaves_out: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SourceState {
    Available,
    NothingFound,
    Unavailable,
}

impl SourceLog {
    pub(super) const fn new(source: &'static str) -> Self {
        Self { source, state: SourceState::Available, leaves_out: false }
    }

    /// Logs the recovery of an unavailable source. Warns about rows and samples that were left
    /// out, once until a reading leaves out none.
    pub(super) fn succeeded(&mut self, output: &Output) {
        let source = self.source;
        if self.replace(SourceState::Available) == SourceState::Unavailable {
            info!(source, "source recovered");
        }
        let (rows, samples) = (output.rows_left_out(), output.samples_left_out());
        let left_out_before = std::mem::replace(&mut self.leaves_out, rows + samples > 0);
        if left_out_before {
            return;
        }
        if rows > 0 {
            let cause =
                "a label value is longer than 1024 bytes, or another row has the same label values";
            warn!(source, rows, cause, "rows left out");
        }
        if samples > 0 {
            let cause = "a label value is longer than 1024 bytes, a label name is repeated, or \
                another sample has the same name and labels, or another type";
            warn!(source, samples, cause, "samples left out");
        }
    }

    /// Logs that the source is unavailable or found nothing, once until this changes.
    pub(super) fn failed(&mut self, error: &SourceError) {
        let source = self.source;
        match error {
            SourceError::Failed(cause) => {
                if self.replace(SourceState::Unavailable) != SourceState::Unavailable {
                    warn!(source, %cause, "source unavailable");
                }
            }
            // Most hosts lack some devices: an operator has nothing to do.
            SourceError::NothingFound => {
                if self.replace(SourceState::NothingFound) != SourceState::NothingFound {
                    debug!(source, "source found nothing");
                }
            }
        }
    }

    const fn replace(&mut self, state: SourceState) -> SourceState {
        std::mem::replace(&mut self.state, state)
    }
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
