//! A registry with two ids. Performs operations of sessions and scrapes on it, and records them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use fleetgauge_interleavings::exposition::{Format, Snapshot, render};
use fleetgauge_interleavings::limits::memory_budget::MemoryBudget;
use fleetgauge_interleavings::peers::handle::ConnectionHandle;
use fleetgauge_interleavings::registry::{
    CatalogLimits, CatalogPin, ConfiguredKinds, Entered, FleetShard, Layout, PendingAgent,
    PendingValues, RegisteredAgent, Registry,
};
use fleetgauge_proto::message::{Catalog as Declared, Column, Family, RowChange, Table};
use fleetgauge_proto::report::EncodedValues;
use fleetgauge_proto::{AgentId, Catalog, Limits, catalog, fnv1a};

use crate::history::{History, Operation};

/// Two ids in the same stripe of the registry.
pub(crate) const IDS: [&str; 2] = ["a", "ba"];
/// Number of stripes of the registry. With as many shards, a snapshot of one shard locks a single
/// stripe.
const STRIPES: u64 = 64;
/// Families of each catalog, and their metric kinds. In the last catalog `load` has another kind,
/// so pages can omit it; `up` is on every page. `disk` has a row label.
const CATALOGS: [&[(&str, u8)]; 3] =
    [&[("up", 1), ("load", 1)], &[("up", 1), ("load", 1), ("disk", 1)], &[("up", 1), ("load", 2)]];
/// The catalog with a row label.
pub(crate) const LABELLED_CATALOG: usize = 1;
/// The family whose table has a row label.
const LABELLED: &str = "disk";
/// A minute in milliseconds: once it has passed, an id can be taken over again.
const MINUTE: u64 = 60_000;

pub(crate) struct Stage {
    registry: Registry,
    catalogs: Vec<CatalogPin>,
    history: History,
    /// The registered agent of each session.
    agents: Mutex<HashMap<(String, u64), Arc<RegisteredAgent>>>,
    /// The devices of the report with each value.
    devices: Mutex<HashMap<u64, Vec<String>>>,
    /// Bytes of the memory budget that are in use without agents.
    empty: usize,
}

impl Stage {
    pub(crate) fn new() -> Self {
        assert_eq!(fnv1a(IDS[0]) % STRIPES, fnv1a(IDS[1]) % STRIPES);
        let limits = CatalogLimits { catalogs: 10, bytes: 1 << 20 };
        let registry =
            Registry::new(limits, ConfiguredKinds::new(), Arc::new(MemoryBudget::new(1 << 20)));
        let catalogs = CATALOGS.iter().map(|families| pin(&registry, families)).collect();
        let empty = registry.budget().taken();
        let history = History::default();
        Self {
            registry,
            catalogs,
            history,
            agents: Mutex::default(),
            devices: Mutex::default(),
            empty,
        }
    }

    /// Registers a session with its first report, or shows its first report of another catalog.
    pub(crate) fn enter(&self, id: &str, session: u64, catalog: usize) {
        let value = self.history.moment();
        let pending = self.values(&self.catalogs[catalog], value);
        let known = self.agents.lock().unwrap().get(&(id.to_owned(), session)).cloned();
        if let Some(agent) = known {
            let operation = self.history.begin(id, session, Operation::Store(value));
            let replaced = self.registry.replace(&agent, pending).unwrap();
            self.history.end(operation, replaced.is_some());
            return;
        }
        let agent = PendingAgent {
            id: AgentId::try_new(id).unwrap(),
            host_nonce: [1; 16],
            labels: format!("agent=\"{id}\"").into(),
            handle: ConnectionHandle::new(session, "127.0.0.1:9".parse().unwrap(), 0),
        };
        let operation = self.history.begin(id, session, Operation::Take(value));
        let entered = self.registry.enter(&agent, pending, value * MINUTE);
        self.history.end(operation, entered.is_ok());
        // With three threads, the last one can exceed the limit of takeovers.
        let Ok(Entered { agent, .. }) = entered else { return };
        self.agents.lock().unwrap().insert((id.to_owned(), session), agent);
    }

    /// Returns the values of a report, all equal to `value`, with two rows of each labelled table.
    fn values(&self, catalog: &CatalogPin, value: u64) -> PendingValues {
        let mut pending = PendingValues::empty();
        self.registry.set_catalog(&mut pending, 0, catalog.clone()).unwrap();
        self.set_rows(&mut pending, &["sda", "sdb"]);
        self.apply(&mut pending, value);
        pending
    }

    /// Sets the rows of the labelled table, if there is one.
    fn set_rows(&self, pending: &mut PendingValues, devices: &[&str]) {
        let mut tables = pending.layout().tables().flat_map(|(_, tables)| tables);
        let Some(table) = tables.position(|table| table.rows.is_some()) else { return };
        drop(tables);
        let before = devices_of(pending.layout());
        let is_removed = |at: &u32| !devices.contains(&before[*at as usize].as_str());
        let removed = (0..before.len() as u32).filter(is_removed).collect();
        let is_new = |device: &&&str| before.iter().all(|old| old != **device);
        let added = devices.iter().filter(is_new).copied().collect();
        let change = RowChange { slot: 0, table: table as u32, removed, added };
        self.registry.change_rows(pending, &[change], &Limits::default()).unwrap();
    }

