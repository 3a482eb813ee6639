//! Runs the jobs of a round one after another on one thread, and on further threads if jobs hang.
//!
//! A thread cannot be stopped. If a job takes longer than [`PATIENCE`], its thread keeps it and the
//! remaining jobs move to another thread: a hung job delays the others once, and by no more than
//! that. All threads but one hold a hung job: a thread that has nothing to do ends if another one
//! is available.
//!
//! ```text
//!          take the first job             it takes longer than PATIENCE
//! available ----------------> current job ---------------------> hung
//!     ^  ^                       |                                 |
//!     |  '--- no more jobs ------'                                 |
//!     '----------- finishes: another thread is available? ends ----'
//! ```
//!
//! The caller's task is woken once, at the end of the round.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::timeout_at;

/// Longest time that a job may delay the others. Local files answer in microseconds.
pub(super) const PATIENCE: Duration = Duration::from_millis(100);
/// Stack size of a thread, in bytes. Jobs read small files and have few levels of calls.
const STACK_BYTES: usize = 256 * 1024;
/// Name of the threads.
const THREAD_NAME: &str = "sampler";

/// A job of a round.
pub(super) trait Job: Send + 'static {
    /// Returns what identifies the job in the crew.
    fn key(&self) -> usize;

    /// Runs the job. May block for ever. A panic ends only this call.
    fn run(&mut self);
}

impl<J: Job> Job for Box<J> {
    fn key(&self) -> usize {
        (**self).key()
    }

    fn run(&mut self) {
        (**self).run();
    }
}

/// What became of a job in a round.
#[derive(Debug)]
pub(super) enum Outcome<J> {
    /// It finished in its round, and took this time.
    InTime(J, Duration),
    /// It finished after the end of its round, and took this time.
    Late(J, Duration),
    /// It has been running for this time: the job with this key, of this or an earlier round.
    Running(usize, Duration),
    /// No thread has started it.
    NotRun(J),
}

/// The threads, and the jobs of the current round. Dropping it ends the threads that do not hang.
pub(super) struct Crew<J: Job> {
    shared: Arc<Shared<J>>,
    patience: Duration,
}

struct Shared<J> {
    state: Mutex<State<J>>,
    /// Wakes an available thread.
    work: Condvar,
    /// Wakes the task that waits for the end of the round.
    done: Notify,
}

struct State<J> {
    round: u64,
    /// Jobs of the round that no thread has started.
    queue: VecDeque<J>,
    /// Key of the job after which the same thread takes the next one from the queue.
    current: Option<usize>,
    /// Running jobs, of this round and of earlier ones. Each has a thread.
    running: Vec<Running>,
    finished: Vec<Finished<J>>,
    /// Number of the round's jobs that have not finished.
    unfinished: usize,
    /// Number of threads: those with a running job, and those that are available or about to be.
    threads: usize,
    thread_error: Option<Box<str>>,
    stopped: bool,
}

#[derive(Debug, Clone, Copy)]
struct Running {
    key: usize,
    round: u64,
    since: Instant,
}

struct Finished<J> {
    job: J,
    round: u64,
    duration: Duration,
}

impl<J: Job> Crew<J> {
    /// Creates a crew whose jobs may delay each other by `patience`. Starts no thread.
    pub(super) fn new(patience: Duration) -> Self {
        let (work, done) = (Condvar::new(), Notify::new());
        Self { shared: Arc::new(Shared { state: Mutex::default(), work, done }), patience }
    }

    /// Returns late jobs of earlier rounds that have finished.
    pub(super) fn take_late(&self) -> Vec<(J, Duration)> {
        // Draining keeps the buffer for the next round.
        let late = |finished: Finished<J>| (finished.job, finished.duration);
        self.shared.lock().finished.drain(..).map(late).collect()
    }

    /// Starts a round. The jobs run in this order.
    pub(super) fn start(&self, jobs: impl IntoIterator<Item = J>) {
        let mut state = self.shared.lock();
        state.queue.extend(jobs);
        state.unfinished = state.queue.len();
        if !state.queue.is_empty() {
            self.summon(state);
        }
    }

    /// Waits until all jobs of the round have finished or this time has passed.
    pub(super) async fn wait(&self, limit: Duration) {
        let end = Instant::now() + limit;
        while let Some(check) = self.supervise(Instant::now(), end)
            && Instant::now() < end
        {
            // Both cases are handled by the next check.
            let _ = timeout_at(check.into(), self.shared.done.notified()).await;
        }
    }

    /// Moves the remaining jobs to another thread if the current one takes too long. Returns when
    /// to check again, at the latest at `end`; `None` if all jobs of the round have finished.
    pub(super) fn supervise(&self, now: Instant, end: Instant) -> Option<Instant> {
        let mut state = self.shared.lock();
        if state.unfinished == 0 {
            return None;
        }
        if state.queue.is_empty() {
            return Some(end);
        }
        let since = state.current_since();
        if let Some(check) = since.map(|since| since + self.patience)
            && check > now
        {
            return Some(check.min(end));
        }
        state.current = None;
        self.summon(state);
        Some((now + self.patience).min(end))
    }

