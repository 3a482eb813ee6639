//! One source and its thread.

use std::sync::mpsc as requests;
use std::thread::{Builder, JoinHandle};

use tokio::sync::mpsc;
use tracing::{info, warn};

use super::{MakeSource, Reading, SourceError};

/// Stack of a source's thread, in bytes: sources read small files, and only touched pages cost
/// memory.
const STACK_BYTES: usize = 256 * 1024;

/// What a thread says when it has read its source.
#[derive(Debug)]
pub(super) struct Answer {
    /// Which worker it is from.
    pub(super) worker: usize,
    pub(super) result: Result<Reading, SourceError>,
}

/// Whether a source owes an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    No,
    ThisRound,
    EarlierRound,
}

/// The sampler's handle of a source's thread.
pub(super) struct Worker {
    number: usize,
    name: &'static str,
    make: MakeSource,
    tell: mpsc::Sender<Answer>,
    thread: Option<Thread>,
    asked: Asked,
    absent: bool,
}

#[derive(Debug)]
struct Thread {
    requests: requests::SyncSender<()>,
    handle: JoinHandle<()>,
}

impl Worker {
    pub(super) fn new(
        number: usize,
        name: &'static str,
        make: MakeSource,
        tell: mpsc::Sender<Answer>,
    ) -> Self {
        let mut worker =
            Self { number, name, make, tell, thread: None, asked: Asked::No, absent: false };
        worker.start();
        worker
    }

    pub(super) const fn asked(&self) -> Asked {
        self.asked
    }

    /// Asks for a reading, unless the last one is still owed.
    pub(super) fn ask(&mut self) {
        if self.thread_has_ended() {
            // It panicked: what it owed will not come.
            self.asked = Asked::No;
            self.start();
        }
        if self.asked != Asked::No {
            return;
        }
        if let Some(thread) = &self.thread
            && thread.requests.try_send(()).is_ok()
        {
            self.asked = Asked::ThisRound;
        }
    }

    pub(super) fn thread_has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(|thread| thread.handle.is_finished())
    }

    /// Its answer is here; which round it was for.
    pub(super) const fn answered(&mut self) -> Asked {
        std::mem::replace(&mut self.asked, Asked::No)
    }

    /// The round is over.
    pub(super) fn close_round(&mut self) {
        if self.asked == Asked::ThisRound {
            self.asked = Asked::EarlierRound;
            self.absent(&SourceError::new("it has not answered in time"));
        }
    }

    /// Logs that the source has come back, if it was away.
    pub(super) fn present(&mut self) {
        if std::mem::take(&mut self.absent) {
            info!(source = self.name, "source is back");
        }
    }

    /// Logs that the source is away, once.
    pub(super) fn absent(&mut self, cause: &SourceError) {
        if !std::mem::replace(&mut self.absent, true) {
            warn!(source = self.name, %cause, "source is absent; its values are left out");
        }
    }

    fn start(&mut self) {
        let (requests, inbox) = requests::sync_channel(1);
        let (number, make, tell) = (self.number, self.make.clone(), self.tell.clone());
        let spawned = Builder::new()
            .name(format!("source-{}", self.name))
            .stack_size(STACK_BYTES)
            .spawn(move || serve(number, &make, &inbox, &tell));
        self.thread = match spawned {
            Ok(handle) => Some(Thread { requests, handle }),
            Err(error) => {
                self.absent(&SourceError::new(error));
                None
            }
        };
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker")
            .field("name", &self.name)
            .field("asked", &self.asked)
            .finish_non_exhaustive()
    }
}

/// The thread: answers each request until the sampler has gone. A source that cannot be made is
/// tried again at the next request.
fn serve(
    worker: usize,
    make: &MakeSource,
    inbox: &requests::Receiver<()>,
    tell: &mpsc::Sender<Answer>,
) {
    let mut source = make();
    while inbox.recv().is_ok() {
        if source.is_err() {
            source = make();
        }
        let result = match &mut source {
            Ok(source) => source.read(),
            Err(error) => Err(error.clone()),
        };
        if tell.blocking_send(Answer { worker, result }).is_err() {
            return;
        }
    }
}
