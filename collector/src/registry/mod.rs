//! The registry: connected agents and their newest values.
//!
//! A `DashMap` finds the agent of an id. Sixty-four stripes, selected by the hash of the id, have
//! the agents' series. Registration and removal lock the stripe of the id. A snapshot copies one
//! stripe at a time under the same lock, so an agent that is taken over is in it exactly once. A
//! report takes neither lock: it locks the agent's series, and their block if they are in a slab.
//!
//! No guard of the map leaves this file, and no other lock is taken while one is held.

mod agent;
mod catalogs;
mod families;
mod fleet_shard;
mod layout;
mod measured_catalog;
mod pending_values;
mod read;
mod row_store;
mod sample_names;
mod slab;
mod stripe;
mod totals;

use std::sync::Arc;

use dashmap::{DashMap, Entry};
use fleetgauge_proto::{AgentId, Code};
use parking_lot::Mutex;

use crate::clock::Millis;
use crate::limits::memory_budget::MemoryBudget;
use crate::peers::handle::{ConnectionHandle, Signal};

pub use agent::{PendingAgent, RegisteredAgent};
pub use catalogs::{CatalogEntry, CatalogLimits, CatalogPin, CatalogStore};
pub use families::{ConfiguredKinds, GaugeFamily};
pub use fleet_shard::FleetShard;
pub use layout::{Layout, PlacedTable};
pub use measured_catalog::MeasuredCatalog;
pub use pending_values::{ChangeError, PendingValues};
pub(crate) use slab::BlockView;

use agent::{ById, SeriesData, SeriesStorage, Takeovers};
use families::Families;
use layout::LayoutStore;
use row_store::RowStore;
use stripe::Stripe;
use totals::Totals;

/// Stripes of the agents, each with a lock. A snapshot holds one of the locks at a time, while it
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
    /// only for the first agent of a catalog.
    pub suppressed: Vec<Box<str>>,
}

/// All connected agents, their newest values and their catalogs.
#[derive(Debug)]
pub struct Registry {
    /// The agents: a set, but a `DashSet` cannot replace an element with an equal one.
    agents: DashMap<ById, ()>,
    stripes: Box<[Mutex<Stripe>]>,
    catalogs: CatalogStore,
    rows: RowStore,
    layouts: LayoutStore,
    families: Mutex<Families>,
    totals: Totals,
    budget: Arc<MemoryBudget>,
}

impl Registry {
    /// Creates an empty registry.
    #[must_use]
    pub fn new(
        limits: CatalogLimits,
        configured_kinds: ConfiguredKinds,
        budget: Arc<MemoryBudget>,
    ) -> Self {
        Self {
            agents: DashMap::new(),
            stripes: (0..STRIPES).map(|_| Mutex::default()).collect(),
            catalogs: CatalogStore::new(limits, Arc::clone(&budget)),
            rows: RowStore::new(Arc::clone(&budget)),
            layouts: LayoutStore::default(),
            families: Mutex::new(Families::new(configured_kinds)),
            totals: Totals::default(),
            budget,
        }
    }

    /// Returns the catalogs.
    #[must_use]
    pub fn catalogs(&self) -> &CatalogStore {
        &self.catalogs
    }

    /// Returns the memory limit of all agents.
    #[must_use]
    pub fn budget(&self) -> &MemoryBudget {
        &self.budget
    }

    /// Frees idle capacity, for example after a fleet has disconnected.
    pub(crate) fn shrink(&self) {
        self.rows.shrink();
        self.layouts.shrink(self.agents.len());
        if self.agents.capacity() > IDLE_SLOTS + 8 * self.agents.len() {
            self.agents.shrink_to_fit();
        }
    }

    /// Returns the number of agents.
    #[must_use]
    pub fn agent_count(&self) -> usize {
        self.agents.len()
    }

    /// Returns the number of series of all agents, absent ones included.
    #[must_use]
    pub fn series_count(&self) -> usize {
        self.totals.series()
    }

    /// Returns the number of rows of all agents, in tables with row labels.
    #[must_use]
    pub fn row_count(&self) -> usize {
        self.totals.rows()
    }

    /// Returns the number of suppressed families of live catalogs.
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

    /// Registers an agent at its first report, with the values of that report. Replaces an older
    /// connection of the same host.
    ///
    /// # Errors
    /// [`Code::IdConflict`] if another host holds the id or it was taken over too often;
    /// [`Code::CollectorFull`] if the memory limit is reached.
    pub fn enter(
        &self,
        pending: &PendingAgent,
        values: PendingValues,
        now: Millis,
    ) -> Result<Entered, Code> {
        self.enter_then(pending, values, now, || ())
    }