    /// Ends the round. Returns what became of all jobs, also those of earlier rounds.
    pub(super) fn end_round(&self, now: Instant) -> Vec<Outcome<J>> {
        let mut state = self.shared.lock();
        let state = &mut *state;
        let len = state.finished.len() + state.running.len() + state.queue.len();
        let mut outcomes = Vec::with_capacity(len);
        for Finished { job, round, duration } in state.finished.drain(..) {
            let in_time = round == state.round;
            let outcome = if in_time { Outcome::InTime } else { Outcome::Late };
            outcomes.push(outcome(job, duration));
        }
        let running = |job: &Running| Outcome::Running(job.key, now.duration_since(job.since));
        outcomes.extend(state.running.iter().map(running));
        outcomes.extend(state.queue.drain(..).map(Outcome::NotRun));
        // A thread with a running job does not take jobs of the next round before it returns.
        state.current = None;
        state.unfinished = 0;
        state.round += 1;
        outcomes
    }

    /// Returns why the last attempt to start a thread failed, if it failed.
    pub(super) fn thread_error(&self) -> Option<Box<str>> {
        self.shared.lock().thread_error.clone()
    }

    /// Returns whether all jobs have been started and all but these have finished.
    #[cfg(test)]
    pub(super) fn all_finished_but(&self, hung: &[usize]) -> bool {
        let state = self.shared.lock();
        state.queue.is_empty() && state.running.iter().all(|job| hung.contains(&job.key))
    }

    /// Makes a thread take jobs from the queue: one that is available, otherwise a new one.
    fn summon(&self, mut state: MutexGuard<'_, State<J>>) {
        if state.available() > 0 {
            // The woken thread takes the lock.
            drop(state);
            self.shared.work.notify_one();
            return;
        }
        let shared = self.shared.clone();
        let thread = Builder::new().name(THREAD_NAME.into()).stack_size(STACK_BYTES);
        let spawned = thread.spawn(move || serve(&shared));
        state.thread_error = spawned.as_ref().err().map(|error| error.to_string().into());
        state.threads += usize::from(spawned.is_ok());
    }
}

impl<J: Job> Drop for Crew<J> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.stopped = true;
        // Jobs are dropped without the lock: dropping a source may take long.
        let _jobs = (std::mem::take(&mut state.queue), std::mem::take(&mut state.finished));
        drop(state);
        self.shared.work.notify_all();
    }
}

impl<J: Job> std::fmt::Debug for Crew<J> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.shared.lock();
        f.debug_struct("Crew")
            .field("threads", &state.threads)
            .field("running", &state.running)
            .finish_non_exhaustive()
    }
}

impl<J> Shared<J> {
    /// Nothing panics while it holds the lock, so that a poisoned state is still consistent.
    fn lock(&self) -> MutexGuard<'_, State<J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<J> Default for State<J> {
    fn default() -> Self {
        Self {
            round: 0,
            queue: VecDeque::new(),
            current: None,
            running: Vec::new(),
            finished: Vec::new(),
            unfinished: 0,
            threads: 0,
            thread_error: None,
            stopped: false,
        }
    }
}

impl<J: Job> State<J> {
    /// Returns the number of threads without a running job.
    const fn available(&self) -> usize {
        self.threads.saturating_sub(self.running.len())
    }

    /// Returns when the current job started.
    fn current_since(&self) -> Option<Instant> {
        let current = self.current?;
        self.running.iter().find(|job| job.key == current).map(|job| job.since)
    }

    /// Takes the next job, unless another thread takes the jobs of the queue.
    fn take_job(&mut self) -> Option<(J, Running)> {
        if self.current.is_some() {
            return None;
        }
        let job = self.queue.pop_front()?;
        let running = Running { key: job.key(), round: self.round, since: Instant::now() };
        self.current = Some(running.key);
        self.running.push(running);
        Some((job, running))
    }

    /// Takes back a job that has returned. Returns whether it was the last one of the round.
    fn finish(&mut self, job: J, Running { key, round, since }: Running) -> bool {
        self.finished.push(Finished { job, round, duration: since.elapsed() });
        self.running.retain(|running| running.key != key);
        if self.current == Some(key) {
            self.current = None;
        }
        if round != self.round {
            return false;
        }
        self.unfinished = self.unfinished.saturating_sub(1);
        self.unfinished == 0
    }
}

/// Runs a thread: takes jobs until the crew is dropped or another thread is available.
fn serve<J: Job>(shared: &Shared<J>) {
    let mut state = shared.lock();
    while !state.stopped {
        if let Some((mut job, running)) = state.take_job() {
            drop(state);
            // The job knows that it did not finish.
            let _ = catch_unwind(AssertUnwindSafe(|| job.run()));
            state = shared.lock();
            if state.finish(job, running) {
                // The woken task takes the lock.
                drop(state);
                shared.done.notify_one();
                state = shared.lock();
            }
        } else if state.available() > 1 {
            break;
        } else {
            state = shared.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
    state.threads = state.threads.saturating_sub(1);
}

#[cfg(test)]
#[path = "crew_tests.rs"]
mod tests;
