//! The catalog store: each catalog is stored once, however many agents use it.
//!
//! The memory of a catalog is computed and taken from the budget before its plan is built. The plan
//! is built without holding a lock.
//!
//! Sessions pin the catalogs that they use. Unpinned catalogs stay for returning agents until the
//! limits are reached; then the least recently used is evicted first.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;
use std::sync::{Arc, Weak};

use fleetgauge_proto::{Catalog, Code, Fingerprint};
use hashbrown::DefaultHashBuilder;
use parking_lot::Mutex;

use super::measured_catalog::MeasuredCatalog;
use super::sample_names::{NamedFamilies, SampleNames};
use crate::exposition::Plan;
use crate::limits::memory_budget::MemoryBudget;

/// A catalog in the store, with its plan.
#[derive(Debug)]
pub struct CatalogEntry {
    key: u64,
    fingerprint: Fingerprint,
    measured: MeasuredCatalog,
    plan: Plan,
    names: SampleNames,
    /// Size of the catalog's payload, in bytes.
    bytes: usize,
    /// State of the store that contains this entry.
    kept: Weak<Mutex<Kept>>,
}

impl CatalogEntry {
    /// Returns its key, which is never reused.
    #[must_use]
    pub fn key(&self) -> u64 {
        self.key
    }

    /// The catalog.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        self.measured.catalog()
    }

    /// Returns the catalog with its size.
    #[must_use]
    pub fn measured(&self) -> &MeasuredCatalog {
        &self.measured
    }

    /// Returns the plan by which the catalog's values are rendered.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Returns its families with their sample names.
    pub(super) fn named_families(&self) -> NamedFamilies<'_> {
        NamedFamilies { families: &self.catalog().families, names: &self.names }
    }
}

/// Keeps a catalog in the store until this handle is dropped.
#[derive(Debug)]
pub struct Pinned(Arc<CatalogEntry>);

impl Pinned {
    pub(super) fn new(entry: &Arc<CatalogEntry>) -> Self {
        if let Some(kept) = entry.kept.upgrade() {
            kept.lock().pin(entry);
        }
        Self(Arc::clone(entry))
    }

    /// Returns the catalog.
    #[must_use]
    pub fn entry(&self) -> &Arc<CatalogEntry> {
        &self.0
    }
}

impl Clone for Pinned {
    fn clone(&self) -> Self {
        Self::new(&self.0)
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if let Some(kept) = self.0.kept.upgrade() {
            kept.lock().unpin(&self.0);
        }
    }
}

/// Limits of the catalog store.
#[derive(Debug, Clone, Copy)]
pub struct CatalogLimits {
    /// Maximum number of catalogs, pinned or not.
    pub catalogs: usize,
    /// Maximum total bytes of their payloads.
    pub bytes: usize,
}

/// Bytes of a catalog in the map and in `unused`. Both can be half empty after growth.
pub(super) const RECORD_BYTES: usize =
    2 * (size_of::<(Fingerprint, KeptCatalog)>() + size_of::<(u64, Fingerprint)>());

/// The catalogs of all agents.
#[derive(Debug)]
pub struct CatalogStore {
    limits: CatalogLimits,
    budget: Arc<MemoryBudget>,
    /// Hashes sample names. Its key is random, so that no agent can choose names with equal hashes.
    hasher: DefaultHashBuilder,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    by_fingerprint: HashMap<Fingerprint, KeptCatalog>,
    /// Unpinned catalogs, the least recently used first.
    unused: BTreeMap<u64, Fingerprint>,
    /// Payload bytes of all catalogs.
    bytes: usize,
    /// Payload bytes of the unpinned catalogs.
    unused_bytes: usize,
    /// Memory of the unpinned catalogs, in bytes.
    unused_memory: usize,
    /// Logical clock: counts insertions, and catalogs that lost their last pin.
    moment: u64,
}

#[derive(Debug)]
struct KeptCatalog {
    entry: Arc<CatalogEntry>,
    pins: usize,
    /// Key of the catalog in `unused`, while it has no pins.
    unused_since: u64,
}

impl Kept {
    fn pin(&mut self, entry: &CatalogEntry) {
        let Some(kept) = self.by_fingerprint.get_mut(&entry.fingerprint) else { return };
        if kept.entry.key != entry.key {
            return;
        }
        if kept.pins == 0 && self.unused.remove(&kept.unused_since).is_some() {
            self.unused_bytes -= entry.bytes;
            self.unused_memory -= entry.measured.memory();
        }
        kept.pins += 1;
    }

    fn unpin(&mut self, entry: &CatalogEntry) {
        let Some(kept) = self.by_fingerprint.get_mut(&entry.fingerprint) else { return };
        if kept.entry.key != entry.key {
            return;
        }
        kept.pins -= 1;
        if kept.pins == 0 {
            self.moment += 1;
            kept.unused_since = self.moment;
            self.unused.insert(self.moment, entry.fingerprint);
            self.unused_bytes += entry.bytes;
            self.unused_memory += entry.measured.memory();
        }
    }

    fn find(&mut self, fingerprint: &Fingerprint) -> Option<Pinned> {
        let entry = Arc::clone(&self.by_fingerprint.get(fingerprint)?.entry);
        self.pin(&entry);
        Some(Pinned(entry))
    }

