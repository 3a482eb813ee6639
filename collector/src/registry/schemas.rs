//! The schema store: each schema is stored once, however many agents use it.
//!
//! The memory of a schema is computed and taken from the budget before its plan is built. The plan
//! is built without holding a lock.
//!
//! Sessions pin the schemas that they use. Unpinned schemas stay for returning agents until the
//! limits are reached; then the least recently used is evicted first.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};

use fleetgauge_proto::schema::{Family, FamilyKind, Series};
use fleetgauge_proto::{Code, Fingerprint, Schema};
use parking_lot::Mutex;

use super::families::{DECLARED_BYTES, NAME_BYTES};
use crate::exposition::{FamilyHead, Format, Plan, PlanSize};
use crate::limits::memory_budget::MemoryBudget;

/// A schema with its size, before its plan is built.
#[derive(Debug)]
pub struct MeasuredSchema {
    schema: Schema,
    size: PlanSize,
    /// Memory of the schema with its plan, in bytes.
    memory: usize,
}

impl MeasuredSchema {
    /// Returns the schema.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Returns the maximum page size of an agent whose labels have this many bytes.
    #[must_use]
    pub fn page_bytes(&self, labels: usize) -> usize {
        self.size.page_bytes(labels)
    }
}

impl From<Schema> for MeasuredSchema {
    fn from(schema: Schema) -> Self {
        let size = PlanSize::of(&schema);
        let memory = memory(&schema, &size);
        Self { schema, size, memory }
    }
}

/// A schema in the store, with its plan.
#[derive(Debug)]
pub struct SchemaEntry {
    key: u64,
    fingerprint: Fingerprint,
    measured: MeasuredSchema,
    plan: Plan,
    /// Size of the schema's payload, in bytes.
    bytes: usize,
    /// State of the store that contains this entry.
    kept: Weak<Mutex<Kept>>,
}

impl SchemaEntry {
    /// Returns the schema's key, which is never reused.
    #[must_use]
    pub fn key(&self) -> u64 {
        self.key
    }

    /// Returns the schema.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.measured.schema
    }

    /// Returns the schema with its size.
    #[must_use]
    pub fn measured(&self) -> &MeasuredSchema {
        &self.measured
    }

    /// Returns the plan by which the schema's values are rendered.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }
}

/// Keeps a schema in the store until this handle is dropped.
#[derive(Debug)]
pub struct Pinned(Arc<SchemaEntry>);

impl Pinned {
    pub(super) fn new(entry: &Arc<SchemaEntry>) -> Self {
        if let Some(kept) = entry.kept.upgrade() {
            kept.lock().pin(entry);
        }
        Self(Arc::clone(entry))
    }

    /// Returns the schema.
    #[must_use]
    pub fn entry(&self) -> &Arc<SchemaEntry> {
        &self.0
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if let Some(kept) = self.0.kept.upgrade() {
            kept.lock().unpin(&self.0);
        }
    }
}

/// Limits of the schema store.
#[derive(Debug, Clone, Copy)]
pub struct SchemaLimits {
    /// Maximum number of schemas, pinned or not.
    pub schemas: usize,
    /// Maximum total size of the schemas' payloads, in bytes.
    pub bytes: usize,
}

/// Returns the memory of a schema in bytes, with its plan, its family names and their metadata.
fn memory(schema: &Schema, size: &PlanSize) -> usize {
    let label = |(name, value): (&str, &str)| 2 * size_of::<Box<str>>() + name.len() + value.len();
    let series = |series: &Series| {
        size_of::<Series>()
            + size_of_val(&*series.parameters)
            + series.labels.iter().map(label).sum::<usize>()
    };
    let head = |family: &Family, kind: FamilyKind| {
        let lines = Format::ALL.map(|format| FamilyHead::bytes(family, kind, format));
        DECLARED_BYTES + lines.iter().sum::<usize>()
    };
    let family = |family: &Family| {
        let texts = family.name.len() + family.unit.len() + family.help.len();
        let names = family.sample_names().map(|name| name.len() + family.name.len() + NAME_BYTES);
        let all_series = family.series.iter().map(series).sum::<usize>();
        let head = family.kind.map_or(0, |kind| head(family, kind));
        size_of::<Family>() + all_series + texts + head + names.sum::<usize>()
    };
    let families = schema.families.iter().map(family).sum::<usize>();
    let label_names = schema.label_names.iter().map(|name| size_of::<Box<str>>() + name.len());
    size_of::<SchemaEntry>() + RECORD_BYTES + families + label_names.sum::<usize>() + size.memory
}

/// Memory of a schema's entries in the map and in `unused`, in bytes. Both can be half empty after
/// growth.
const RECORD_BYTES: usize =
    2 * (size_of::<(Fingerprint, KeptSchema)>() + size_of::<(u64, Fingerprint)>());

/// The schemas of all agents.
#[derive(Debug)]
pub struct SchemaStore {
    limits: SchemaLimits,
    budget: Arc<MemoryBudget>,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    by_fingerprint: HashMap<Fingerprint, KeptSchema>,
    /// Fingerprints of the unpinned schemas by the logical time of their last use, oldest first.
    unused: BTreeMap<u64, Fingerprint>,
    bytes: usize,
    /// Total size of the unpinned schemas' payloads, in bytes.
    unused_bytes: usize,
    unused_memory: usize,
    /// Logical clock: counts insertions, and schemas that lost their last pin.
    moment: u64,
}

