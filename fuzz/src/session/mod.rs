//! Concurrent connections of several hosts, without sockets.
//!
//! Connections open, send anything in any pieces, fall silent and close in any order. After each
//! step the pages show the latest report of each agent and nothing else, and memory is within its
//! bound. After all connections are closed the collector holds no state.

mod connection;
mod row_changes;
mod step;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use fleetgauge_collector::Config;
use fleetgauge_collector::admission::prefixes::Prefixes;
use fleetgauge_collector::exposition::{Format, Snapshot};
use fleetgauge_collector::limits::memory_budget::CONNECTION_BYTES;
use fleetgauge_collector::peers::handle::Signal;
use fleetgauge_collector::registry::FleetShard;
use fleetgauge_collector::roster::PresenceSnapshot;
use fleetgauge_collector::state::CollectorState;
use fleetgauge_proto::AgentId;
use prometheus_client::registry::Registry as OwnRegistry;

use crate::catalog_gen::CatalogChoice;
use crate::collector::{self, advance, check_empty, read, text};
use crate::expected::Page;

use connection::{Connection, KnownCatalogs};
use step::{Bounds, CONNECTIONS, IDS, Input, Step};

/// Bytes by which memory may exceed its limit: the check before an array is allocated uses an
/// estimate, and an array grows by up to an eighth.
const GROWTH_BYTES: usize = 8 * 1024;

struct World {
    input: Input,
    collector: Arc<CollectorState>,
    connections: [Option<Connection>; CONNECTIONS],
    known_catalogs: KnownCatalogs,
    /// Every id that has been registered so far.
    seen: BTreeSet<AgentId>,
    /// Snapshot that a slow scrape holds, and the page rendered from it when it was taken.
    scrape: Option<(Snapshot, Vec<u8>)>,
}

/// Applies the steps, checks the pages after each, and closes all connections at the end.
pub fn check(data: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let mut world = World::new(input);
    for step in std::mem::take(&mut world.input.steps) {
        world.apply(step);
        world.check();
    }
    world.settle();
    world.check();
    world.check_settled();
    world.close_all();
}

