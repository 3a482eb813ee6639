//! Schemas, each kept once however many agents report by it.
//!
//! A schema in use is pinned by its sessions. One that is not stays for whoever comes back with it, until the
//! room is wanted: the longest unused goes first.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use fleetgauge_proto::{Code, Fingerprint, Schema};
use parking_lot::Mutex;

use crate::exposition::Plan;

/// A schema with what is made of it once.
#[derive(Debug)]
pub struct SchemaEntry {
    key: u64,
    schema: Schema,
    plan: Plan,
    bytes: usize,
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

/// All schemas of the collector.
#[derive(Debug)]
pub struct SchemaStore {
    room: Room,
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
    pub(super) fn new(room: Room) -> Self {
        Self { room, kept: Mutex::default() }
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
    /// [`Code::SchemasFull`] if there is no room and all that is kept is in use.
    pub fn intern(
        &self,
        fingerprint: Fingerprint,
        schema: Schema,
        bytes: usize,
    ) -> Result<Pinned, Code> {
        let plan = Plan::new(&schema);
        let mut kept = self.kept.lock();
        kept.uses += 1;
        if !kept.by_fingerprint.contains_key(&fingerprint) {
            self.make_room(&mut kept, bytes)?;
            kept.bytes += bytes;
        }
        let uses = kept.uses;
        let entry = match kept.by_fingerprint.entry(fingerprint) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(room) => room.insert(Arc::new(SchemaEntry {
                key: uses,
                schema,
                plan,
                bytes,
                pins: AtomicUsize::new(0),
                last_used: AtomicU64::new(0),
            })),
        };
        entry.last_used.store(uses, Ordering::Relaxed);
        Ok(Pinned::new(entry))
    }

    fn make_room(&self, kept: &mut Kept, bytes: usize) -> Result<(), Code> {
        while kept.by_fingerprint.len() >= self.room.schemas || kept.bytes + bytes > self.room.bytes
        {
            let unused = kept.by_fingerprint.iter();
            let oldest = unused
                .filter(|(_, entry)| entry.pins.load(Ordering::Acquire) == 0)
                .min_by_key(|(_, entry)| entry.last_used.load(Ordering::Relaxed))
                .map(|(fingerprint, entry)| (*fingerprint, entry.bytes));
            let (fingerprint, freed) = oldest.ok_or(Code::SchemasFull)?;
            kept.by_fingerprint.remove(&fingerprint);
            kept.bytes -= freed;
        }
        Ok(())
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
