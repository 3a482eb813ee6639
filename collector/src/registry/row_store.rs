//! The row store: tables with equal row sets share one copy.
//!
//! The CPUs of a fleet, or the names of its disks, are the same on many hosts.

use std::hash::BuildHasher;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use fleetgauge_proto::rows::TableRows;
use hashbrown::{DefaultHashBuilder, HashTable};
use parking_lot::Mutex;

use super::IDLE_SLOTS;
use crate::limits::memory_budget::MemoryBudget;

/// Number of locks.
const LOCKS: usize = 16;
/// Bytes of stored rows without their texts: the record, its reference counts, its table entry.
const RECORD_BYTES: usize = size_of::<Record>() + 2 * size_of::<usize>() + 16;

type Shard = HashTable<Arc<Record>>;

/// The rows of all agents' tables.
#[derive(Debug, Clone)]
pub(super) struct RowStore(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    shards: [Mutex<Shard>; LOCKS],
    hasher: DefaultHashBuilder,
    budget: Arc<MemoryBudget>,
}

#[derive(Debug)]
struct Record {
    rows: TableRows,
    /// Hash of the rows, so that the table grows without hashing all texts again.
    hash: u64,
    store: Arc<Shared>,
}

/// Rows in the store. They leave it with the last reference to them.
#[derive(Debug, Clone, Default)]
pub struct SharedRows(
    /// `None` for no rows, which are not stored.
    Option<Arc<Record>>,
);

impl RowStore {
    pub(super) fn new(budget: Arc<MemoryBudget>) -> Self {
        let shards = std::array::from_fn(|_| Mutex::default());
        Self(Arc::new(Shared { shards, hasher: DefaultHashBuilder::default(), budget }))
    }

    /// Stores rows, or returns the equal ones that are stored. `take` takes memory from the budget,
    /// in bytes; no lock is held meanwhile.
    ///
    /// # Errors
    /// Those of `take`.
    pub(super) fn intern<E>(
        &self,
        rows: TableRows,
        take: impl FnOnce(usize) -> Result<(), E>,
    ) -> Result<SharedRows, E> {
        if rows.is_empty() {
            return Ok(SharedRows::default());
        }
        let Self(store) = self;
        let hash = store.hasher.hash_one(&rows);
        if let Some(known) = find(&store.shard(hash).lock(), hash, &rows) {
            return Ok(known);
        }
        let bytes = bytes(&rows);
        take(bytes)?;
        let mut shard = store.shard(hash).lock();
        // Another agent can have added the same rows meanwhile.
        if let Some(known) = find(&shard, hash, &rows) {
            store.budget.give_back(bytes);
            return Ok(known);
        }
        let record = Arc::new(Record { rows, hash, store: Arc::clone(store) });
        shard.insert_unique(hash, Arc::clone(&record), |other| other.hash);
        Ok(SharedRows(Some(record)))
    }

    /// Frees idle capacity, for example after a fleet has disconnected.
    pub(super) fn shrink(&self) {
        for shard in &self.0.shards {
            let mut shard = shard.lock();
            if shard.capacity() > IDLE_SLOTS / LOCKS + 8 * shard.len() {
                shard.shrink_to_fit(|record| record.hash);
            }
        }
    }

    /// Returns the number of rows that fit without growth.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.0.shards.iter().map(|shard| shard.lock().capacity()).sum()
    }

    /// Returns the number of distinct row sets.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.shards.iter().map(|shard| shard.lock().len()).sum()
    }
}

impl Shared {
    fn shard(&self, hash: u64) -> &Mutex<Shard> {
        &self.shards[usize::try_from(hash >> 32).unwrap_or(0) % LOCKS]
    }
}

impl SharedRows {
    /// No rows.
    pub(super) const NONE: &Self = &Self(None);

    /// Returns the rows.
    #[must_use]
    pub fn rows(&self) -> &TableRows {
        static NONE: OnceLock<TableRows> = OnceLock::new();
        let none = || NONE.get_or_init(TableRows::default);
        self.0.as_ref().map_or_else(none, |record| &record.rows)
    }
}

impl Deref for SharedRows {
    type Target = TableRows;

    fn deref(&self) -> &TableRows {
        self.rows()
    }
}

impl Drop for SharedRows {
    fn drop(&mut self) {
        let Some(own) = self.0.take() else { return };
        let store = Arc::clone(&own.store);
        let mut shard = store.shard(own.hash).lock();
        // New references are cloned from existing ones or made under the lock. A count of two means
        // that only `own` and the hash table hold the record.
        if Arc::strong_count(&own) == 2
            && let Ok(entry) = shard.find_entry(own.hash, |other| Arc::ptr_eq(other, &own))
        {
            entry.remove();
            store.budget.give_back(bytes(&own.rows));
        }
        drop(own);
        drop(shard);
    }
}

/// Finds stored rows.
fn find(shard: &Shard, hash: u64, rows: &TableRows) -> Option<SharedRows> {
    let known = shard.find(hash, |other| other.rows == *rows)?;
    Some(SharedRows(Some(Arc::clone(known))))
}

/// Returns the bytes of rows in the store.
fn bytes(rows: &TableRows) -> usize {
    RECORD_BYTES + rows.bytes()
}
