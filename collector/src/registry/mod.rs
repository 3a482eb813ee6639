//! Who is connected, and their newest values.
//!
//! A `DashMap` knows who holds an agent id. The agents' rows lie in slabs, in sixty-four shards; who
//! comes and goes does so under the lock of the id's shard, and a snapshot copies one shard at a time under the
//! same lock: it sees an agent that changes hands once, never twice and never not at all. A report takes
//! neither lock: it goes through its [`Seat`] to its own page.
//!
//! No guard of the map leaves this file, and none is held while another lock is taken.

mod families;
mod holder;
mod page_shard;
mod read;
mod schemas;
mod slab;

use std::collections::{HashMap, hash_map};
use std::sync::Arc;

use dashmap::{DashMap, Entry};
use fleetgauge_proto::report::Values;
use fleetgauge_proto::{AgentId, Code};
use parking_lot::Mutex;

use crate::budget::Budget;
use crate::clock::Millis;
use crate::peer::{Peer, Signal};

pub use families::{GaugeFamily, Pins};
pub use holder::{Holder, Newcomer};
pub use page_shard::PageShard;
pub use schemas::{MeasuredSchema, Pinned, Room, SchemaEntry, SchemaStore};
pub use slab::{Seat, View};

use families::Families;
use holder::{ById, Takeovers};
use slab::Slab;

/// Shards of the rows. A snapshot holds one at a time, for a copy of a sixty-fourth of the fleet's values.
const SHARDS: usize = 64;
/// Places in a map that may lie idle, beside seven for each that is taken.
pub(crate) const IDLE_PLACES: usize = 8 * 1024;

/// What stands between a newcomer and its id.
#[derive(Debug)]
pub enum Claim {
    /// Nothing, or an older connection of the same host, which its first report will replace.
    Free,
    /// Another host's connection: is it alive?
    Held(Arc<Peer>),
    /// Too many changes of hand.
    Contested,
}

/// A newcomer that is shown now.
#[derive(Debug)]
pub struct Entered {
    /// What it is known by from now on.
    pub holder: Arc<Holder>,
    /// Families left off the shared pages because their names mean something else there; told once a schema.
    pub left_off: Vec<Box<str>>,
}

#[derive(Debug, Default)]
struct Shard {
    slabs: HashMap<u64, Slab>,
}

impl Shard {
    /// Gives a session a row; it and the bytes of memory that this took.
    fn insert(
        &mut self,
        schema: &Arc<SchemaEntry>,
        session: u64,
        labels: &str,
        values: &Values<'_>,
    ) -> (Seat, usize) {
        let before = self.slabs.get(&schema.key()).map_or(0, Slab::bytes);
        let slab = self.slabs.entry(schema.key()).or_insert_with(|| Slab::new(schema));
        let seat = slab.insert(session, labels, values);
        (seat, slab.bytes() - before)
    }

    /// Takes a row back; the bytes of memory that this gave back.
    fn remove(&mut self, seat: &Seat) -> usize {
        let hash_map::Entry::Occupied(mut slab) = self.slabs.entry(seat.schema().key()) else {
            return 0;
        };
        let before = slab.get().bytes();
        slab.get_mut().remove(seat);
        if slab.get().is_empty() {
            slab.remove();
            return before;
        }
        before - slab.get().bytes()
    }
}

/// The registry.
#[derive(Debug)]
pub struct Registry {
    /// A set; a `DashSet` could not put one holder in the place of another.
    holders: DashMap<ById, ()>,
    shards: Box<[Mutex<Shard>]>,
    schemas: SchemaStore,
    families: Mutex<Families>,
    budget: Arc<Budget>,
}