#[derive(Debug)]
struct KeptSchema {
    entry: Arc<SchemaEntry>,
    pins: usize,
    /// Key of the schema in `unused`, while it has no pins.
    unused_since: u64,
}

impl Kept {
    fn pin(&mut self, entry: &SchemaEntry) {
        let Some(kept) = self.by_fingerprint.get_mut(&entry.fingerprint) else { return };
        if kept.entry.key != entry.key {
            return;
        }
        if kept.pins == 0 && self.unused.remove(&kept.unused_since).is_some() {
            self.unused_bytes -= entry.bytes;
            self.unused_memory -= entry.measured.memory;
        }
        kept.pins += 1;
    }

    fn unpin(&mut self, entry: &SchemaEntry) {
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
            self.unused_memory += entry.measured.memory;
        }
    }

    fn find(&mut self, fingerprint: &Fingerprint) -> Option<Pinned> {
        let entry = Arc::clone(&self.by_fingerprint.get(fingerprint)?.entry);
        self.pin(&entry);
        Some(Pinned(entry))
    }

    /// Evicts the least recently used schema; `None` if all are pinned.
    fn forget_oldest(&mut self) -> Option<Arc<SchemaEntry>> {
        let (_, fingerprint) = self.unused.pop_first()?;
        let KeptSchema { entry, .. } = self.by_fingerprint.remove(&fingerprint)?;
        self.bytes -= entry.bytes;
        self.unused_bytes -= entry.bytes;
        self.unused_memory -= entry.measured.memory;
        Some(entry)
    }
}

impl SchemaStore {
    pub(super) fn new(limits: SchemaLimits, budget: Arc<MemoryBudget>) -> Self {
        Self { limits, budget, kept: Arc::default() }
    }

    /// Returns the schema with this fingerprint.
    pub fn find(&self, fingerprint: &Fingerprint) -> Option<Pinned> {
        self.kept.lock().find(fingerprint)
    }

    /// Adds a schema whose payload is `bytes` long. Returns the stored one if it exists, even when
    /// the limits are reached. Checks the limits before it builds the plan, so that a
    /// schema over the limits costs no plan and no eviction. Checks them again afterwards: another
    /// session can have reached them meanwhile.
    ///
    /// # Errors
    /// For a new schema: [`Code::SchemasFull`] if it does not fit the limits beside the pinned
    /// schemas; [`Code::CollectorFull`] if evicting all others would not free enough memory.
    pub fn intern(
        &self,
        fingerprint: Fingerprint,
        schema: impl Into<MeasuredSchema>,
        bytes: usize,
    ) -> Result<Pinned, Code> {
        let measured = schema.into();
        let memory = measured.memory;
        if let Some(known) = self.take(&fingerprint, bytes, memory)? {
            return Ok(known);
        }
        let plan = Plan::new(&measured.schema);
        let mut kept = self.kept.lock();
        // Another agent can have added the same schema meanwhile, or reached the limits.
        if let Some(known) = kept.find(&fingerprint) {
            self.budget.give_back(memory);
            return Ok(known);
        }
        if !self.has_room(&kept, bytes) {
            self.budget.give_back(memory);
            return Err(Code::SchemasFull);
        }
        let SchemaLimits { schemas, bytes: max_bytes } = self.limits;
        while kept.by_fingerprint.len() >= schemas || kept.bytes + bytes > max_bytes {
            self.forget_oldest(&mut kept);
        }
        kept.bytes += bytes;
        kept.moment += 1;
        let entry = Arc::new(SchemaEntry {
            key: kept.moment,
            fingerprint,
            measured,
            plan,
            bytes,
            kept: Arc::downgrade(&self.kept),
        });
        let slot = KeptSchema { entry: Arc::clone(&entry), pins: 1, unused_since: 0 };
        kept.by_fingerprint.insert(fingerprint, slot);
        Ok(Pinned(entry))
    }

    /// Takes memory for a schema, or returns the schema if it exists. Evicts unpinned schemas if
    /// that frees enough memory.
    fn take(
        &self,
        fingerprint: &Fingerprint,
        bytes: usize,
        memory: usize,
    ) -> Result<Option<Pinned>, Code> {
        let mut kept = self.kept.lock();
        // Another agent can have added the same schema since the session looked it up, and reached
        // the limits.
        if let Some(known) = kept.find(fingerprint) {
            return Ok(Some(known));
        }
        if !self.has_room(&kept, bytes) {
            return Err(Code::SchemasFull);
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

    /// Whether the limits allow a schema whose payload has `bytes`, next to the pinned schemas.
    fn has_room(&self, kept: &Kept, bytes: usize) -> bool {
        kept.by_fingerprint.len() - kept.unused.len() < self.limits.schemas
            && kept.bytes - kept.unused_bytes + bytes <= self.limits.bytes
    }

    /// Evicts all unpinned schemas. They are dropped after the lock is released.
    pub fn forget_unused(&self) {
        let mut kept = self.kept.lock();
        let forgotten: Vec<_> = std::iter::from_fn(|| self.forget_oldest(&mut kept)).collect();
        drop(kept);
        drop(forgotten);
    }

    /// Evicts the least recently used schema; `None` if all are pinned.
    fn forget_oldest(&self, kept: &mut Kept) -> Option<Arc<SchemaEntry>> {
        let forgotten = kept.forget_oldest()?;
        self.budget.give_back(forgotten.measured.memory);
        Some(forgotten)
    }

    /// Returns the number of schemas.
    pub fn len(&self) -> usize {
        self.kept.lock().by_fingerprint.len()
    }

    /// Whether there are no schemas.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
