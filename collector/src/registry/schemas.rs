//! Schemas, each kept once however many agents report by it.
//!
//! What a schema takes is counted and taken of the budget before its plan is made, and its plan is made holding no lock.
//!
//! A schema in use is pinned by its sessions. One that is not stays for whoever comes back with it, until the
//! room is wanted: the longest unused goes first.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use fleetgauge_proto::schema::{Family, FamilyKind, Series};
use fleetgauge_proto::{Code, Fingerprint, Schema};
use parking_lot::Mutex;

use crate::budget::Budget;
use crate::exposition::{FamilyHead, Format, Plan, PlanSize};

/// A schema with what is made of it once.
#[derive(Debug)]
pub struct SchemaEntry {
    key: u64,
    schema: Schema,
    plan: Plan,
    size: PlanSize,
    /// Of its payload.
    bytes: usize,
    /// Of memory.
    memory: usize,
    pins: AtomicUsize,
    last_used: AtomicU64,
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
        &self.schema
    }

    /// How its values are written.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Most bytes of a page that shows one of its agents, whose labels take so many.
    #[must_use]
    pub fn page_bytes(&self, labels: usize) -> usize {
        self.size.page_bytes(labels)
    }
}

/// Keeps a schema from being forgotten.
#[derive(Debug)]
pub struct Pinned(Arc<SchemaEntry>);

impl Pinned {
    pub(super) fn new(entry: &Arc<SchemaEntry>) -> Self {
        entry.pins.fetch_add(1, Ordering::Relaxed);
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
        self.0.pins.fetch_sub(1, Ordering::Release);
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
        SHOWN_BYTES + lines.iter().sum::<usize>()
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
    size_of::<SchemaEntry>() + families + label_names.sum::<usize>() + size.memory
}

/// Of a sample name in the map of names; of a family among those that are shown, beside its heading and the texts in them.
const NAME_BYTES: usize = 140;
const SHOWN_BYTES: usize = 800;

/// All schemas of the collector.
#[derive(Debug)]
pub struct SchemaStore {
    room: Room,
    budget: Arc<Budget>,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    by_fingerprint: HashMap<Fingerprint, Arc<SchemaEntry>>,
    bytes: usize,
    /// Counts interns: the store's own time.
    uses: u64,
}

impl SchemaStore {
    pub(super) fn new(room: Room, budget: Arc<Budget>) -> Self {
        Self { room, budget, kept: Mutex::default() }
    }

    /// The schema with this fingerprint, if it is kept.
    pub fn find(&self, fingerprint: &Fingerprint) -> Option<Pinned> {
        let mut kept = self.kept.lock();
        kept.uses += 1;
        let entry = kept.by_fingerprint.get(fingerprint)?;
        entry.last_used.store(kept.uses, Ordering::Relaxed);
        Some(Pinned::new(entry))
    }

    /// Keeps a schema whose payload had `bytes`, or finds it kept already.
    ///
    /// # Errors
    /// [`Code::SchemasFull`] if there is no room and all that is kept is in use; [`Code::CollectorFull`] if there is
    /// no memory left for it.
    pub fn intern(
        &self,
        fingerprint: Fingerprint,
        schema: Schema,
        bytes: usize,
    ) -> Result<Pinned, Code> {
        let size = PlanSize::of(&schema);
        let memory = memory(&schema, &size);
        self.take(memory)?;
        let plan = Plan::new(&schema);
        let mut kept = self.kept.lock();
        kept.uses += 1;
        let uses = kept.uses;
        let known = kept.by_fingerprint.contains_key(&fingerprint);
        if known || !self.make_room(&mut kept, bytes) {
            self.budget.give_back(memory);
        } else {
            kept.bytes += bytes;
            let entry = SchemaEntry {
                key: uses,
                schema,
                plan,
                size,
                bytes,
                memory,
                pins: AtomicUsize::new(0),
                last_used: AtomicU64::new(0),
            };
            kept.by_fingerprint.insert(fingerprint, Arc::new(entry));
        }
        let entry = kept.by_fingerprint.get(&fingerprint).ok_or(Code::SchemasFull)?;
        entry.last_used.store(uses, Ordering::Relaxed);
        Ok(Pinned::new(entry))
    }

    /// Takes memory for a schema; the longest unused ones make room.
    fn take(&self, memory: usize) -> Result<(), Code> {
        while !self.budget.take(memory) {
            if !self.forget_oldest(&mut self.kept.lock()) {
                self.budget.refused();
                return Err(Code::CollectorFull);
            }
        }
        Ok(())
    }

    /// Makes room for a schema whose payload has `bytes`; `false` if all that is kept is in use.
    fn make_room(&self, kept: &mut Kept, bytes: usize) -> bool {
        while kept.by_fingerprint.len() >= self.room.schemas || kept.bytes + bytes > self.room.bytes
        {
            if !self.forget_oldest(kept) {
                return false;
            }
        }
        true
    }

    /// Forgets all that are not in use.
    pub fn forget_unused(&self) {
        let mut kept = self.kept.lock();
        let Kept { by_fingerprint, bytes, .. } = &mut *kept;
        by_fingerprint.retain(|_, entry| {
            let is_used = entry.pins.load(Ordering::Acquire) > 0;
            if !is_used {
                *bytes -= entry.bytes;
                self.budget.give_back(entry.memory);
            }
            is_used
        });
    }

    /// Forgets the longest unused; `false` if all are in use.
    fn forget_oldest(&self, kept: &mut Kept) -> bool {
        let oldest = kept
            .by_fingerprint
            .iter()
            .filter(|(_, entry)| entry.pins.load(Ordering::Acquire) == 0)
            .min_by_key(|(_, entry)| entry.last_used.load(Ordering::Relaxed))
            .map(|(fingerprint, _)| *fingerprint);
        let Some(forgotten) = oldest.and_then(|oldest| kept.by_fingerprint.remove(&oldest)) else {
            return false;
        };
        kept.bytes -= forgotten.bytes;
        self.budget.give_back(forgotten.memory);
        true
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