impl Registry {
    /// An empty registry.
    #[must_use]
    pub fn new(room: Room, pins: Pins, budget: Arc<Budget>) -> Self {
        Self {
            holders: DashMap::new(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            schemas: SchemaStore::new(room, Arc::clone(&budget)),
            families: Mutex::new(Families::new(pins)),
            budget,
        }
    }

    /// The schemas.
    #[must_use]
    pub fn schemas(&self) -> &SchemaStore {
        &self.schemas
    }

    /// The memory that agents may take.
    #[must_use]
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Gives the map's room back if most of it lies idle, as after a fleet has left.
    pub(crate) fn shrink(&self) {
        if self.holders.capacity() > IDLE_PLACES + 8 * self.holders.len() {
            self.holders.shrink_to_fit();
        }
    }

    /// How many agents are shown.
    #[must_use]
    pub fn agents(&self) -> usize {
        self.holders.len()
    }

    /// How many families of live schemas are left off the shared pages.
    #[must_use]
    pub fn families_left_off(&self) -> usize {
        self.families.lock().left_off()
    }

    /// What stands between a host and an id.
    #[must_use]
    pub fn claim(&self, id: &AgentId, host_nonce: &[u8; 16], now: Millis) -> Claim {
        match self.holder(id) {
            Some(holder) if holder.host_nonce != *host_nonce => {
                Claim::Held(Arc::clone(&holder.peer))
            }
            Some(holder) if holder.takeovers.exhausted(now) => Claim::Contested,
            _ => Claim::Free,
        }
    }

    /// Who holds an id.
    #[must_use]
    pub fn holder(&self, id: &AgentId) -> Option<Arc<Holder>> {
        self.holders.get(id).map(|holder| Arc::clone(&holder.key().0))
    }

    /// Shows an agent from its first report on, in place of an older connection of its own or of one with
    /// another schema; `values` have been checked against `schema`.
    ///
    /// # Errors
    /// [`Code::IdConflict`] if the id is another host's, or changes hands too often; [`Code::CollectorFull`] if
    /// there is no memory left for it.
    pub fn enter(
        &self,
        newcomer: &Newcomer,
        schema: &Arc<SchemaEntry>,
        values: &Values<'_>,
        now: Millis,
    ) -> Result<Entered, Code> {
        self.enter_then(newcomer, schema, values, now, || ())
    }

    /// As [`Self::enter`]; `then` runs once it is shown and before it can leave again, if it was not shown before.
    ///
    /// # Errors
    /// As [`Self::enter`].
    pub fn enter_then(
        &self,
        newcomer: &Newcomer,
        schema: &Arc<SchemaEntry>,
        values: &Values<'_>,
        now: Millis,
        then: impl FnOnce(),
    ) -> Result<Entered, Code> {
        let Newcomer { id, host_nonce, labels, peer } = newcomer;
        let mut shard = self.shard(id).lock();
        let before = self.holder(id);
        let taking_over = before.as_ref().filter(|holder| !holder.is(peer.session()));
        if let Some(holder) = taking_over
            && (holder.host_nonce != *host_nonce || holder.takeovers.exhausted(now))
        {
            return Err(Code::IdConflict);
        }
        let needed = Slab::row_bytes(labels, schema.schema().width) + Holder::bytes(id);
        self.take(needed)?;
        let mut takeovers = Takeovers::default();
        if let Some(holder) = &before {
            takeovers.clone_from(&holder.takeovers);
        }
        if taking_over.is_some() {
            takeovers.record(now);
        }
        let first = self.families.lock().join(schema);
        if let Some(holder) = &before {
            self.vacate(&mut shard, holder);
        }
        // Only now: what its own older schema held has been given back.
        let left_off = if first { self.families.lock().left_off_by(schema) } else { Vec::new() };
        let (seat, bytes) = shard.insert(schema, peer.session(), labels, values);
        self.budget.correct(needed, bytes + Holder::bytes(id));
        let holder = Arc::new(Holder {
            id: id.clone(),
            host_nonce: *host_nonce,
            peer: Arc::clone(peer),
            takeovers,
            seat,
        });
        match self.holders.entry(ById(Arc::clone(&holder))) {
            Entry::Occupied(older) => drop(older.replace_entry(())),
            Entry::Vacant(place) => drop(place.insert(())),
        }
        if before.is_none() {
            then();
        }
        drop(shard);
        if let Some(older) = taking_over {
            older.peer.raise(Signal::Superseded);
        }
        Ok(Entered { holder, left_off })
    }

    /// Takes an agent's series away, if this session still holds them; whether it did.
    pub fn leave(&self, id: &AgentId, session: u64) -> bool {
        self.leave_after(id, session, || ())
    }

    /// As [`Self::leave`]; `first` runs before the agent's id is free, if this session holds it.
    pub fn leave_after(&self, id: &AgentId, session: u64, first: impl FnOnce()) -> bool {
        let mut shard = self.shard(id).lock();
        // Who holds an id changes under the lock of its shard alone.
        if self.holders.get(id).is_none_or(|holder| !holder.key().0.is(session)) {
            return false;
        }
        first();
        let Some((ById(holder), ())) = self.holders.remove(id) else { return false };
        self.vacate(&mut shard, &holder);
        true
    }

    /// Who of this part of the fleet is connected, each once, with the interval of its reports in milliseconds.
    #[must_use]
    pub fn present(&self, part: PageShard) -> Vec<(AgentId, u32)> {
        let mut present = Vec::with_capacity(part.share_of(self.holders.len(), 1));
        for holder in self.holders.iter() {
            let ById(holder) = holder.key();
            if part.has(holder.id.as_str()) {
                present.push((holder.id.clone(), holder.peer.introduction().interval_ms));
            }
        }
        present
    }

    fn vacate(&self, shard: &mut Shard, holder: &Holder) {
        self.budget.give_back(shard.remove(&holder.seat) + Holder::bytes(&holder.id));
        self.families.lock().leave(holder.seat.schema());
    }

    /// Takes memory for an agent; schemas that nobody uses give theirs first.
    fn take(&self, bytes: usize) -> Result<(), Code> {
        if self.budget.take(bytes) {
            return Ok(());
        }
        self.schemas.forget_unused();
        if self.budget.take(bytes) {
            return Ok(());
        }
        self.budget.refused();
        Err(Code::CollectorFull)
    }

    fn shard(&self, id: &AgentId) -> &Mutex<Shard> {
        &self.shards[Self::place(id)]
    }

    fn place(id: &AgentId) -> usize {
        usize::try_from(id.fnv1a() % SHARDS as u64).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests;
