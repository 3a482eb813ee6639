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
    state: Weak<Mutex<StoreState>>,
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
pub struct CatalogPin(Arc<CatalogEntry>);

impl CatalogPin {
    pub(super) fn new(entry: &Arc<CatalogEntry>) -> Self {
        if let Some(state) = entry.state.upgrade() {
            state.lock().pin(entry);
        }
        Self(Arc::clone(entry))
    }

    /// Returns the catalog.
    #[must_use]
    pub fn entry(&self) -> &Arc<CatalogEntry> {
        &self.0
    }
}

impl Clone for CatalogPin {
    fn clone(&self) -> Self {
        Self::new(&self.0)
    }
}

impl Drop for CatalogPin {
    fn drop(&mut self) {
        if let Some(state) = self.0.state.upgrade() {
            state.lock().unpin(&self.0);
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
    2 * (size_of::<(Fingerprint, StoredCatalog)>() + size_of::<(u64, Fingerprint)>());

/// The catalogs of all agents.
#[derive(Debug)]
pub struct CatalogStore {
    limits: CatalogLimits,
    budget: Arc<MemoryBudget>,
    /// Hashes sample names. Its key is random, so that no agent can choose names with equal hashes.
    hasher: DefaultHashBuilder,
    state: Arc<Mutex<StoreState>>,
}

#[derive(Debug, Default)]
struct StoreState {
    by_fingerprint: HashMap<Fingerprint, StoredCatalog>,
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
struct StoredCatalog {
    entry: Arc<CatalogEntry>,
    pins: usize,
    /// Key of the catalog in `unused`, while it has no pins.
    unused_since: u64,
}

impl StoreState {
    fn pin(&mut self, entry: &CatalogEntry) {
        let Some(stored) = self.by_fingerprint.get_mut(&entry.fingerprint) else { return };
        if stored.entry.key != entry.key {
            return;
        }
        if stored.pins == 0 && self.unused.remove(&stored.unused_since).is_some() {
            self.unused_bytes -= entry.bytes;
            self.unused_memory -= entry.measured.memory();
        }
        stored.pins += 1;
    }

    fn unpin(&mut self, entry: &CatalogEntry) {
        let Some(stored) = self.by_fingerprint.get_mut(&entry.fingerprint) else { return };
        if stored.entry.key != entry.key {
            return;
        }
        stored.pins -= 1;
        if stored.pins == 0 {
            self.moment += 1;
            stored.unused_since = self.moment;
            self.unused.insert(self.moment, entry.fingerprint);
            self.unused_bytes += entry.bytes;
            self.unused_memory += entry.measured.memory();
        }
    }

    fn find(&mut self, fingerprint: &Fingerprint) -> Option<CatalogPin> {
        let entry = Arc::clone(&self.by_fingerprint.get(fingerprint)?.entry);
        self.pin(&entry);
        Some(CatalogPin(entry))
    }

    /// Evicts the least recently used catalog; `None` if all are pinned.
    fn evict_oldest(&mut self) -> Option<Arc<CatalogEntry>> {
        let (_, fingerprint) = self.unused.pop_first()?;
        let StoredCatalog { entry, .. } = self.by_fingerprint.remove(&fingerprint)?;
        self.bytes -= entry.bytes;
        self.unused_bytes -= entry.bytes;
        self.unused_memory -= entry.measured.memory();
        Some(entry)
    }
}

impl CatalogStore {
    pub(super) fn new(limits: CatalogLimits, budget: Arc<MemoryBudget>) -> Self {
        Self { limits, budget, hasher: DefaultHashBuilder::default(), state: Arc::default() }
    }

    /// Returns the catalog with this fingerprint.
    pub fn find(&self, fingerprint: &Fingerprint) -> Option<CatalogPin> {
        self.state.lock().find(fingerprint)
    }

    /// Adds a catalog whose payload has `bytes`. Returns the stored one if it exists, even when the
    /// limits are reached. A refused catalog allocates nothing and evicts no other, unless another
    /// one fills the limits while the refused catalog's plan is built.
    ///
    /// # Errors
    /// For a new catalog: [`Code::CatalogsFull`] if the limits are reached and all catalogs are
    /// pinned; [`Code::CollectorFull`] if the memory limit is reached.
    pub fn intern(
        &self,
        fingerprint: Fingerprint,
        catalog: impl Into<MeasuredCatalog>,
        bytes: usize,
    ) -> Result<CatalogPin, Code> {
        let measured = catalog.into();
        let memory = measured.memory();
        if let Some(known) = self.take(&fingerprint, bytes, memory)? {
            return Ok(known);
        }
        let plan = Plan::new(measured.catalog());
        #[expect(clippy::cast_possible_truncation, reason = "a part of the hash is enough")]
        let hash = |name: &str| self.hasher.hash_one(name) as u32;
        let names = SampleNames::new(&measured.catalog().families, hash);
        let mut state = self.state.lock();
        // Another agent can have added the same catalog meanwhile, or reached the limits.
        if let Some(known) = state.find(&fingerprint) {
            self.budget.give_back(memory);
            return Ok(known);
        }
        if !self.has_room(&state, bytes) {
            self.budget.give_back(memory);
            return Err(Code::CatalogsFull);
        }
        let CatalogLimits { catalogs, bytes: max_bytes } = self.limits;
        while state.by_fingerprint.len() >= catalogs || state.bytes + bytes > max_bytes {
            self.evict_oldest(&mut state);
        }
        state.bytes += bytes;
        state.moment += 1;
        let entry = Arc::new(CatalogEntry {
            key: state.moment,
            fingerprint,
            measured,
            plan,
            names,
            bytes,
            state: Arc::downgrade(&self.state),
        });
        let slot = StoredCatalog { entry: Arc::clone(&entry), pins: 1, unused_since: 0 };
        state.by_fingerprint.insert(fingerprint, slot);
        Ok(CatalogPin(entry))
    }

    /// Takes memory for a catalog, or returns the catalog if it exists. Evicts unpinned catalogs if
    /// that frees enough memory.
    fn take(
        &self,
        fingerprint: &Fingerprint,
        bytes: usize,
        memory: usize,
    ) -> Result<Option<CatalogPin>, Code> {
        let mut state = self.state.lock();
        // Another agent can have added the same catalog since the session looked it up, and reached
        // the limits.
        if let Some(known) = state.find(fingerprint) {
            return Ok(Some(known));
        }
        if !self.has_room(&state, bytes) {
            return Err(Code::CatalogsFull);
        }
        let others = self.budget.taken().saturating_sub(state.unused_memory);
        let mut enough = others.saturating_add(memory) <= self.budget.limit();
        while enough && !self.budget.take(memory) {
            enough = self.evict_oldest(&mut state).is_some();
        }
        if !enough {
            self.budget.refused();
            return Err(Code::CollectorFull);
        }
        Ok(None)
    }

    /// Whether the limits allow a catalog whose payload has `bytes`, next to the pinned catalogs.
    fn has_room(&self, state: &StoreState, bytes: usize) -> bool {
        state.by_fingerprint.len() - state.unused.len() < self.limits.catalogs
            && state.bytes - state.unused_bytes + bytes <= self.limits.bytes
    }

    /// Evicts all unpinned catalogs. They are dropped after the lock is released.
    pub fn evict_unused(&self) {
        let mut state = self.state.lock();
        let evicted: Vec<_> = std::iter::from_fn(|| self.evict_oldest(&mut state)).collect();
        drop(state);
        drop(evicted);
    }

    /// Evicts the least recently used catalog; `None` if all are pinned.
    fn evict_oldest(&self, state: &mut StoreState) -> Option<Arc<CatalogEntry>> {
        let evicted = state.evict_oldest()?;
        self.budget.give_back(evicted.measured.memory());
        Some(evicted)
    }

    /// Returns the catalogs of connected agents.
    pub(crate) fn in_use(&self) -> Vec<Arc<CatalogEntry>> {
        let state = self.state.lock();
        let in_use = state.by_fingerprint.values().filter(|stored| stored.pins > 0);
        in_use.map(|stored| Arc::clone(&stored.entry)).collect()
    }

    /// Returns the number of catalogs.
    pub fn len(&self) -> usize {
        self.state.lock().by_fingerprint.len()
    }

    /// Whether there are no catalogs.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
