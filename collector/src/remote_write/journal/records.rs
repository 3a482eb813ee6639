//! The records of a journal's file: which agents and catalogs have one, and how large it is.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;
use std::sync::Arc;

use fleetgauge_proto::AgentId;
use hashbrown::DefaultHashBuilder;

use super::format::{self, JournaledAgent, MAX_BODY_BYTES};
use super::series::{encode_catalog, encode_series};
use crate::registry::CatalogEntry;
use crate::remote_write::agent_state::ForwardedAgent;

/// Bytes of a record without series, at most: header, kind, id, time and interval.
const MAX_FIXED_BYTES: usize = 256;

/// The records that the current file has.
#[derive(Debug, Default)]
pub(super) struct Records {
    agents: HashMap<AgentId, Record>,
    /// Numbers of catalogs, by their keys in the registry.
    catalogs: HashMap<u64, u32>,
    next_catalog: u32,
    /// Bytes of records that are in use: of agents, and of catalogs that the file began with.
    /// Whether catalogs that were added later are in use is known when the file is replaced.
    live_bytes: u64,
    /// Bytes of catalogs that were added since the file was replaced.
    new_catalog_bytes: u64,
    /// Bytes of catalogs as they were read.
    recovered_catalog_bytes: u64,
    /// Agents whose record did not fit.
    left_out: HashSet<AgentId>,
    hasher: DefaultHashBuilder,
}

/// The last record of an agent.
#[derive(Debug, Clone, Copy)]
struct Record {
    bytes: u64,
    /// Hash of its bytes: an equal record is not written again.
    hash: u64,
}

impl Records {
    pub(super) fn agents(&self) -> usize {
        self.agents.len()
    }

    pub(super) fn left_out(&self) -> usize {
        self.left_out.len()
    }

    pub(super) fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    /// Counts the catalogs of a new file as in use.
    pub(super) fn replaced(&mut self) {
        self.live_bytes += std::mem::take(&mut self.new_catalog_bytes);
    }

    /// Counts catalogs that were read as not in use, because no agent that was read remains.
    pub(super) fn drop_recovered_catalogs(&mut self) {
        self.live_bytes -= std::mem::take(&mut self.recovered_catalog_bytes);
    }

    /// Appends the record of an agent's current series, and of catalogs that have none, if it takes
    /// at most `room` bytes. An equal record is not written again.
    pub(super) fn put(
        &mut self,
        id: &AgentId,
        agent: &ForwardedAgent,
        room: u64,
        out: &mut Vec<u8>,
    ) {
        let mut records = Vec::new();
        let mut new_catalogs = Vec::new();
        let encoded = self.encode(agent, &mut new_catalogs, &mut records);
        let catalog_bytes = records.len() as u64;
        let Some(agent) = encoded else { return self.leave_out(id, out) };
        format::write_agent(id, &agent, &mut records);
        let own = records.get(usize::try_from(catalog_bytes).unwrap_or(0)..).unwrap_or_default();
        let record = Record { bytes: own.len() as u64, hash: self.hasher.hash_one(own) };
        if self.agents.get(id).is_some_and(|known| known.hash == record.hash) {
            return;
        }
        if records.len() as u64 > room {
            return self.leave_out(id, out);
        }
        self.left_out.remove(id);
        let last = new_catalogs.iter().map(|(_, number)| number.saturating_add(1)).max();
        self.next_catalog = self.next_catalog.max(last.unwrap_or(0));
        self.catalogs.extend(new_catalogs);
        self.new_catalog_bytes += catalog_bytes;
        self.insert(id, record);
        out.append(&mut records);
    }

    /// Encodes an agent, and appends the records of catalogs that have none; `None` if that is not
    /// possible.
    fn encode(
        &self,
        agent: &ForwardedAgent,
        new_catalogs: &mut Vec<(u64, u32)>,
        records: &mut Vec<u8>,
    ) -> Option<JournaledAgent> {
        let noted = agent.noted.lock().clone()?;
        let number_of = |entry: &Arc<CatalogEntry>| {
            let key = entry.key();
            let number = new_catalogs.iter().find(|(new, _)| *new == key).map(|(_, number)| number);
            if let Some(number) = self.catalogs.get(&key).or(number) {
                return Some(*number);
            }
            let number = self.next_catalog.checked_add(u32::try_from(new_catalogs.len()).ok()?)?;
            let frame = encode_catalog(entry.catalog())?;
            format::write_catalog(number, &frame, records);
            new_catalogs.push((key, number));
            Some(number)
        };
        let mut series = Vec::new();
        encode_series(&noted.labels, &noted.layout, &noted.present, number_of, &mut series)?;
        (series.len() + MAX_FIXED_BYTES <= MAX_BODY_BYTES).then_some(())?;
        Some(JournaledAgent {
            ended_ms: agent.ended_ms(),
            interval_ms: agent.interval_ms(),
            series: series.into(),
        })
    }

    /// Appends the record of an agent as it was read.
    pub(super) fn put_recovered(
        &mut self,
        id: &AgentId,
        agent: &JournaledAgent,
        room: u64,
        out: &mut Vec<u8>,
    ) {
        let start = out.len();
        format::write_agent(id, agent, out);
        let own = out.get(start..).unwrap_or_default();
        let record = Record { bytes: own.len() as u64, hash: self.hasher.hash_one(own) };
        if record.bytes > room {
            out.truncate(start);
            return self.leave_out(id, out);
        }
        self.insert(id, record);
    }

    /// Appends a catalog as it was read.
    pub(super) fn put_recovered_catalog(&mut self, number: u32, frame: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        format::write_catalog(number, frame, out);
        let bytes = (out.len() - start) as u64;
        self.live_bytes += bytes;
        self.recovered_catalog_bytes += bytes;
        self.next_catalog = self.next_catalog.max(number.saturating_add(1));
    }

    /// Appends that an agent has gone, if it has a record.
    pub(super) fn remove(&mut self, id: &AgentId, out: &mut Vec<u8>) {
        self.left_out.remove(id);
        if let Some(record) = self.agents.remove(id) {
            self.live_bytes -= record.bytes;
            format::write_gone(id, out);
        }
    }

    fn insert(&mut self, id: &AgentId, record: Record) {
        self.live_bytes += record.bytes;
        if let Some(before) = self.agents.insert(id.clone(), record) {
            self.live_bytes -= before.bytes;
        }
    }

    /// Leaves out an agent. An earlier record would be wrong after a kill: it may have the time at
    /// which the agent had left before it returned.
    fn leave_out(&mut self, id: &AgentId, out: &mut Vec<u8>) {
        self.remove(id, out);
        self.left_out.insert(id.clone());
    }
}
