//! Who is connected, and their newest values.
//!
//! A `DashMap` knows who holds an agent id. The agents' rows lie in slabs, in sixty-four shards; who
//! comes and goes does so under the lock of the id's shard, and a snapshot copies one shard at a time under the
//! same lock: it sees an agent that changes hands once, never twice and never not at all. A report takes
//! neither lock: it goes through its [`Seat`] to its own page.
//!
//! No guard of the map leaves this file, and none is held while another lock is taken.

mod families;
mod page_shard;
mod schemas;
mod slab;

use std::collections::HashMap;
use std::sync::Arc;

use dashmap::DashMap;
use fleetgauge_proto::report::Values;
use fleetgauge_proto::{AgentId, Code};
use parking_lot::Mutex;

use crate::clock::Millis;
use crate::exposition::{FamilyHead, Group, PageFamily, Snapshot, agent_of};
use crate::peer::{Peer, Signal};

pub use families::Pins;
pub use page_shard::PageShard;
pub use schemas::{Pinned, Room, SchemaEntry, SchemaStore};
pub use slab::Seat;

use families::Families;
use slab::Slab;

/// Shards of the rows. A snapshot holds one at a time, for a copy of a sixty-fourth of the fleet's values.
const SHARDS: usize = 64;
/// How often an id may change hands within [`TAKEOVER_WINDOW`] before the newcomer is refused.
const TAKEOVERS: usize = 3;
/// One minute.
const TAKEOVER_WINDOW: Millis = 60_000;

/// An agent that wants to be shown.
#[derive(Debug, Clone)]
pub struct Newcomer {
    /// Who it is.
    pub id: AgentId,
    /// Which boot of which host it runs on.
    pub host_nonce: [u8; 16],
    /// Its labels as they stand between the braces of its series, the id's included.
    pub labels: Arc<str>,
    /// Its connection.
    pub peer: Arc<Peer>,
}

/// Who holds an id.
#[derive(Debug)]
struct Holder {
    peer: Arc<Peer>,
    host_nonce: [u8; 16],
    takeovers: Takeovers,
    schema: u64,
    row: usize,
}

/// Who lives in a row.
#[derive(Debug)]
struct Resident {
    labels: Arc<str>,
}

/// When an id changed hands lately.
#[derive(Debug, Default)]
struct Takeovers(Option<Box<[Option<Millis>; TAKEOVERS]>>);

impl Takeovers {
    fn exhausted(&self, now: Millis) -> bool {
        let recent = |at: &Option<Millis>| at.is_some_and(|at| now < at + TAKEOVER_WINDOW);
        self.0.as_ref().is_some_and(|times| times.iter().all(recent))
    }

    fn record(&mut self, now: Millis) {
        let times = self.0.get_or_insert_default();
        times.rotate_right(1);
        times[0] = Some(now);
    }
}

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
    /// Where its reports go.
    pub seat: Seat,
    /// Families left off the shared pages because their names mean something else there; told once a schema.
    pub left_off: Vec<Box<str>>,
}

#[derive(Debug, Default)]
struct Shard {
    slabs: HashMap<u64, Slab>,
}

impl Shard {
    fn remove(&mut self, schema: u64, row: usize) -> Option<Arc<SchemaEntry>> {
        let slab = self.slabs.get_mut(&schema)?;
        slab.remove(row);
        let entry = Arc::clone(slab.schema());
        if slab.is_empty() {
            self.slabs.remove(&schema);
        }
        Some(entry)
    }
}

/// The registry.
#[derive(Debug)]
pub struct Registry {
    holders: DashMap<AgentId, Holder>,
    shards: Box<[Mutex<Shard>]>,
    schemas: SchemaStore,
    families: Mutex<Families>,
}

