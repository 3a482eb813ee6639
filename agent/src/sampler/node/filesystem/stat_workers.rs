//! Asks mounts for their usage on worker threads, so that a mount that hangs costs only itself.
//!
//! [Prompt](Mount::is_prompt) mounts are asked at once, without a worker: waking one costs more
//! than all their answers. One worker asks all other mounts, one after another. When a mount does
//! not answer in time, its worker is left to it and another worker goes on with the next mount. No
//! reading waits for that mount again: each takes the answer that came since the last one, if any,
//! and then asks anew. The worker ends when its mount answers in time again.

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::super::SourceError;
use super::mounts::Mount;

/// Longest time that a mount may take. Local filesystems answer in microseconds, servers in
/// milliseconds. With [`MAX_WORKERS`] it bounds a reading to 1.6 s, less than a round may take.
pub(super) const TIMEOUT: Duration = Duration::from_millis(400);
/// Maximum number of workers, with those of slow mounts. The last one does not ask mounts of the
/// filesystem types that are slow: all mounts of a dead server hang.
pub(super) const MAX_WORKERS: usize = 4;
/// Stack size of a worker, in bytes. It only calls `statfs`.
const STACK_BYTES: usize = 64 * 1024;

/// Usage of a filesystem.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Usage {
    /// Size in bytes.
    pub(super) size: f64,
    /// Free bytes.
    pub(super) free: f64,
    /// Bytes that users without privileges may still write.
    pub(super) available: f64,
    /// Number of inodes.
    pub(super) files: f64,
    /// Number of free inodes.
    pub(super) files_free: f64,
    /// Whether the mount or its filesystem is read-only now.
    pub(super) read_only: bool,
}

/// What came of asking a mount.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Outcome {
    /// It answered.
    Usage(Usage),
    /// The call failed.
    Failed(Errno),
    /// It does not answer.
    Stuck,
    /// No worker is left for it.
    NotAsked,
}

impl From<Result<Usage, Errno>> for Outcome {
    fn from(answer: Result<Usage, Errno>) -> Self {
        answer.map_or_else(Self::Failed, Self::Usage)
    }
}

/// Asks the mount at a path. May block for ever.
pub(super) type StatFn = dyn Fn(&Path) -> Result<Usage, Errno> + Send + Sync;
/// Returns the time now.
pub(super) type ClockFn = dyn Fn() -> Instant + Send + Sync;

/// How workers ask mounts, and for how long.
#[derive(Clone)]
pub(super) struct Calls {
    /// Asks a mount.
    pub(super) stat: Arc<StatFn>,
    /// Clock that measures the calls.
    pub(super) clock: Arc<ClockFn>,
    /// Longest time of a call.
    pub(super) timeout: Duration,
}

/// The workers.
pub(super) struct StatWorkers {
    calls: Calls,
    /// The worker for all other mounts that answer in time.
    worker: Option<Worker>,
    slow: Vec<SlowMount>,
}

/// A mount that did not answer in time, and its worker.
struct SlowMount {
    worker: Worker,
    path: Box<Path>,
    fs_type: Box<str>,
    /// What is known of it in this reading.
    outcome: Outcome,
}

struct Worker {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// A batch was given or is done, or the worker has to end.
    changed: Condvar,
}

/// A batch of mounts, and how far the worker is.
#[derive(Default)]
struct State {
    mounts: Arc<[Mount]>,
    /// Indexes of the mounts to ask.
    asked: Vec<usize>,
    /// Outcomes of the first of them.
    outcomes: Vec<Outcome>,
    /// When the call that runs now was started.
    running_since: Option<Instant>,
    /// Duration of the last call.
    took: Duration,
    /// Whether the worker has to end.
    ends: bool,
}

impl StatWorkers {
    /// Creates the workers. A thread is started when a mount is asked.
    pub(super) const fn new(calls: Calls) -> Self {
        Self { calls, worker: None, slow: Vec::new() }
    }

