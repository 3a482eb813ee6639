//! The registry: connected agents and their newest values.
//!
//! A `DashMap` finds the agent of an id. The rows of the agents are in slabs, in sixty-four stripes
//! selected by the hash of the id. Registration and removal lock the stripe of the id. A snapshot
//! copies one stripe at a time under the same lock, so an agent that is taken over is in it exactly
//! once. A report takes neither lock: its [`RowHandle`] leads to the block of its row.
//!
//! No guard of the map leaves this file, and no other lock is taken while one is held.

mod agent;
mod families;
mod fleet_shard;
mod read;
mod schemas;
mod slab;

use std::collections::{HashMap, hash_map};
use std::sync::Arc;

use dashmap::{DashMap, Entry};
use fleetgauge_proto::report::Values;
use fleetgauge_proto::{AgentId, Code};
use parking_lot::Mutex;

use crate::clock::Millis;
use crate::limits::memory_budget::MemoryBudget;
use crate::peers::handle::{ConnectionHandle, Signal};

pub use agent::{PendingAgent, RegisteredAgent};
pub use families::{GaugeFamily, Pins};
pub use fleet_shard::FleetShard;
pub use schemas::{MeasuredSchema, Pinned, SchemaEntry, SchemaLimits, SchemaStore};
pub use slab::{RowBlockView, RowHandle};

use agent::{ById, Takeovers};
use families::Families;
use slab::Slab;

/// Stripes of the rows, each with a lock. A snapshot holds one of the locks at a time, while it
/// copies a sixty-fourth of the fleet's values.
const STRIPES: usize = 64;
/// A map shrinks if it has more free slots than this, plus seven for each used slot.
pub(crate) const IDLE_SLOTS: usize = 8 * 1024;

/// Whether a connection can have the agent id that it claims.
#[derive(Debug)]
pub enum Claim {
    /// The id is free, or held by an older connection of the same host, which the first report will
    /// replace.
    Free,
    /// A connection from another host holds the id and must be challenged.
    Held(Arc<ConnectionHandle>),
    /// The id was taken over too often.
    Contested,
}

/// The result of registering an agent.
#[derive(Debug)]
pub struct Entered {
    /// The registered agent.
    pub agent: Arc<RegisteredAgent>,
    /// Families that the shared pages suppress because their names have another kind there. Filled
    /// only for the first agent of a schema.
    pub suppressed: Vec<Box<str>>,
}

#[derive(Debug, Default)]
struct Stripe {
    slabs: HashMap<u64, Slab>,
}

impl Stripe {
    /// Adds a row of this session. Returns the row's handle and the memory that the row takes, in
    /// bytes.
    fn insert(
        &mut self,
        schema: &Arc<SchemaEntry>,
        session: u64,
        labels: &str,
        values: &Values<'_>,
    ) -> (RowHandle, usize) {
        let before = self.slabs.get(&schema.key()).map_or(0, Slab::bytes);
        let slab = self.slabs.entry(schema.key()).or_insert_with(|| Slab::new(schema));
        let row = slab.insert(session, labels, values);
        (row, slab.bytes() - before)
    }

    /// Removes a row. Returns the memory that becomes free, in bytes.
    fn remove(&mut self, row: &RowHandle) -> usize {
        let hash_map::Entry::Occupied(mut slab) = self.slabs.entry(row.schema().key()) else {
            return 0;
        };
        let before = slab.get().bytes();
        slab.get_mut().remove(row);
        if slab.get().is_empty() {
            slab.remove();
            return before;
        }
        before - slab.get().bytes()
    }
}

/// All connected agents, their newest values and their schemas.
#[derive(Debug)]
pub struct Registry {
    /// The agents: a set, but a `DashSet` cannot replace an element with an equal one.
    agents: DashMap<ById, ()>,
    stripes: Box<[Mutex<Stripe>]>,
    schemas: SchemaStore,
    families: Mutex<Families>,
    budget: Arc<MemoryBudget>,
}

impl Registry {
    /// Creates an empty registry.
    #[must_use]
    pub fn new(limits: SchemaLimits, pins: Pins, budget: Arc<MemoryBudget>) -> Self {
        Self {
            agents: DashMap::new(),
            stripes: (0..STRIPES).map(|_| Mutex::default()).collect(),
            schemas: SchemaStore::new(limits, Arc::clone(&budget)),
            families: Mutex::new(Families::new(pins)),
            budget,
        }
    }

    /// Returns the schemas.
    #[must_use]
    pub fn schemas(&self) -> &SchemaStore {
        &self.schemas
    }

    /// Returns the memory limit of all agents.
    #[must_use]
    pub fn budget(&self) -> &MemoryBudget {
        &self.budget
    }

    /// Frees idle capacity of the map, for example after a fleet has disconnected.
    pub(crate) fn shrink(&self) {
        if self.agents.capacity() > IDLE_SLOTS + 8 * self.agents.len() {
            self.agents.shrink_to_fit();
        }
    }

    /// Returns the number of agents.
    #[must_use]
    pub fn agent_count(&self) -> usize {
        self.agents.len()
    }

    /// Returns the number of suppressed families of live schemas.
    #[must_use]
    pub fn families_suppressed(&self) -> usize {
        self.families.lock().suppressed()
    }

