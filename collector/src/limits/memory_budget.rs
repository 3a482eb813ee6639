//! Memory limit of all agents together: their connections, values, labels, rows, catalogs and
//! incomplete frames.
//!
//! Usage is the size of the arrays and records that agents need, counted when they are allocated or
//! just before. Rounding by the allocator and the base memory of the collector are not counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Memory of a connection before the agent's first report, in bytes: 256 for its task, 256 for its
/// registration in tokio, the rest for its
/// [`ConnectionHandle`](crate::peers::handle::ConnectionHandle), its entry in a set and its
/// [`PendingAgent`](crate::registry::PendingAgent).
pub const CONNECTION_BYTES: usize = 720;

/// Additional memory of a TLS connection, in bytes: rustls' state with its keys, and the client
/// certificate.
pub const TLS_BYTES: usize = 4_600;

/// A memory limit and its usage, in bytes.
#[derive(Debug)]
pub struct MemoryBudget {
    limit: usize,
    taken: AtomicUsize,
    refusals: AtomicU64,
}

impl MemoryBudget {
    /// Creates an unused budget of `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, taken: AtomicUsize::new(0), refusals: AtomicU64::new(0) }
    }

    /// Takes `bytes` from the budget if the limit allows it. Returns whether they were taken.
    #[must_use]
    pub fn take(&self, bytes: usize) -> bool {
        let after = |taken: usize| taken.checked_add(bytes).filter(|after| *after <= self.limit);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, after).is_ok()
    }

    /// Replaces an estimate that was taken with the actual size, in bytes. The usage can then
    /// exceed the limit, because an array grows by an eighth and not by one row.
    pub fn correct(&self, estimate: usize, bytes: usize) {
        self.taken.fetch_add(bytes, Ordering::Relaxed);
        self.give_back(estimate);
    }

    /// Takes `bytes` until the reservation is dropped. Counts a refusal and returns `None` if the
    /// limit does not allow it.
    #[must_use]
    pub fn reserve(self: &Arc<Self>, bytes: usize) -> Option<Reservation> {
        if self.take(bytes) {
            return Some(Reservation { budget: Arc::clone(self), bytes });
        }
        self.refused();
        None
    }

    /// Gives back bytes that were taken.
    pub fn give_back(&self, bytes: usize) {
        let before = self.taken.fetch_sub(bytes, Ordering::Relaxed);
        debug_assert!(before >= bytes, "{bytes} given back of {before}");
    }

    /// Counts a request that was refused for lack of memory.
    pub fn refused(&self) {
        self.refusals.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the limit, in bytes.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Returns the usage, in bytes.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// Returns the number of refusals.
    #[must_use]
    pub fn refusals(&self) -> u64 {
        self.refusals.load(Ordering::Relaxed)
    }
}

/// Bytes taken from a budget, and given back on drop.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<MemoryBudget>,
    bytes: usize,
}

impl Reservation {
    /// Creates a reservation of no bytes.
    #[must_use]
    pub fn empty(budget: &Arc<MemoryBudget>) -> Self {
        Self { budget: Arc::clone(budget), bytes: 0 }
    }

    /// Grows the reservation to `bytes` if the limit allows it, or shrinks it, even if the limit is
    /// exceeded. Returns whether it did.
    #[must_use]
    pub fn resize(&mut self, bytes: usize) -> bool {
        if bytes > self.bytes && !self.budget.take(bytes - self.bytes) {
            return false;
        }
        self.budget.give_back(self.bytes.saturating_sub(bytes));
        self.bytes = bytes;
        true
    }

    /// Replaces the reservation with the actual size, which stays taken.
    pub fn settle(mut self, bytes: usize) {
        self.budget.correct(self.bytes, bytes);
        self.bytes = 0;
    }

    /// Returns the budget that the bytes belong to.
    #[must_use]
    pub fn budget(&self) -> &Arc<MemoryBudget> {
        &self.budget
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reservation_shrinks_while_the_limit_is_exceeded() {
        let budget = Arc::new(MemoryBudget::new(100));
        let mut reservation = budget.reserve(60).unwrap();
        budget.correct(0, 50);
        assert_eq!((reservation.resize(61), budget.taken()), (false, 110));
        assert_eq!((reservation.resize(60), budget.taken()), (true, 110));
        assert_eq!((reservation.resize(55), budget.taken()), (true, 105));
        assert_eq!((reservation.resize(10), budget.taken()), (true, 60));
        assert_eq!((reservation.resize(50), budget.taken()), (true, 100));
        reservation.settle(20);
        assert_eq!(budget.taken(), 70);
    }
}
