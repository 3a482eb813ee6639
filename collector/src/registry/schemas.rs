//! Schemas, each kept once however many agents report by it.
//!
//! What a schema takes is counted and taken of the budget before its plan is made, and its plan is made holding no lock.
//!
//! A schema in use is pinned by its sessions. One that is not stays for whoever comes back with it, until the
//! room is wanted: the longest unused goes first.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};

use fleetgauge_proto::schema::{Family, FamilyKind, Series};
use fleetgauge_proto::{Code, Fingerprint, Schema};
use parking_lot::Mutex;

use super::families::{DECLARED_BYTES, NAME_BYTES};
use crate::budget::Budget;
use crate::exposition::{FamilyHead, Format, Plan, PlanSize};

/// A schema and what it will take, before anything is made of it.
#[derive(Debug)]
pub struct MeasuredSchema {
    schema: Schema,
    size: PlanSize,
    /// Of memory, all that is made of it included.
    memory: usize,
}

impl MeasuredSchema {
    /// The schema.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Most bytes of a page that shows one of its agents, whose labels take so many.
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

/// A schema with what is made of it once.
#[derive(Debug)]
pub struct SchemaEntry {
    key: u64,
    fingerprint: Fingerprint,
    measured: MeasuredSchema,
    plan: Plan,
    /// Of its payload.
    bytes: usize,
    /// Where it is kept.
    kept: Weak<Mutex<Kept>>,
}

impl SchemaEntry {
    /// A number of its own, never given again.
    #[must_use]
    pub fn key(&self) -> u64 {
        self.key
    }

    /// The schema.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.measured.schema
    }

    /// The schema and what it takes.
    #[must_use]
    pub fn measured(&self) -> &MeasuredSchema {
        &self.measured
    }

    /// How its values are written.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }
}

/// Keeps a schema from being forgotten.
#[derive(Debug)]
pub struct Pinned(Arc<SchemaEntry>);

impl Pinned {
    pub(super) fn new(entry: &Arc<SchemaEntry>) -> Self {
        if let Some(kept) = entry.kept.upgrade() {
            kept.lock().pin(entry);
        }
        Self(Arc::clone(entry))
    }

    /// The schema that is pinned.
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

/// How much may be kept.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// Most schemas.
    pub schemas: usize,
    /// Most bytes of their payloads together.
    pub bytes: usize,
}

/// Bytes of memory that a schema takes with all that is made of it: its plan, and its families' names and headings.
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
    size_of::<SchemaEntry>() + PLACE_BYTES + families + label_names.sum::<usize>() + size.memory
}

/// Of a schema in the map of schemas and among the unused: a map may be half empty after it has grown, and so may a tree.
const PLACE_BYTES: usize =
    2 * (size_of::<(Fingerprint, Place)>() + size_of::<(u64, Fingerprint)>());

/// All schemas of the collector.
#[derive(Debug)]
pub struct SchemaStore {
    room: Room,
    budget: Arc<Budget>,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    by_fingerprint: HashMap<Fingerprint, Place>,
    /// The fingerprints of those that are not in use, by when that began: no search for the longest unused.
    unused: BTreeMap<u64, Fingerprint>,
    bytes: usize,
    /// Bytes and memory of those that are not in use.
    unused_bytes: usize,
    unused_memory: usize,
    /// Counts entries and what becomes unused: the store's own time.
    moment: u64,
}

#[derive(Debug)]
struct Place {
    entry: Arc<SchemaEntry>,
    pins: usize,
    /// Its key in `unused` while there are no pins.
    unused_since: u64,
}

impl Kept {
    fn pin(&mut self, entry: &SchemaEntry) {
        let Some(place) = self.by_fingerprint.get_mut(&entry.fingerprint) else { return };
        if place.entry.key != entry.key {
            return;
        }
        if place.pins == 0 && self.unused.remove(&place.unused_since).is_some() {
            self.unused_bytes -= entry.bytes;
            self.unused_memory -= entry.measured.memory;
        }
        place.pins += 1;
    }

    fn unpin(&mut self, entry: &SchemaEntry) {
        let Some(place) = self.by_fingerprint.get_mut(&entry.fingerprint) else { return };
        if place.entry.key != entry.key {
            return;
        }
        place.pins -= 1;
        if place.pins == 0 {
            self.moment += 1;
            place.unused_since = self.moment;
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

    /// Forgets the longest unused; `None` if all are in use.
    fn forget_oldest(&mut self) -> Option<Arc<SchemaEntry>> {
        let (_, fingerprint) = self.unused.pop_first()?;
        let Place { entry, .. } = self.by_fingerprint.remove(&fingerprint)?;
        self.bytes -= entry.bytes;
        self.unused_bytes -= entry.bytes;
        self.unused_memory -= entry.measured.memory;
        Some(entry)
    }
}

impl SchemaStore {
    pub(super) fn new(room: Room, budget: Arc<Budget>) -> Self {
        Self { room, budget, kept: Arc::default() }
    }

    /// The schema with this fingerprint, if it is kept.
    pub fn find(&self, fingerprint: &Fingerprint) -> Option<Pinned> {
        self.kept.lock().find(fingerprint)
    }

    /// Keeps a schema whose payload had `bytes`, or finds it kept already, also when there is no room left. For one that is
    /// refused nothing is made and no other is forgotten, unless another schema takes the room while its plan is made.
    ///
    /// # Errors
    /// If it is not kept yet: [`Code::SchemasFull`] if there is no room and all that is kept is in use;
    /// [`Code::CollectorFull`] if there is no memory left for it.
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
        // Meanwhile another agent may have declared the same, or taken the room.
        if let Some(known) = kept.find(&fingerprint) {
            self.budget.give_back(memory);
            return Ok(known);
        }
        if !self.has_room(&kept, bytes) {
            self.budget.give_back(memory);
            return Err(Code::SchemasFull);
        }
        while kept.by_fingerprint.len() >= self.room.schemas || kept.bytes + bytes > self.room.bytes
        {
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
        let place = Place { entry: Arc::clone(&entry), pins: 1, unused_since: 0 };
        kept.by_fingerprint.insert(fingerprint, place);
        Ok(Pinned(entry))
    }

    /// Takes memory for a schema, or finds it kept already; the longest unused ones make room, if there will be enough.
    fn take(
        &self,
        fingerprint: &Fingerprint,
        bytes: usize,
        memory: usize,
    ) -> Result<Option<Pinned>, Code> {
        let mut kept = self.kept.lock();
        // Since the session has looked, another agent may have declared the same and taken the last room.
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

    /// Whether a schema whose payload has `bytes` finds room beside those that are in use.
    fn has_room(&self, kept: &Kept, bytes: usize) -> bool {
        kept.by_fingerprint.len() - kept.unused.len() < self.room.schemas
            && kept.bytes - kept.unused_bytes + bytes <= self.room.bytes
    }

    /// Forgets all that are not in use; what was made of them is dropped when the lock is free again.
    pub fn forget_unused(&self) {
        let mut kept = self.kept.lock();
        let forgotten: Vec<_> = std::iter::from_fn(|| self.forget_oldest(&mut kept)).collect();
        drop(kept);
        drop(forgotten);
    }

    /// Forgets the longest unused; `None` if all are in use.
    fn forget_oldest(&self, kept: &mut Kept) -> Option<Arc<SchemaEntry>> {
        let forgotten = kept.forget_oldest()?;
        self.budget.give_back(forgotten.measured.memory);
        Some(forgotten)
    }

    /// How many are kept, in use or not.
    pub fn len(&self) -> usize {
        self.kept.lock().by_fingerprint.len()
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