    /// Writes a report whose values are all equal to `value`.
    fn apply(&self, pending: &mut PendingValues, value: u64) {
        self.devices.lock().unwrap().insert(value, devices_of(pending.layout()));
        let encoded = encoded(pending.layout(), value);
        self.registry.apply(pending, &encoded.values()).unwrap();
    }

    /// Sends Rows and the next report of a session. Has no effect if the session has lost its id.
    pub(crate) fn change_rows(&self, id: &str, session: u64, devices: &[&str]) {
        let agent = self.agents.lock().unwrap().get(&(id.to_owned(), session)).cloned();
        let Some(agent) = agent else { return };
        let Some(mut pending) = self.registry.pending_values_of(&agent).unwrap() else { return };
        self.set_rows(&mut pending, devices);
        let value = self.history.moment();
        self.apply(&mut pending, value);
        let operation = self.history.begin(id, session, Operation::Store(value));
        let replaced = self.registry.replace(&agent, pending).unwrap();
        self.history.end(operation, replaced.is_some());
    }

    /// Stores the next report of a session. Has no effect if the session has lost its id.
    pub(crate) fn store(&self, id: &str, session: u64) {
        let agent = self.agents.lock().unwrap().get(&(id.to_owned(), session)).cloned();
        let Some(agent) = agent else { return };
        let value = self.history.moment();
        let Some(layout) = agent.layout() else { return };
        self.devices.lock().unwrap().insert(value, devices_of(&layout));
        let encoded = encoded(&layout, value);
        let operation = self.history.begin(id, session, Operation::Store(value));
        let stored = agent.store(&encoded.values()).unwrap();
        self.history.end(operation, stored.is_some());
    }

    /// Ends a session.
    pub(crate) fn leave(&self, id: &str, session: u64) {
        self.agents.lock().unwrap().remove(&(id.to_owned(), session));
        let operation = self.history.begin(id, session, Operation::Remove);
        let left = self.registry.leave(&AgentId::try_new(id).unwrap(), session);
        self.history.end(operation, left);
    }

    /// Takes a snapshot, and checks it against the history of each id.
    pub(crate) fn check_snapshot(&self) {
        let from = self.history.moment();
        let snapshot = self.snapshot();
        let mut page = Vec::new();
        render(&snapshot, Format::Text, &mut page).unwrap();
        let page = String::from_utf8(page).unwrap();
        for id in IDS {
            let own = format!("agent=\"{id}\"");
            let lines = page.lines().filter(|line| line.contains(&own));
            let values = lines.map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap());
            let values = single_value(values.collect());
            self.history.check_snapshot(id, &values, from);
            if let [value] = values[..] {
                let devices = self.devices.lock().unwrap()[&value].clone();
                let series = devices.iter().map(|device| format!("{own},device=\"{device}\""));
                let shown = page.lines().filter(|line| line.starts_with(LABELLED));
                let shown = shown.filter(|line| line.contains(&own)).map(labels);
                assert!(shown.eq(series), "{devices:?} in\n{page}");
            }
        }
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
        let agents = std::mem::take(&mut *self.agents.lock().unwrap());
        for (id, session) in agents.into_keys() {
            self.leave(&id, session);
        }
        self.check_snapshot();
        assert_eq!((self.registry.agent_count(), self.registry.families_suppressed()), (0, 0));
        assert!(self.snapshot().families.is_empty());
        assert_eq!(self.registry.budget().taken(), self.empty);
    }
}

fn pin(registry: &Registry, families: &[(&'static str, u8)]) -> CatalogPin {
    let family =
        |(name, kind): &(&'static str, u8)| Family { name, kind: *kind, unit: "", help: "" };
    let table = |(family, (name, _)): (u32, &(&str, u8))| Table {
        row_labels: if *name == LABELLED { vec!["device"] } else { Vec::new() },
        columns: vec![Column {
            family,
            width: 1,
            decimals: 0,
            parameters: Vec::new(),
            labels: Vec::new(),
        }],
    };
    let declared = Declared {
        stream: 0,
        slot: 0,
        families: families.iter().map(family).collect(),
        tables: (0..).zip(families).map(table).collect(),
    };
    let (frame, fingerprint) = catalog::encode(&declared).unwrap();
    let catalog = Catalog::try_new(&declared, &Limits::default()).unwrap();
    registry.catalogs().intern(fingerprint, catalog, frame.len()).unwrap()
}

/// Encodes the values of a report, all equal to `value`.
fn encoded(layout: &Layout, value: u64) -> EncodedValues {
    let mut encoded = EncodedValues::default();
    encoded.encode_all(&vec![value as f64; layout.cells()], layout.shape());
    encoded
}

/// Returns the devices of a layout.
fn devices_of(layout: &Layout) -> Vec<String> {
    let tables = layout.tables().flat_map(|(_, tables)| tables);
    let rows = tables.filter_map(|table| table.rows);
    rows.flat_map(|rows| rows.iter(1).flatten().map(str::to_owned)).collect()
}

/// Returns the text between the braces of a line.
fn labels(line: &str) -> &str {
    line.split(['{', '}']).nth(1).unwrap()
}

/// Returns the value of all lines of an id, which must be equal; nothing without lines.
fn single_value(mut values: Vec<u64>) -> Vec<u64> {
    values.dedup();
    assert!(values.len() < 2, "torn: {values:?}");
    values
}
