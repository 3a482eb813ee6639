//! How much memory agents may take together: their connections, rows, schemas and unfinished frames.
//!
//! What is taken is counted by the sizes of the arrays and records that hold it, allocated or about to be. The
//! allocator's own rounding comes on top, and so does what is there without agents.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// What a connection takes before its agent is shown, in bytes: its task and its socket's registration in tokio with
/// 256 each, its [`Peer`](crate::peer::Peer), its place in a set, its [`Newcomer`](crate::registry::Newcomer).
pub const CONNECTION_BYTES: usize = 720;

/// What TLS takes beyond that once it is established, in bytes: rustls' state with its keys, and a client's certificate.
pub const TLS_BYTES: usize = 4_600;

/// A limit in bytes, and what is taken of it.
#[derive(Debug)]
pub struct Budget {
    limit: usize,
    taken: AtomicUsize,
    refusals: AtomicU64,
}

impl Budget {
    /// A budget of so many bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, taken: AtomicUsize::new(0), refusals: AtomicU64::new(0) }
    }

    /// Takes so many bytes, unless that is more than there are; whether it did.
    #[must_use]
    pub fn take(&self, bytes: usize) -> bool {
        let after = |taken: usize| taken.checked_add(bytes).filter(|after| *after <= self.limit);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, after).is_ok()
    }

    /// What was taken as an estimate turns out to be this much. What is more is taken though there may be no room: arrays
    /// grow by an eighth.
    pub fn correct(&self, estimate: usize, bytes: usize) {
        self.taken.fetch_add(bytes, Ordering::Relaxed);
        self.give_back(estimate);
    }

    /// Takes so many bytes until what is returned is dropped; `None` if that is more than there are.
    #[must_use]
    pub fn hold(self: &Arc<Self>, bytes: usize) -> Option<Held> {
        if self.take(bytes) {
            return Some(Held { budget: Arc::clone(self), bytes });
        }
        self.refused();
        None
    }

    /// Gives bytes back that were taken.
    pub fn give_back(&self, bytes: usize) {
        let before = self.taken.fetch_sub(bytes, Ordering::Relaxed);
        debug_assert!(before >= bytes, "{bytes} given back of {before}");
    }

    /// Counts somebody for whom there was no room.
    pub fn refused(&self) {
        self.refusals.fetch_add(1, Ordering::Relaxed);
    }

    /// The limit, in bytes.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// What is taken, in bytes.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// How many found no room.
    #[must_use]
    pub fn refusals(&self) -> u64 {
        self.refusals.load(Ordering::Relaxed)
    }
}

/// Bytes taken of a budget for as long as this is there.
#[derive(Debug)]
pub struct Held {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Held {
    /// The budget that they are of.
    #[must_use]
    pub fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}