    /// Like [`Self::enter`], and runs `then` if the id was free: after the registration and before
    /// the agent can leave.
    ///
    /// # Errors
    /// As [`Self::enter`].
    pub fn enter_then(
        &self,
        pending: &PendingAgent,
        values: PendingValues,
        now: Millis,
        then: impl FnOnce(),
    ) -> Result<Entered, Code> {
        let PendingAgent { id, host_nonce, labels, handle } = pending;
        let (layout, values, mut charge) = values.into_parts(&self.budget);
        let layout = self.layouts.share(layout);
        let series = SeriesData { labels: labels.clone(), layout, values, index: 0 };
        let own_bytes = RegisteredAgent::bytes(id);
        self.take_by(|| charge.resize(series.bytes() + own_bytes))?;
        let mut stripe = self.stripe(id).lock();
        let before = self.find(id).filter(|agent| !agent.is(handle.session()));
        if let Some(agent) = &before
            && (agent.host_nonce != *host_nonce || agent.takeovers.exhausted(now))
        {
            return Err(Code::IdConflict);
        }
        let mut takeovers = Takeovers::default();
        if let Some(agent) = &before {
            takeovers.clone_from(&agent.takeovers);
            takeovers.record(now);
        }
        let joined = self.families.lock().join(&series.layout);
        if let Some(agent) = &before {
            self.vacate(&mut stripe, agent);
        }
        // Not before `vacate`, which frees the names of the previous connection's catalogs.
        let suppressed = self.families.lock().suppressed_of(&joined);
        let agent = Arc::new(RegisteredAgent {
            id: id.clone(),
            host_nonce: *host_nonce,
            handle: Arc::clone(handle),
            takeovers,
            series: Mutex::new(SeriesStorage::Gone),
        });
        self.totals.add(&series.layout);
        let bytes = stripe.insert(&agent, &mut agent.series.lock(), series);
        charge.settle(bytes + own_bytes);
        match self.agents.entry(ById(Arc::clone(&agent))) {
            Entry::Occupied(previous) => drop(previous.replace_entry(())),
            Entry::Vacant(slot) => drop(slot.insert(())),
        }
        if before.is_none() {
            then();
        }
        drop(stripe);
        if let Some(previous) = before {
            previous.handle.raise(Signal::Superseded);
        }
        Ok(Entered { agent, suppressed })
    }

    /// Replaces an agent's layout and values, after its catalogs or rows have changed. Returns the
    /// families that the shared pages suppress; `None` if another connection has taken over the id.
    ///
    /// # Errors
    /// [`Code::CollectorFull`] if the memory limit is reached.
    pub fn replace(
        &self,
        agent: &Arc<RegisteredAgent>,
        pending: PendingValues,
    ) -> Result<Option<Vec<Box<str>>>, Code> {
        let Some(labels) = agent.labels() else { return Ok(None) };
        let (layout, values, mut charge) = pending.into_parts(&self.budget);
        let series = SeriesData { labels, layout: self.layouts.share(layout), values, index: 0 };
        self.take_by(|| charge.resize(series.bytes()))?;
        // A snapshot must not see the new catalogs before the previous ones have freed their names.
        let mut stripe = self.stripe(&agent.id).lock();
        let mut place = agent.series.lock();
        let Some((before, freed)) = stripe.remove(&mut place) else { return Ok(None) };
        let suppressed = if series.layout.has_catalogs_of(&before.layout) {
            Vec::new()
        } else {
            let mut families = self.families.lock();
            let joined = families.join(&series.layout);
            families.leave(&before.layout);
            families.suppressed_of(&joined)
        };
        self.totals.add(&series.layout);
        self.totals.remove(&before.layout);
        let bytes = stripe.insert(agent, &mut place, series);
        drop(place);
        drop(stripe);
        drop(before);
        charge.settle(bytes);
        self.budget.give_back(freed);
        Ok(Some(suppressed))
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

    /// Removes the series of an agent.
    fn vacate(&self, stripe: &mut Stripe, agent: &RegisteredAgent) {
        let removed = stripe.remove(&mut agent.series.lock());
        let Some((series, bytes)) = removed else { return };
        self.budget.give_back(bytes + RegisteredAgent::bytes(&agent.id));
        self.totals.remove(&series.layout);
        self.families.lock().leave(&series.layout);
    }

    /// Takes memory, in bytes.
    fn take(&self, bytes: usize) -> Result<(), Code> {
        self.take_by(|| self.budget.take(bytes))
    }

    /// Takes memory. If that fails, evicts unused catalogs and tries again. The caller holds no
    /// lock.
    fn take_by(&self, mut take: impl FnMut() -> bool) -> Result<(), Code> {
        if take() {
            return Ok(());
        }
        self.catalogs.evict_unused();
        if take() {
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
