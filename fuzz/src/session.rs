//! Several connections of several hosts at once, without sockets: whatever they send, in whatever pieces, whoever else
//! comes, goes, falls silent or is sent away meanwhile. After every step the pages show of each agent what its connection
//! said last, and of nobody else anything; memory stays within its bound; and when all have gone nothing is left.

mod connection;
mod step;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use fleetgauge_collector::Config;
use fleetgauge_collector::addresses::Prefixes;
use fleetgauge_collector::budget::CONNECTION_BYTES;
use fleetgauge_collector::exposition::{Format, Snapshot};
use fleetgauge_collector::peer::Signal;
use fleetgauge_collector::registry::PageShard;
use fleetgauge_collector::roster::Census;
use fleetgauge_collector::shared::Shared;
use fleetgauge_proto::AgentId;
use prometheus_client::registry::Registry as OwnRegistry;

use crate::collector::{self, check_empty, pass, read, text};
use crate::expected::Page;

use connection::{Connection, Dictionary};
use step::{Bounds, CONNECTIONS, IDS, Input, Step};

/// Arrays grow by an eighth: so much more than there is may be taken by one agent, of 16 KiB of labels at most.
const GROWTH_BYTES: usize = 8 * 1024;

struct World {
    input: Input,
    shared: Arc<Shared>,
    connections: [Option<Connection>; CONNECTIONS],
    dictionary: Dictionary,
    /// Ids that have been shown.
    seen: BTreeSet<AgentId>,
    /// A page that somebody reads slowly: what was copied, and what it said then.
    read: Option<(Snapshot, Vec<u8>)>,
}

/// Takes the steps, looks at everything after each, and ends all that is left.
pub fn check(data: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let mut world = World::new(input);
    for step in std::mem::take(&mut world.input.steps) {
        world.take(step);
        world.check();
    }
    world.settle();
    world.check();
    world.check_settled();
    world.all_go();
}

impl World {
    fn new(input: Input) -> Self {
        let shared = Arc::new(Shared::new(config(&input.bounds), &mut OwnRegistry::default()));
        let connections = Default::default();
        let dictionary = Dictionary::default();
        Self { input, shared, connections, dictionary, seen: BTreeSet::new(), read: None }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Connect { at, address } => self.connect(at, address),
            Step::Behave { at, id, host, schema } => self.behave(at, id, host, schema),
            Step::Say { at, saying, kept_back } => {
                let Some(connection) = &mut self.connections[at] else { return };
                connection.says(&saying, &self.input);
                connection.delivers(usize::from(kept_back));
            }
            Step::Finish(at) => self.each(at, Connection::finishes),
            Step::Break(at) => self.each(at, Connection::breaks),
            Step::Drop(at) => self.close(at),
            Step::Tick(at) => self.each(at, Connection::ticks),
            Step::Wait(milliseconds) => {
                pass(&self.shared, Duration::from_millis(milliseconds.into()));
            }
            Step::Close(at) => self.each(at, |connection| connection.peer.raise(Signal::Close)),
            Step::Drain => {
                self.shared.start_draining();
                self.shared.peers.iter().for_each(|peer| peer.raise(Signal::Drain));
            }
            Step::Scrape => {
                let snapshot = self.shared.registry.snapshot();
                let text = text(&snapshot, Format::OpenMetrics);
                self.read = Some((snapshot, text));
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
        let Some((session, peer)) = collector::connect(&self.shared, address) else { return };
        self.connections[at] = Some(Connection::new(session, peer, Rc::clone(&self.dictionary)));
    }

    /// As a connection's task does that ends.
    fn close(&mut self, at: usize) {
        if let Some(Connection { session, peer, .. }) = self.connections[at].take() {
            drop(session);
            self.shared.dismiss(&peer);
        }
    }

    /// Whatever an honest agent would do next.
    fn behave(&mut self, at: usize, id: u8, host: u8, schema: u8) {
        match &self.connections[at] {
            Some(connection) if !connection.has_ended() => {
                let saying = connection.would_say(id, host, schema);
                self.take(Step::Say { at, saying, kept_back: 0 });
            }
            _ => self.connect(at, id),
        }
    }

    /// Signals are looked at until none is left.
    fn settle(&mut self) {
        for _ in 0..3 {
            self.connections.iter_mut().flatten().for_each(Connection::ticks);
        }
    }

    /// What holds at any moment.
    fn check(&mut self) {
        let registry = &self.shared.registry;
        let held = self.connections.iter().flatten().count() * CONNECTION_BYTES;
        let taken = self.shared.budget.taken();
        assert!((held..=self.shared.budget.limit() + GROWTH_BYTES).contains(&taken), "{taken}");
        let present: Vec<_> =
            registry.present(PageShard::ALL).into_iter().map(|one| one.0).collect();
        assert_eq!(present.len(), registry.agents());
        assert_eq!(present.iter().collect::<BTreeSet<_>>().len(), present.len(), "each once");
        for id in &present {
            let session = registry.holder(id).unwrap().peer().session();
            let mut all = self.connections.iter().flatten();
            let holder = all.find(|one| one.peer.session() == session).expect("it is connected");
            assert!(!holder.has_ended(), "gone means gone");
            let expected = holder.expected_page(id).expect("it has reported");
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
        if let Some((snapshot, then)) = &self.read {
            assert_eq!(&text(snapshot, Format::OpenMetrics), then, "a copy does not change");
        }
    }

    /// Whoever was shown is connected or has departed, and is there once.
    fn check_roster(&self) {
        let known = Census::known(&self.shared.registry, &self.shared.roster);
        let room = self.shared.config.memory.departed;
        assert!(known.departed.len() <= room);
        let departed = known.departed.iter().map(|departure| &departure.id);
        let all: Vec<_> = known.connected.iter().map(|(id, _)| id).chain(departed).collect();
        let once: BTreeSet<_> = all.iter().copied().collect();
        assert_eq!(once.len(), all.len(), "{known:?}");
        if room >= IDS.len() {
            assert!(self.seen.iter().all(|id| once.contains(id)), "{known:?}");
        }
    }

    /// Once every signal has been looked at, whoever reports and is connected is shown.
    fn check_settled(&self) {
        for connection in self.connections.iter().flatten() {
            if let Some(id) = connection.reporting() {
                let holder = self.shared.registry.holder(id).map(|one| one.peer().session());
                assert_eq!(
                    holder,
                    Some(connection.peer.session()),
                    "{id} reports and is not shown"
                );
            }
        }
    }

    fn own_page(&self, id: &AgentId) -> Page {
        read(&self.shared.registry.snapshot_of(id.as_str()).unwrap())
    }

    fn all_go(mut self) {
        (0..CONNECTIONS).for_each(|at| self.close(at));
        self.check();
        check_empty(&self.shared);
    }
}

fn config(bounds: &Bounds) -> Config {
    let mut config = Config { classic: bounds.classic, drain: Duration::ZERO, ..Config::default() };
    config.memory.departed = usize::from(bounds.departed % 5);
    config.bounds.address.connections = usize::from(bounds.per_address % 4) + 1;
    config.bounds.address.exempt = Prefixes::default();
    config.bounds.handshakes = usize::from(bounds.handshakes % 6) + 1;
    config.bounds.memory = 1000 + 2 * usize::from(bounds.memory);
    config.bounds.schemas.schemas = usize::from(bounds.schemas % 4) + 1;
    config
}
