//! The row store: equal rows of tables are stored once, however many agents have them.
//!
//! The CPUs of a fleet, or the names of its disks, are the same on many hosts.

use std::hash::BuildHasher;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use fleetgauge_proto::Code;
use fleetgauge_proto::rows::TableRows;
use hashbrown::{DefaultHashBuilder, HashTable};
use parking_lot::Mutex;

use crate::limits::memory_budget::MemoryBudget;

/// Number of locks.
const SHARDS: usize = 16;
/// Bytes of stored rows without their texts: the record, its reference counts, its table entry.
const RECORD_BYTES: usize = size_of::<Record>() + 2 * size_of::<usize>() + 16;

/// The rows of all agents' tables.
#[derive(Debug, Clone)]
pub(super) struct RowStore(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    shards: [Mutex<HashTable<Arc<Record>>>; SHARDS],
    hasher: DefaultHashBuilder,
    budget: Arc<MemoryBudget>,
}

#[derive(Debug)]
struct Record {
    rows: TableRows,
    store: Arc<Shared>,
}

/// Rows in the store. They leave it with the last reference to them.
#[derive(Debug, Clone)]
pub struct SharedRows(
    /// `None` only while it is dropped.
    Option<Arc<Record>>,
);

impl RowStore {
    pub(super) fn new(budget: Arc<MemoryBudget>) -> Self {
        let shards = std::array::from_fn(|_| Mutex::default());
        Self(Arc::new(Shared { shards, hasher: DefaultHashBuilder::default(), budget }))
    }

    /// Stores rows, or returns the equal ones that are stored.
    ///
    /// # Errors
    /// [`Code::CollectorFull`] if the memory limit is reached.
    pub(super) fn intern(&self, rows: TableRows) -> Result<SharedRows, Code> {
        let Self(store) = self;
        let hash = store.hasher.hash_one(&rows);
        let mut shard = store.shard(hash).lock();
        if let Some(known) = shard.find(hash, |other| other.rows == rows) {
            return Ok(SharedRows(Some(Arc::clone(known))));
        }
        if !store.budget.take(bytes(&rows)) {
            store.budget.refused();
            return Err(Code::CollectorFull);
        }
        let record = Arc::new(Record { rows, store: Arc::clone(store) });
        let again = |other: &Arc<Record>| store.hasher.hash_one(&other.rows);
        shard.insert_unique(hash, Arc::clone(&record), again);
        Ok(SharedRows(Some(record)))
    }

    /// Returns the number of different rows of tables.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.shards.iter().map(|shard| shard.lock().len()).sum()
    }
}

impl Shared {
    fn shard(&self, hash: u64) -> &Mutex<HashTable<Arc<Record>>> {
        &self.shards[usize::try_from(hash >> 32).unwrap_or(0) % SHARDS]
    }
}

impl SharedRows {
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
        let hash = store.hasher.hash_one(&own.rows);
        let mut shard = store.shard(hash).lock();
        // The count rises only through a reference, and falls only under the lock: two are this one
        // and that of the table.
        if Arc::strong_count(&own) == 2
            && let Ok(entry) = shard.find_entry(hash, |other| Arc::ptr_eq(other, &own))
        {
            entry.remove();
            store.budget.give_back(bytes(&own.rows));
        }
        drop(own);
        drop(shard);
    }
}

/// Returns the bytes of rows in the store.
fn bytes(rows: &TableRows) -> usize {
    RECORD_BYTES + rows.bytes()
}