    /// Asks all mounts and sets their outcomes, in the same order.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub(super) fn ask(
        &mut self,
        mounts: &Arc<[Mount]>,
        outcomes: &mut Vec<Outcome>,
    ) -> Result<(), SourceError> {
        let timeout = self.calls.timeout;
        self.slow.retain_mut(|slow| slow.ask(mounts, timeout));
        outcomes.clear();
        outcomes.resize(mounts.len(), Outcome::NotAsked);
        for (outcome, mount) in outcomes.iter_mut().zip(&**mounts) {
            if mount.is_prompt {
                *outcome = (self.calls.stat)(&mount.path).into();
            }
        }
        let mut start = 0;
        while self.slow.len() < MAX_WORKERS {
            let rest = mounts.iter().enumerate().skip(start);
            let asked: Vec<_> =
                rest.filter(|(_, mount)| self.asks(mount)).map(|(at, _)| at).collect();
            if asked.is_empty() {
                break;
            }
            let worker = match self.worker.take() {
                Some(worker) => worker,
                None => Worker::start(&self.calls)?,
            };
            let Some(at) = worker.ask(mounts, asked, &self.calls, outcomes) else {
                self.worker = Some(worker);
                break;
            };
            self.slow.push(SlowMount::new(worker, &mounts[at]));
            start = at + 1;
        }
        for (outcome, mount) in outcomes.iter_mut().zip(&**mounts) {
            if let Some(slow) = self.slow(mount) {
                *outcome = slow.outcome;
            }
        }
        Ok(())
    }

    /// Returns the number of workers.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.slow.len() + usize::from(self.worker.is_some())
    }

    fn asks(&self, mount: &Mount) -> bool {
        let is_last = self.slow.len() + 1 == MAX_WORKERS;
        let is_alike = |slow: &SlowMount| is_last && slow.fs_type == mount.fs_type;
        !mount.is_prompt && self.slow(mount).is_none() && !self.slow.iter().any(is_alike)
    }

    fn slow(&self, mount: &Mount) -> Option<&SlowMount> {
        self.slow.iter().find(|slow| slow.path == mount.path)
    }
}

impl SlowMount {
    fn new(worker: Worker, mount: &Mount) -> Self {
        let (path, fs_type) = (mount.path.clone(), mount.fs_type.clone());
        Self { worker, path, fs_type, outcome: Outcome::Stuck }
    }

    /// Takes the answer that came since the last reading, if any, and asks again without waiting.
    /// Returns whether the mount is still slow.
    fn ask(&mut self, mounts: &Arc<[Mount]>, timeout: Duration) -> bool {
        self.outcome = Outcome::Stuck;
        let mut state = self.worker.shared.lock();
        let Some(outcome) = state.outcomes.pop() else { return true };
        let at = mounts.iter().position(|mount| mount.path == self.path);
        let Some(at) = at.filter(|_| state.took >= timeout) else { return false };
        self.outcome = outcome;
        self.worker.give(&mut state, mounts, vec![at]);
        true
    }
}

impl Worker {
    fn start(calls: &Calls) -> Result<Self, SourceError> {
        let shared = Arc::<Shared>::default();
        let (of_thread, calls) = (Arc::clone(&shared), calls.clone());
        let builder = Builder::new().name("statfs".into()).stack_size(STACK_BYTES);
        match builder.spawn(move || of_thread.work(&calls)) {
            Ok(_) => Ok(Self { shared }),
            Err(error) => Err(SourceError::new(format_args!("cannot start a thread: {error}"))),
        }
    }

    /// Gives a batch to the worker, which has none.
    fn give(&self, state: &mut State, mounts: &Arc<[Mount]>, asked: Vec<usize>) {
        *state = State { mounts: Arc::clone(mounts), asked, ..State::default() };
        self.shared.changed.notify_all();
    }

    /// Asks mounts and sets their outcomes. Returns the index of the first mount that does not
    /// answer in time: the worker waits for it, and the mounts after it are not asked.
    fn ask(
        &self,
        mounts: &Arc<[Mount]>,
        asked: Vec<usize>,
        calls: &Calls,
        outcomes: &mut [Outcome],
    ) -> Option<usize> {
        let mut state = self.shared.lock();
        self.give(&mut state, mounts, asked);
        let slow = loop {
            let Some(current) = state.current() else { break None };
            let now = (calls.clock)();
            let since = state.running_since.unwrap_or(now);
            let left = calls.timeout.saturating_sub(now.saturating_duration_since(since));
            if left.is_zero() {
                break Some(current);
            }
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        };
        for (at, outcome) in state.asked.iter().zip(&state.outcomes) {
            outcomes[*at] = *outcome;
        }
        // What runs is all that is left to do. The list of mounts need not be kept for it.
        let running_since = state.running_since;
        *state = State { asked: slow.into_iter().collect(), running_since, ..State::default() };
        slow
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.shared.lock().ends = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the mounts of each batch, until it has to end.
    fn work(&self, calls: &Calls) {
        let mut state = self.lock();
        while !state.ends {
            let Some(current) = state.current() else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let start = (calls.clock)();
            state.running_since = Some(start);
            let mounts = Arc::clone(&state.mounts);
            drop(state);
            let usage = (calls.stat)(&mounts[current].path);
            drop(mounts);
            state = self.lock();
            state.running_since = None;
            state.took = (calls.clock)().saturating_duration_since(start);
            state.outcomes.push(usage.into());
            if state.current().is_none() {
                self.changed.notify_all();
            }
        }
    }
}

impl State {
    /// Returns the index of the first mount without an outcome.
    fn current(&self) -> Option<usize> {
        self.asked.get(self.outcomes.len()).copied()
    }
}
