//! Agents claim ids with tokens while the authorization rules are reloaded.
//!
//! After each step every agent on the page has an id and labels that the current rules grant to its
//! token. A refused agent receives only the documented Reject. After all connections are closed the
//! collector holds no state.

mod connection;
mod rules;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use fleetgauge_collector::Config;
use fleetgauge_collector::auth::AuthPolicy;
use fleetgauge_collector::registry::FleetShard;
use fleetgauge_collector::roster::PresenceSnapshot;
use fleetgauge_collector::state::CollectorState;
use fleetgauge_proto::AgentId;
use prometheus_client::registry::Registry as OwnRegistry;

use crate::catalog_gen::vec_of;
use crate::collector::{advance, check_empty, connect, read};

use connection::{Claim, Connection};
use rules::Rules;

const CONNECTIONS: usize = 4;
/// An `Act` step with a `withheld` byte below this delivers all its messages completely.
const COMPLETE: u8 = 192;
/// Number of rule sets that reloads choose from.
const CHOICES: usize = 3;

#[derive(Debug, Arbitrary)]
struct Input {
    rules: [Rules; CHOICES],
    #[arbitrary(with = |u: &mut Unstructured<'_>| vec_of(u, 40, Step::arbitrary))]
    steps: Vec<Step>,
}

#[derive(Debug, Arbitrary)]
enum Step {
    /// An agent takes its next step: connect, Hello, Catalog or Report. Usually it takes all four
    /// at once, with complete messages. Otherwise it takes one, whose last bytes arrive with the
    /// next step.
    Act {
        #[arbitrary(with = index)]
        at: usize,
        claim: Claim,
        withheld: u8,
    },
    /// An agent sends a Pong.
    Answer(#[arbitrary(with = index)] usize),
    Drop(#[arbitrary(with = index)] usize),
    /// Advances the clock by this many milliseconds.
    Wait(u16),
    /// Loads the rule set with this index. Sessions notice it at the next step, or before the next
    /// reload.
    Reload(u8),
}

fn index(u: &mut Unstructured<'_>) -> arbitrary::Result<usize> {
    u.int_in_range(0..=CONNECTIONS - 1)
}

struct World {
    rules: [Rules; CHOICES],
    current: usize,
    collector: Arc<CollectorState>,
    connections: [Option<Connection>; CONNECTIONS],
    /// Every id that has been registered so far.
    seen: BTreeSet<AgentId>,
}

/// Applies the steps, checks the pages after each, and closes all connections at the end.
pub fn check(data: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let mut world = World::new(input.rules);
    for step in input.steps {
        world.apply(step);
    }
    world.wake();
    world.check();
    world.close_all();
}

impl World {
    fn new(rules: [Rules; CHOICES]) -> Self {
        let auth = rules[0].policy(&AuthPolicy::default());
        let config = Config { auth, drain: Duration::ZERO, ..Config::default() };
        let collector = Arc::new(CollectorState::new(config, &mut OwnRegistry::default()));
        let connections = Default::default();
        Self { rules, current: 0, collector, connections, seen: BTreeSet::new() }
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Act { at, claim, withheld } => match withheld.checked_sub(COMPLETE) {
                Some(withheld) => self.act(at, claim, withheld.into()),
                None => (0..4).for_each(|_| self.act(at, claim.clone(), 0)),
            },
            Step::Answer(at) => {
                if let Some(connection) = &mut self.connections[at] {
                    connection.answer_ping();
                }
            }
            Step::Drop(at) => self.close(at),
            Step::Wait(milliseconds) => {
                advance(&self.collector, Duration::from_millis(milliseconds.into()));
            }
            Step::Reload(chosen) => return self.reload(usize::from(chosen) % CHOICES),
        }
        self.wake();
        self.check();
    }

    fn act(&mut self, at: usize, claim: Claim, withheld: usize) {
        let rules = &self.rules[self.current];
        match &mut self.connections[at] {
            Some(connection) if !connection.has_ended() => {
                connection.act(claim, withheld, rules);
                self.note_present();
            }
            _ => {
                self.close(at);
                let address = SocketAddr::from(([127, 0, 0, 1], 1000 + at as u16));
                let (session, handle) = connect(&self.collector, address).expect("there is room");
                self.connections[at] = Some(Connection::new(session, handle));
            }
        }
    }

    /// Records the registered ids. Checks that each was granted, even if a reload has revoked it.
    fn note_present(&mut self) {
        for (id, ..) in self.collector.registry.present(FleetShard::ALL) {
            let session = self.collector.registry.find(&id).unwrap().handle().session();
            let mut all = self.connections.iter().flatten();
            let holder =
                all.find(|one| one.handle.session() == session).expect("the holder is connected");
            assert!(holder.held_its_id(), "{id} is registered but its claim was refused");
            self.seen.insert(id);
        }
    }

    fn reload(&mut self, chosen: usize) {
        self.wake();
        self.current = chosen;
        let rules = &self.rules[chosen];
        let before = self.collector.auth.current();
        self.collector.reload(rules.policy(&before));
        self.connections.iter_mut().flatten().for_each(|one| one.apply_rules(rules));
    }

    /// Closes a connection as its task does in the collector.
    fn close(&mut self, at: usize) {
        if let Some(Connection { session, handle, .. }) = self.connections[at].take() {
            drop(session);
            self.collector.admission.dismiss(&handle, self.collector.clock.now());
        }
    }

    /// Lets all sessions handle their signals, three times because signals can cause further ones.
    fn wake(&mut self) {
        for _ in 0..3 {
            self.connections.iter_mut().flatten().for_each(Connection::wake);
        }
    }

    /// Checks that the pages show exactly the registered agents, each with the labels that it is
    /// granted.
    fn check(&mut self) {
        let registry = &self.collector.registry;
        let present: BTreeSet<_> =
            registry.present(FleetShard::ALL).into_iter().map(|one| one.0).collect();
        for id in &present {
            let session = registry.find(id).unwrap().handle().session();
            let mut all = self.connections.iter().flatten();
            let holder =
                all.find(|one| one.handle.session() == session).expect("the holder is connected");
            let labels = holder.expected_labels(id);
            let page = read(&registry.snapshot_of(id.as_str()).unwrap());
            let shown: Vec<_> = page["load"].samples.keys().map(|(_, labels)| labels).collect();
            assert_eq!(shown, [&labels]);
        }
        let page = read(&registry.snapshot());
        let shown = page.values().flat_map(|family| family.samples.keys());
        let shown: BTreeSet<_> = shown.map(|(_, labels)| labels["agent"].as_str()).collect();
        assert_eq!(shown, present.iter().map(AgentId::as_str).collect());
        self.seen.extend(present);
        let known = PresenceSnapshot::to_save(registry, &self.collector.roster);
        let mut departed = known.departed.iter().map(|departure| &departure.id);
        assert!(departed.all(|id| self.seen.contains(id)), "a refused agent is on the roster");
    }

    fn close_all(mut self) {
        (0..CONNECTIONS).for_each(|at| self.close(at));
        self.check();
        check_empty(&self.collector);
    }
}
