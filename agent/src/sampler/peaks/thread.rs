//! The thread that reads counters every second.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

use super::maximum::Maximum;
use super::meter::Meter;
use super::{PERIOD, Rates};

/// Stack size of the thread, in bytes. It reads three small files.
const STACK_BYTES: usize = 128 * 1024;
/// Name of the thread.
const THREAD_NAME: &str = "peaks";

/// The thread. It ends after its current reading when this is dropped.
#[derive(Debug)]
pub(super) struct PeakThread {
    shared: Arc<Shared>,
    started: Instant,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    stop: Condvar,
}

#[derive(Debug)]
struct State {
    maximum: Maximum,
    is_stopped: bool,
}

impl PeakThread {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system cannot start a thread.
    pub(super) fn start(meter: Meter) -> io::Result<Self> {
        let state = State { maximum: Maximum::new(Duration::ZERO), is_stopped: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), stop: Condvar::new() });
        let (started, of_thread) = (Instant::now(), Arc::clone(&shared));
        let thread = Builder::new().name(THREAD_NAME.into()).stack_size(STACK_BYTES);
        thread.spawn(move || serve(&of_thread, started, meter))?;
        Ok(Self { shared, started })
    }

    /// Returns the maximum since the last call, and the time since the last reading.
    pub(super) fn take(&self) -> (Rates, Duration) {
        self.shared.lock().maximum.take(self.started.elapsed())
    }

    /// Adds rates as if the thread had read them.
    #[cfg(test)]
    pub(super) fn add(&self, rates: Rates) {
        self.shared.lock().maximum.add(self.started.elapsed(), rates);
    }

    /// Returns the state, which lives as long as the thread.
    #[cfg(test)]
    pub(super) fn downgrade(&self) -> std::sync::Weak<impl Sized + use<>> {
        Arc::downgrade(&self.shared)
    }
}

impl Drop for PeakThread {
    fn drop(&mut self) {
        self.shared.lock().is_stopped = true;
        self.shared.stop.notify_all();
    }
}

impl Shared {
    /// Nothing panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn serve(shared: &Shared, started: Instant, mut meter: Meter) {
    loop {
        // The lock is not held: a reading may block for ever.
        let begin = Instant::now();
        let rates = meter.read(&|| started.elapsed());
        let mut state = shared.lock();
        state.maximum.add(started.elapsed(), rates);
        let rest = PERIOD.saturating_sub(begin.elapsed());
        let waited = shared.stop.wait_timeout_while(state, rest, |state| !state.is_stopped);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if state.is_stopped {
            return;
        }
    }
}