impl Registry {
    /// An empty registry.
    #[must_use]
    pub fn new(room: Room, pins: Pins) -> Self {
        Self {
            holders: DashMap::new(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            schemas: SchemaStore::new(room),
            families: Mutex::new(Families::new(pins)),
        }
    }

    /// The schemas.
    #[must_use]
    pub fn schemas(&self) -> &SchemaStore {
        &self.schemas
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
        match self.holders.get(id) {
            None => Claim::Free,
            Some(holder) if holder.host_nonce != *host_nonce => {
                Claim::Held(Arc::clone(&holder.peer))
            }
            Some(holder) if holder.takeovers.exhausted(now) => Claim::Contested,
            Some(_) => Claim::Free,
        }
    }

    /// Shows an agent from its first report on, in place of an older connection of its own or of one with
    /// another schema; `values` have been checked against `schema`.
    ///
    /// # Errors
    /// [`Code::IdConflict`] if the id is another host's, or changes hands too often.
    pub fn enter(
        &self,
        newcomer: &Newcomer,
        schema: &Arc<SchemaEntry>,
        values: &Values<'_>,
        now: Millis,
    ) -> Result<Entered, Code> {
        let Newcomer { id, host_nonce, labels, peer } = newcomer;
        let mut shard = self.shard(id).lock();
        let mut takeovers = Takeovers::default();
        let mut before = None;
        if let Some(mut holder) = self.holders.get_mut(id) {
            let taking_over = holder.peer.session() != peer.session();
            let refused = holder.host_nonce != *host_nonce || holder.takeovers.exhausted(now);
            if taking_over && refused {
                return Err(Code::IdConflict);
            }
            takeovers = std::mem::take(&mut holder.takeovers);
            if taking_over {
                takeovers.record(now);
            }
            before = Some((Arc::clone(&holder.peer), holder.schema, holder.row));
        }
        let first = self.families.lock().join(schema);
        if let Some((_, schema, row)) = &before {
            self.vacate(&mut shard, *schema, *row);
        }
        // Only now: what its own older schema held has been given back.
        let left_off = if first { self.families.lock().left_off_by(schema) } else { Vec::new() };
        let slab = shard.slabs.entry(schema.key()).or_insert_with(|| Slab::new(schema));
        let resident = Resident { labels: Arc::clone(labels) };
        let (row, seat) = slab.insert(resident, peer.session(), values);
        let holder = Holder {
            peer: Arc::clone(peer),
            host_nonce: *host_nonce,
            takeovers,
            schema: schema.key(),
            row,
        };
        self.holders.insert(id.clone(), holder);
        drop(shard);
        if let Some((older, ..)) = before.filter(|(older, ..)| older.session() != peer.session()) {
            older.raise(Signal::Superseded);
        }
        Ok(Entered { seat, left_off })
    }

    /// Takes an agent's series away, if this session still holds them; whether it did.
    pub fn leave(&self, id: &AgentId, session: u64) -> bool {
        let mut shard = self.shard(id).lock();
        let held = self.holders.remove_if(id, |_, holder| holder.peer.session() == session);
        let Some((_, holder)) = held else { return false };
        self.vacate(&mut shard, holder.schema, holder.row);
        true
    }

    fn vacate(&self, shard: &mut Shard, schema: u64, row: usize) {
        if let Some(schema) = shard.remove(schema, row) {
            self.families.lock().leave(&schema);
        }
    }

    /// A copy of all agents' values: of each agent those of one report.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.snapshot_of_shard(PageShard::ALL)
    }

    /// A copy of the values of a part of the agents.
    #[must_use]
    pub fn snapshot_of_shard(&self, part: PageShard) -> Snapshot {
        let mut groups: Vec<Group> = Vec::new();
        let mut places = HashMap::new();
        let wanted = |resident: &Resident| part.has(agent_of(&resident.labels));
        for shard in part.among(&self.shards) {
            let shard = shard.lock();
            for (key, slab) in &shard.slabs {
                let place = *places.entry(*key).or_insert_with(|| {
                    let agents = self.families.lock().agents(*key);
                    groups.push(Group::new(Arc::clone(slab.schema()), part.share_of(agents)));
                    groups.len() - 1
                });
                let group = &mut groups[place];
                if part.divides(SHARDS) {
                    slab.copy_into(group, |_| true);
                } else {
                    slab.copy_into(group, wanted);
                }
            }
        }
        let copied: Vec<_> = groups.iter().map(Group::schema).collect();
        let page = self.families.lock().page(&copied);
        let families = page.into_iter().map(|family| {
            let members = family.members.iter();
            let members = members.filter_map(|(key, at)| Some((*places.get(key)?, *at))).collect();
            PageFamily { head: family.head, members }
        });
        let families = families.collect();
        Snapshot { families, groups }
    }

    /// A copy of one agent's values, every family of its own kind; `None` if it is not connected.
    #[must_use]
    pub fn snapshot_of(&self, id: &str) -> Option<Snapshot> {
        let id = AgentId::try_new(id).ok()?;
        let shard = self.shard(&id).lock();
        let (schema, row) = self.holders.get(&id).map(|holder| (holder.schema, holder.row))?;
        let slab = shard.slabs.get(&schema)?;
        let mut group = Group::new(Arc::clone(slab.schema()), 1);
        slab.copy_row_into(row, &mut group);
        drop(shard);
        let declared = group.schema().schema().families.iter().enumerate();
        let families = declared
            .filter_map(|(position, family)| {
                let head = Arc::new(FamilyHead::new(family, family.kind?));
                Some(PageFamily { head, members: vec![(0, position)] })
            })
            .collect();
        Some(Snapshot { families, groups: vec![group] })
    }

    /// The labels of all agents, or of those after this one, in an order that stays: whoever is connected throughout
    /// is met once. A sixty-fourth of the fleet is copied at a time.
    pub fn roll(&self, after: Option<&AgentId>) -> impl Iterator<Item = Arc<str>> {
        let first = after.map_or(0, Self::place);
        self.shards[first..].iter().enumerate().flat_map(move |(n, shard)| {
            let after = after.filter(|_| n == 0).map_or("", AgentId::as_str);
            let mut labels: Vec<_> = {
                let shard = shard.lock();
                let residents = shard.slabs.values().flat_map(Slab::residents);
                let labels = residents.map(|resident| Arc::clone(&resident.labels));
                labels.filter(|labels| agent_of(labels) > after).collect()
            };
            labels.sort_unstable_by(|one, other| agent_of(one).cmp(agent_of(other)));
            labels
        })
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
