//! Ledger that outlives the servers which fill it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::ledger::{Ledger, Limits};

/// Handle to a ledger. Clones share it.
#[derive(Clone)]
pub struct SharedLedger {
    inner: Arc<Inner>,
}

struct Inner {
    ledger: Mutex<Ledger>,
    /// Changes with each request.
    version: watch::Sender<u64>,
}

impl Default for SharedLedger {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl SharedLedger {
    /// An empty ledger.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let ledger = Mutex::new(Ledger::new(limits));
        Self { inner: Arc::new(Inner { ledger, version: watch::Sender::new(0) }) }
    }

    /// Locks the ledger. Requests wait meanwhile.
    pub fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.inner.ledger.lock()
    }

    /// Waits until the condition holds, which is checked after each request.
    ///
    /// # Errors
    /// If the condition does not hold within the time; the error shows the ledger.
    pub async fn wait_until(
        &self,
        limit: Duration,
        mut condition: impl FnMut(&Ledger) -> bool,
    ) -> Result<(), TimedOut> {
        let deadline = Instant::now() + limit;
        let mut version = self.inner.version.subscribe();
        loop {
            version.mark_unchanged();
            if condition(&self.lock()) {
                return Ok(());
            }
            // The sender lives as long as this handle, so only the time can run out.
            if !matches!(timeout_at(deadline, version.changed()).await, Ok(Ok(()))) {
                let ledger = self.lock();
                return if condition(&ledger) { Ok(()) } else { Err(TimedOut(ledger.to_string())) };
            }
        }
    }

    pub(crate) fn update<R>(&self, change: impl FnOnce(&mut Ledger) -> R) -> R {
        let result = change(&mut self.lock());
        self.inner.version.send_modify(|version| *version = version.wrapping_add(1));
        result
    }
}

/// A condition did not hold in time. Shows the ledger as it was then.
pub struct TimedOut(String);

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the ledger did not fulfil the condition in time: {}", self.0)
    }
}

impl fmt::Debug for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for TimedOut {}