impl World {
    fn new(input: Input) -> Self {
        let collector =
            Arc::new(CollectorState::new(config(&input.bounds), &mut OwnRegistry::default()));
        let connections = Default::default();
        let known_catalogs = KnownCatalogs::default();
        Self { input, collector, connections, known_catalogs, seen: BTreeSet::new(), scrape: None }
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Connect { at, address } => self.connect(at, address),
            Step::Behave { at, id, host, catalogs } => self.behave(at, id, host, catalogs),
            Step::Send { at, output, withheld } => {
                let Some(connection) = &mut self.connections[at] else { return };
                connection.send(&output, &self.input);
                connection.deliver(usize::from(withheld));
            }
            Step::Finish(at) => self.each(at, Connection::finish),
            Step::Break(at) => self.each(at, Connection::reset),
            Step::Drop(at) => self.close(at),
            Step::Tick(at) => self.each(at, Connection::tick),
            Step::Wait(milliseconds) => {
                advance(&self.collector, Duration::from_millis(milliseconds.into()));
            }
            Step::Close(at) => self.each(at, |connection| connection.handle.raise(Signal::Close)),
            Step::Drain => {
                self.collector.start_draining();
                self.collector
                    .admission
                    .connections
                    .iter()
                    .for_each(|handle| handle.raise(Signal::Drain));
            }
            Step::Scrape => {
                let snapshot = self.collector.registry.snapshot();
                let text = text(&snapshot, Format::OpenMetrics);
                self.scrape = Some((snapshot, text));
            }
            Step::Settle => {
                self.settle();
                self.check_settled();
            }
        }
    }

    fn each(&mut self, at: usize, act: impl FnOnce(&mut Connection)) {
        if let Some(connection) = &mut self.connections[at] {
            act(connection);
        }
    }

    fn connect(&mut self, at: usize, address: u8) {
        self.close(at);
        let address = SocketAddr::from(([127, 0, 0, address % 2], 1000 + at as u16));
        let Some((session, handle)) = collector::connect(&self.collector, address) else { return };
        self.connections[at] =
            Some(Connection::new(session, handle, Rc::clone(&self.known_catalogs)));
    }

    /// Closes a connection as its task does in the collector.
    fn close(&mut self, at: usize) {
        if let Some(Connection { session, handle, .. }) = self.connections[at].take() {
            drop(session);
            self.collector.admission.dismiss(&handle, self.collector.clock.now());
        }
    }

    /// Sends the next message of a correct agent, or connects it if it has no open session.
    fn behave(&mut self, at: usize, id: u8, host: u8, catalogs: CatalogChoice) {
        match &self.connections[at] {
            Some(connection) if !connection.has_ended() => {
                let output = connection.next_output(id, host, catalogs);
                self.apply(Step::Send { at, output, withheld: 0 });
            }
            _ => self.connect(at, id),
        }
    }

    /// Lets all sessions handle their signals, three times because signals can cause further ones.
    fn settle(&mut self) {
        for _ in 0..3 {
            self.connections.iter_mut().flatten().for_each(Connection::tick);
        }
    }

    /// Checks the memory in use, the pages and the roster, as after every step.
    fn check(&mut self) {
        let registry = &self.collector.registry;
        let held = self.connections.iter().flatten().count() * CONNECTION_BYTES;
        let taken = self.collector.admission.budget.taken();
        let max = self.collector.admission.budget.limit() + GROWTH_BYTES;
        assert!((held..=max).contains(&taken), "{taken}");
        let present: Vec<_> =
            registry.present(FleetShard::ALL).into_iter().map(|one| one.0).collect();
        assert_eq!(present.len(), registry.agent_count());
        assert_eq!(
            present.iter().collect::<BTreeSet<_>>().len(),
            present.len(),
            "an id is listed twice"
        );
        for id in &present {
            let session = registry.find(id).unwrap().handle().session();
            let mut all = self.connections.iter().flatten();
            let holder =
                all.find(|one| one.handle.session() == session).expect("the holder is connected");
            assert!(!holder.has_ended(), "a closed session is still registered");
            let expected = holder.expected_page(id).expect("the holder has reported");
            assert_eq!(self.own_page(id), expected);
        }
        let page = read(&registry.snapshot());
        let samples = page.values().flat_map(|family| family.samples.keys());
        for (_, labels) in samples {
            assert!(present.iter().any(|id| id.as_str() == labels["agent"]), "{labels:?}");
        }
        if present.is_empty() {
            assert!(page.is_empty());
        }
        self.seen.extend(present);
        self.check_roster();
        if let Some((snapshot, then)) = &self.scrape {
            assert_eq!(&text(snapshot, Format::OpenMetrics), then, "a snapshot has changed");
        }
    }

    /// Checks that every id that was ever registered is on the roster once, connected or departed.
    fn check_roster(&self) {
        let presence = PresenceSnapshot::to_save(&self.collector.registry, &self.collector.roster);
        let max_departed = self.collector.config.roster.departed;
        assert!(presence.departed.len() <= max_departed);
        let departed = presence.departed.iter().map(|departure| &departure.id);
        let all: Vec<_> = presence.connected.iter().map(|(id, _)| id).chain(departed).collect();
        let unique: BTreeSet<_> = all.iter().copied().collect();
        assert_eq!(unique.len(), all.len(), "{presence:?}");
        if max_departed >= IDS.len() {
            assert!(self.seen.iter().all(|id| unique.contains(id)), "{presence:?}");
        }
    }

    /// Checks, after all signals are handled, that every reporting agent is on the pages.
    fn check_settled(&self) {
        for connection in self.connections.iter().flatten() {
            if let Some(id) = connection.reporting() {
                let holder = self.collector.registry.find(id).map(|one| one.handle().session());
                assert_eq!(
                    holder,
                    Some(connection.handle.session()),
                    "{id} reports but is not registered"
                );
            }
        }
    }

    fn own_page(&self, id: &AgentId) -> Page {
        read(&self.collector.registry.snapshot_of(id.as_str()).unwrap())
    }

    fn close_all(mut self) {
        (0..CONNECTIONS).for_each(|at| self.close(at));
        self.check();
        check_empty(&self.collector);
    }
}

fn config(bounds: &Bounds) -> Config {
    let mut config = Config { classic: bounds.classic, drain: Duration::ZERO, ..Config::default() };
    config.roster.departed = usize::from(bounds.departed % 5);
    config.bounds.address.connections = usize::from(bounds.per_address % 4) + 1;
    config.bounds.address.exempt = Prefixes::default();
    config.bounds.handshakes = usize::from(bounds.handshakes % 6) + 1;
    config.bounds.memory = 1000 + 2 * usize::from(bounds.memory);
    config.bounds.catalogs.catalogs = usize::from(bounds.catalogs % 4) + 1;
    match bounds.series % 16 {
        0 => {}
        few => config.bounds.limits.max_series = few.into(),
    }
    // A power of two, so that the rate limit has no rounding error.
    config.bounds.row_changes_per_second = 1 << (bounds.row_changes % 12);
    config
}