    /// Checks whether an agent on this host can have the id.
    #[must_use]
    pub fn claim(&self, id: &AgentId, host_nonce: &[u8; 16], now: Millis) -> Claim {
        match self.find(id) {
            Some(agent) if agent.host_nonce != *host_nonce => {
                Claim::Held(Arc::clone(&agent.handle))
            }
            Some(agent) if agent.takeovers.exhausted(now) => Claim::Contested,
            _ => Claim::Free,
        }
    }

    /// Returns the connected agent with this id.
    #[must_use]
    pub fn find(&self, id: &AgentId) -> Option<Arc<RegisteredAgent>> {
        self.agents.get(id).map(|agent| Arc::clone(&agent.key().0))
    }

    /// Registers an agent at its first report. Replaces an older connection of the same host, or
    /// the agent's own registration with another schema. `values` must have been checked against
    /// `schema`.
    ///
    /// # Errors
    /// [`Code::IdConflict`] if another host holds the id or it was taken over too often;
    /// [`Code::CollectorFull`] if the memory limit is reached.
    pub fn enter(
        &self,
        pending: &PendingAgent,
        schema: &Arc<SchemaEntry>,
        values: &Values<'_>,
        now: Millis,
    ) -> Result<Entered, Code> {
        self.enter_then(pending, schema, values, now, || ())
    }

    /// Like [`Self::enter`], and runs `then` if the id was free: after the registration and before
    /// the agent can leave.
    ///
    /// # Errors
    /// As [`Self::enter`].
    pub fn enter_then(
        &self,
        pending: &PendingAgent,
        schema: &Arc<SchemaEntry>,
        values: &Values<'_>,
        now: Millis,
        then: impl FnOnce(),
    ) -> Result<Entered, Code> {
        let PendingAgent { id, host_nonce, labels, handle } = pending;
        let mut stripe = self.stripe(id).lock();
        let before = self.find(id);
        let taken_over = before.as_ref().filter(|agent| !agent.is(handle.session()));
        if let Some(agent) = taken_over
            && (agent.host_nonce != *host_nonce || agent.takeovers.exhausted(now))
        {
            return Err(Code::IdConflict);
        }
        let needed = Slab::row_bytes(labels, schema.schema().width) + RegisteredAgent::bytes(id);
        self.take(needed)?;
        let mut takeovers = Takeovers::default();
        if let Some(agent) = &before {
            takeovers.clone_from(&agent.takeovers);
        }
        if taken_over.is_some() {
            takeovers.record(now);
        }
        let first = self.families.lock().join(schema);
        if let Some(agent) = &before {
            self.vacate(&mut stripe, agent);
        }
        // Not before `vacate`, which frees the names of the agent's previous schema.
        let suppressed =
            if first { self.families.lock().suppressed_of(schema) } else { Vec::new() };
        let (row, bytes) = stripe.insert(schema, handle.session(), labels, values);
        self.budget.correct(needed, bytes + RegisteredAgent::bytes(id));
        let agent = Arc::new(RegisteredAgent {
            id: id.clone(),
            host_nonce: *host_nonce,
            handle: Arc::clone(handle),
            takeovers,
            row,
        });
        match self.agents.entry(ById(Arc::clone(&agent))) {
            Entry::Occupied(previous) => drop(previous.replace_entry(())),
            Entry::Vacant(slot) => drop(slot.insert(())),
        }
        if before.is_none() {
            then();
        }
        drop(stripe);
        if let Some(previous) = taken_over {
            previous.handle.raise(Signal::Superseded);
        }
        Ok(Entered { agent, suppressed })
    }

    /// Removes an agent and its series if this session holds the id. Returns whether it did.
    pub fn leave(&self, id: &AgentId, session: u64) -> bool {
        self.leave_after(id, session, || ())
    }

    /// Like [`Self::leave`], and runs `first` if this session holds the id, before the id is free.
    pub fn leave_after(&self, id: &AgentId, session: u64, first: impl FnOnce()) -> bool {
        let mut stripe = self.stripe(id).lock();
        // The agent of an id changes only under the lock of its stripe.
        if self.agents.get(id).is_none_or(|agent| !agent.key().0.is(session)) {
            return false;
        }
        first();
        let Some((ById(agent), ())) = self.agents.remove(id) else { return false };
        self.vacate(&mut stripe, &agent);
        true
    }

    /// Returns the connected agents of a shard of the fleet, each once, with their report intervals
    /// in milliseconds.
    #[must_use]
    pub fn present(&self, shard: FleetShard) -> Vec<(AgentId, u32)> {
        let mut present = Vec::with_capacity(shard.share_of(self.agents.len(), 1));
        for agent in self.agents.iter() {
            let ById(agent) = agent.key();
            if shard.has(agent.id.as_str()) {
                present.push((agent.id.clone(), agent.handle.hello().interval_ms));
            }
        }
        present
    }

    fn vacate(&self, stripe: &mut Stripe, agent: &RegisteredAgent) {
        self.budget.give_back(stripe.remove(&agent.row) + RegisteredAgent::bytes(&agent.id));
        self.families.lock().leave(agent.row.schema());
    }

    /// Takes memory for an agent, in bytes. If that fails, evicts unused schemas and tries again.
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

    fn stripe(&self, id: &AgentId) -> &Mutex<Stripe> {
        &self.stripes[Self::stripe_index(id)]
    }

    fn stripe_index(id: &AgentId) -> usize {
        usize::try_from(id.fnv1a() % STRIPES as u64).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests;
