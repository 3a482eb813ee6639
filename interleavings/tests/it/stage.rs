//! A registry with two ids. Performs operations of sessions and scrapes on it, and records them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use fleetgauge_interleavings::exposition::{Format, Snapshot, agent_of, render};
use fleetgauge_interleavings::limits::memory_budget::MemoryBudget;
use fleetgauge_interleavings::peers::handle::ConnectionHandle;
use fleetgauge_interleavings::registry::{
    Entered, FleetShard, PendingAgent, Pinned, Pins, RegisteredAgent, Registry, SchemaLimits,
};
use fleetgauge_proto::message::{Family, Schema as Declared, Series};
use fleetgauge_proto::report::{Values, write_all};
use fleetgauge_proto::{AgentId, Limits, Schema, fnv1a, schema};

use crate::history::{History, Operation};

/// Two ids in the same stripe of the registry.
pub(crate) const IDS: [&str; 2] = ["a", "ba"];
/// Number of stripes of the registry. A snapshot of one of as many shards locks a single stripe.
const STRIPES: u64 = 64;
/// Families of each schema, and their metric kinds. In the last schema `load` has another kind.
const SCHEMAS: [&[(&str, u8)]; 3] = [&[("load", 1)], &[("load", 1), ("more", 1)], &[("load", 2)]];
/// A minute in milliseconds: once it has passed, an id can be taken over again.
const MINUTE: u64 = 60_000;

pub(crate) struct Stage {
    registry: Registry,
    schemas: Vec<Pinned>,
    history: History,
    /// The registered agent of each session.
    agents: Mutex<HashMap<(String, u64), Arc<RegisteredAgent>>>,
    /// Bytes of the memory budget that are in use without agents.
    empty: usize,
}

impl Stage {
    pub(crate) fn new() -> Self {
        assert_eq!(fnv1a(IDS[0]) % STRIPES, fnv1a(IDS[1]) % STRIPES);
        let limits = SchemaLimits { schemas: 10, bytes: 1 << 20 };
        let registry = Registry::new(limits, Pins::new(), Arc::new(MemoryBudget::new(1 << 20)));
        let schemas = SCHEMAS.iter().map(|families| pin(&registry, families)).collect();
        let empty = registry.budget().taken();
        Self { registry, schemas, history: History::default(), agents: Mutex::default(), empty }
    }

    /// Registers a session with its first report, or with its first report of another schema.
    pub(crate) fn enter(&self, id: &str, session: u64, schema: usize) {
        let schema = self.schemas[schema].entry();
        let pending = PendingAgent {
            id: AgentId::try_new(id).unwrap(),
            host_nonce: [1; 16],
            labels: format!("agent=\"{id}\"").into(),
            handle: ConnectionHandle::new(session, "127.0.0.1:9".parse().unwrap(), 0),
        };
        let value = self.history.moment();
        let values = row(value, schema.schema().width);
        let operation = self.history.begin(id, session, Operation::Take(value));
        let now = value * MINUTE;
        let entered = self.registry.enter(&pending, schema, &Values::All(&values), now);
        self.history.end(operation, entered.is_ok());
        // With three threads, the last one can exceed the limit of takeovers.
        let Ok(Entered { agent, .. }) = entered else { return };
        self.agents.lock().unwrap().insert((id.to_owned(), session), agent);
    }

    /// Stores the next report of a session. Has no effect if the session has lost its row.
    pub(crate) fn store(&self, id: &str, session: u64) {
        let agent = self.agents.lock().unwrap().get(&(id.to_owned(), session)).cloned();
        let Some(agent) = agent else { return };
        let value = self.history.moment();
        let values = row(value, agent.row().schema().schema().width);
        let operation = self.history.begin(id, session, Operation::Store(value));
        let stored = agent.row().store(session, &Values::All(&values));
        self.history.end(operation, stored);
    }

    /// Ends a session.
    pub(crate) fn leave(&self, id: &str, session: u64) {
        let operation = self.history.begin(id, session, Operation::Remove);
        let left = self.registry.leave(&AgentId::try_new(id).unwrap(), session);
        self.history.end(operation, left);
    }

    /// Takes a snapshot, and checks it against the history of each id.
    pub(crate) fn check_snapshot(&self) {
        let from = self.history.moment();
        let snapshot = self.snapshot();
        for id in IDS {
            let rows = snapshot.groups.iter().flat_map(|group| group.rows());
            let rows = rows.filter(|(labels, _)| agent_of(labels) == id).map(|(_, row)| row);
            let seen: Vec<u64> = rows.map(untorn).collect();
            self.history.check_snapshot(id, &seen, from);
        }
        let mut page = Vec::new();
        render(&snapshot, Format::Text, &mut page).unwrap();
        let page = String::from_utf8(page).unwrap();
        let mut lines: Vec<_> = page.lines().collect();
        let all = lines.len();
        lines.sort_unstable();
        lines.dedup();
        assert_eq!(lines.len(), all, "{page}");
    }

    /// Takes a snapshot of the shard with all ids. It needs the lock of one stripe, so Shuttle has
    /// fewer schedules.
    fn snapshot(&self) -> Snapshot {
        self.registry.snapshot_of_shard(FleetShard::new(fnv1a(IDS[0]) % STRIPES, STRIPES))
    }

    /// Checks that a snapshot has exactly one `load` series of an id that stays connected.
    pub(crate) fn check_connected(&self, id: &str) {
        let mut page = Vec::new();
        render(&self.snapshot(), Format::Text, &mut page).unwrap();
        let page = String::from_utf8(page).unwrap();
        let of_id = |line: &&str| line.starts_with("load") && line.contains(&format!("\"{id}\""));
        assert_eq!(page.lines().filter(of_id).count(), 1, "{page}");
    }

    /// Disconnects all agents, and checks that the registry is empty and has released its memory.
    pub(crate) fn all_leave(&self) {
        for ((id, session), _) in self.agents.lock().unwrap().drain() {
            self.leave(&id, session);
        }
        self.check_snapshot();
        assert_eq!((self.registry.agent_count(), self.registry.families_suppressed()), (0, 0));
        assert!(self.snapshot().families.is_empty());
        assert_eq!(self.registry.budget().taken(), self.empty);
    }
}

fn pin(registry: &Registry, families: &[(&'static str, u8)]) -> Pinned {
    let family =
        |(name, kind): &(&'static str, u8)| Family { name, kind: *kind, unit: "", help: "" };
    let series = |family| Series { family, width: 1, parameters: Vec::new(), labels: Vec::new() };
    let declared = Declared {
        stream: 0,
        families: families.iter().map(family).collect(),
        series: (0..families.len() as u32).map(series).collect(),
    };
    let (frame, fingerprint) = schema::encode(&declared).unwrap();
    let schema = Schema::try_new(&declared, &Limits::default()).unwrap();
    registry.schemas().intern(fingerprint, schema, frame.len()).unwrap()
}

/// Encodes the values of a report, all equal to `value`.
fn row(value: u64, width: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_all(&vec![value as f64; width], &mut bytes);
    bytes
}

/// Returns the value of a row. All values of the row must be equal.
fn untorn(row: &[f64]) -> u64 {
    assert!(row.iter().all(|value| *value == row[0]), "torn: {row:?}");
    row[0] as u64
}