    /// Evicts the least recently used catalog; `None` if all are pinned.
    fn forget_oldest(&mut self) -> Option<Arc<CatalogEntry>> {
        let (_, fingerprint) = self.unused.pop_first()?;
        let KeptCatalog { entry, .. } = self.by_fingerprint.remove(&fingerprint)?;
        self.bytes -= entry.bytes;
        self.unused_bytes -= entry.bytes;
        self.unused_memory -= entry.measured.memory();
        Some(entry)
    }
}

impl CatalogStore {
    pub(super) fn new(limits: CatalogLimits, budget: Arc<MemoryBudget>) -> Self {
        Self { limits, budget, hasher: DefaultHashBuilder::default(), kept: Arc::default() }
    }

    /// Returns the catalog with this fingerprint.
    pub fn find(&self, fingerprint: &Fingerprint) -> Option<Pinned> {
        self.kept.lock().find(fingerprint)
    }

    /// Adds a catalog whose payload has `bytes`. Returns the stored one if it exists, even when the
    /// limits are reached. A refused catalog allocates nothing and evicts no other, unless another
    /// catalog reaches the limits while its plan is built.
    ///
    /// # Errors
    /// For a new catalog: [`Code::CatalogsFull`] if the limits are reached and all catalogs are
    /// pinned; [`Code::CollectorFull`] if the memory limit is reached.
    pub fn intern(
        &self,
        fingerprint: Fingerprint,
        catalog: impl Into<MeasuredCatalog>,
        bytes: usize,
    ) -> Result<Pinned, Code> {
        let measured = catalog.into();
        let memory = measured.memory();
        if let Some(known) = self.take(&fingerprint, bytes, memory)? {
            return Ok(known);
        }
        let plan = Plan::new(measured.catalog());
        #[expect(clippy::cast_possible_truncation, reason = "a part of the hash is enough")]
        let hash = |name: &str| self.hasher.hash_one(name) as u32;
        let names = SampleNames::new(&measured.catalog().families, hash);
        let mut kept = self.kept.lock();
        // Another agent can have added the same catalog meanwhile, or reached the limits.
        if let Some(known) = kept.find(&fingerprint) {
            self.budget.give_back(memory);
            return Ok(known);
        }
        if !self.has_room(&kept, bytes) {
            self.budget.give_back(memory);
            return Err(Code::CatalogsFull);
        }
        let CatalogLimits { catalogs, bytes: max_bytes } = self.limits;
        while kept.by_fingerprint.len() >= catalogs || kept.bytes + bytes > max_bytes {
            self.forget_oldest(&mut kept);
        }
        kept.bytes += bytes;
        kept.moment += 1;
        let entry = Arc::new(CatalogEntry {
            key: kept.moment,
            fingerprint,
            measured,
            plan,
            names,
            bytes,
            kept: Arc::downgrade(&self.kept),
        });
        let slot = KeptCatalog { entry: Arc::clone(&entry), pins: 1, unused_since: 0 };
        kept.by_fingerprint.insert(fingerprint, slot);
        Ok(Pinned(entry))
    }

    /// Takes memory for a catalog, or returns the catalog if it exists. Evicts unpinned catalogs if
    /// that frees enough memory.
    fn take(
        &self,
        fingerprint: &Fingerprint,
        bytes: usize,
        memory: usize,
    ) -> Result<Option<Pinned>, Code> {
        let mut kept = self.kept.lock();
        // Another agent can have added the same catalog since the session looked it up, and reached
        // the limits.
        if let Some(known) = kept.find(fingerprint) {
            return Ok(Some(known));
        }
        if !self.has_room(&kept, bytes) {
            return Err(Code::CatalogsFull);
        }
        let others = self.budget.taken().saturating_sub(kept.unused_memory);
        let mut enough = others.saturating_add(memory) <= self.budget.limit();
        while enough && !self.budget.take(memory) {
            enough = self.forget_oldest(&mut kept).is_some();
        }
        if !enough {
            self.budget.refused();
            return Err(Code::CollectorFull);
        }
        Ok(None)
    }

    /// Whether the limits allow a catalog whose payload has `bytes`, next to the pinned catalogs.
    fn has_room(&self, kept: &Kept, bytes: usize) -> bool {
        kept.by_fingerprint.len() - kept.unused.len() < self.limits.catalogs
            && kept.bytes - kept.unused_bytes + bytes <= self.limits.bytes
    }

    /// Evicts all unpinned catalogs. They are dropped after the lock is released.
    pub fn forget_unused(&self) {
        let mut kept = self.kept.lock();
        let forgotten: Vec<_> = std::iter::from_fn(|| self.forget_oldest(&mut kept)).collect();
        drop(kept);
        drop(forgotten);
    }

    /// Evicts the least recently used catalog; `None` if all are pinned.
    fn forget_oldest(&self, kept: &mut Kept) -> Option<Arc<CatalogEntry>> {
        let forgotten = kept.forget_oldest()?;
        self.budget.give_back(forgotten.measured.memory());
        Some(forgotten)
    }

    /// Returns the number of catalogs.
    pub fn len(&self) -> usize {
        self.kept.lock().by_fingerprint.len()
    }

    /// Whether there are no catalogs.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
