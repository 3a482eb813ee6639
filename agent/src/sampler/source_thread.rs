//! A source and its thread.

use std::sync::mpsc as requests;
use std::thread::{Builder, JoinHandle};

use tokio::sync::mpsc;
use tracing::{info, warn};

use super::{SourceError, SourceSpec};
use crate::tables::Output;

/// Stack size of a source's thread, in bytes. Sources read small files.
const STACK_BYTES: usize = 256 * 1024;

/// The answer of a source's thread.
#[derive(Debug)]
pub(super) struct Answer {
    /// Index of the source in the sampler.
    pub(super) source: usize,
    pub(super) result: Result<Output, SourceError>,
}

/// Whether an answer of a source is pending, and for which round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pending {
    None,
    ThisRound,
    EarlierRound,
}

/// The sampler's handle of a source's thread.
pub(super) struct SourceThread {
    index: usize,
    spec: SourceSpec,
    answers: mpsc::Sender<Answer>,
    thread: Option<Thread>,
    pending: Pending,
    unavailable: bool,
    /// Whether its last answer had rows that were left out.
    skips_rows: bool,
}

#[derive(Debug)]
struct Thread {
    requests: requests::SyncSender<()>,
    handle: JoinHandle<()>,
}

impl SourceThread {
    pub(super) fn new(index: usize, spec: SourceSpec, answers: mpsc::Sender<Answer>) -> Self {
        let mut source = Self {
            index,
            spec,
            answers,
            thread: None,
            pending: Pending::None,
            unavailable: false,
            skips_rows: false,
        };
        source.start();
        source
    }

    pub(super) const fn pending(&self) -> Pending {
        self.pending
    }

    /// Requests a reading, unless an answer is pending.
    pub(super) fn request(&mut self) {
        if self.thread_has_ended() {
            // The thread panicked and will not answer.
            self.pending = Pending::None;
            self.start();
        }
        if self.pending != Pending::None {
            return;
        }
        if let Some(thread) = &self.thread
            && thread.requests.try_send(()).is_ok()
        {
            self.pending = Pending::ThisRound;
        }
    }

    pub(super) fn thread_has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(|thread| thread.handle.is_finished())
    }

    /// Marks the source as idle. Returns whether the answer was for this round or an earlier one.
    pub(super) const fn answered(&mut self) -> Pending {
        std::mem::replace(&mut self.pending, Pending::None)
    }

    /// Ends the round. Records a failure if the source has not answered in this round.
    pub(super) fn close_round(&mut self) {
        if self.pending == Pending::ThisRound {
            self.pending = Pending::EarlierRound;
            self.failed(&SourceError::new("no answer in time"));
        }
    }

    /// Logs the recovery of an unavailable source. Warns about skipped rows, once until a reading
    /// skips none.
    pub(super) fn recovered(&mut self, skipped_rows: usize) {
        let source = self.spec.name;
        if std::mem::take(&mut self.unavailable) {
            info!(source, "source recovered");
        }
        let skipped_before = std::mem::replace(&mut self.skips_rows, skipped_rows > 0);
        if self.skips_rows && !skipped_before {
            let cause =
                "a label value is longer than 1024 bytes, or another row has the same label values";
            warn!(source, rows = skipped_rows, cause, "rows skipped");
        }
    }

    /// Logs that the source is unavailable, once until it recovers.
    pub(super) fn failed(&mut self, cause: &SourceError) {
        if !std::mem::replace(&mut self.unavailable, true) {
            warn!(source = self.spec.name, %cause, "source unavailable");
        }
    }

    fn start(&mut self) {
        let (requests, inbox) = requests::sync_channel(1);
        let (index, spec, answers) = (self.index, self.spec.clone(), self.answers.clone());
        let spawned = Builder::new()
            .name(format!("source-{}", spec.name))
            .stack_size(STACK_BYTES)
            .spawn(move || serve(index, &spec, &inbox, &answers));
        self.thread = match spawned {
            Ok(handle) => Some(Thread { requests, handle }),
            Err(error) => {
                self.failed(&SourceError::new(error));
                None
            }
        };
    }
}

impl std::fmt::Debug for SourceThread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SourceThread")
            .field("name", &self.spec.name)
            .field("pending", &self.pending)
            .finish_non_exhaustive()
    }
}

/// Runs the thread: answers requests until the sampler is dropped. If creating the source failed,
/// tries again at the next request.
fn serve(
    index: usize,
    spec: &SourceSpec,
    inbox: &requests::Receiver<()>,
    answers: &mpsc::Sender<Answer>,
) {
    let mut source = (spec.factory)();
    while inbox.recv().is_ok() {
        if source.is_err() {
            source = (spec.factory)();
        }
        let mut output = Output::new(&spec.tables);
        output.begin();
        let result = match &mut source {
            Ok(source) => source.read(&mut output).map(|()| {
                output.finish();
                output
            }),
            Err(error) => Err(error.clone()),
        };
        if answers.blocking_send(Answer { source: index, result }).is_err() {
            return;
        }
    }
}
