//! Agents that claim ids by their tokens, under rules that change meanwhile. After every step nobody is shown under an id
//! that its connection's token does not give it by the rules in force, nor with other labels than those allow; who is
//! refused hears no more than that; and when all have gone nothing is left.

mod connection;
mod rules;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use fleetgauge_collector::Config;
use fleetgauge_collector::registry::PageShard;
use fleetgauge_collector::roster::Census;
use fleetgauge_collector::shared::Shared;
use fleetgauge_collector::trust::Trust;
use fleetgauge_proto::AgentId;
use prometheus_client::registry::Registry as OwnRegistry;

use crate::collector::{check_empty, connect, pass, read};
use crate::schema_gen::some;

use connection::{Claim, Connection};
use rules::Rules;

const CONNECTIONS: usize = 4;
/// Of so many in 256 acts nothing is kept back.
const WHOLE: u8 = 192;
/// Rules among which the operator changes.
const CHOICES: usize = 3;

#[derive(Debug, Arbitrary)]
struct Input {
    rules: [Rules; CHOICES],
    #[arbitrary(with = |u: &mut Unstructured<'_>| some(u, 40, Step::arbitrary))]
    steps: Vec<Step>,
}

#[derive(Debug, Arbitrary)]
enum Step {
    /// An agent does what comes next: connects, claims, declares its schema, reports. Mostly all of that at once; else all
    /// but the last bytes arrive, and what had not arrived before.
    Act {
        #[arbitrary(with = place)]
        at: usize,
        claim: Claim,
        kept_back: u8,
    },
    /// An agent shows that it is alive.
    Answer(#[arbitrary(with = place)] usize),
    Drop(#[arbitrary(with = place)] usize),
    /// Time passes, in milliseconds.
    Wait(u16),
    /// These rules are in force from now on. Who was let in hears of it once the next step is taken, or before
    /// the rules change again.
    Reload(u8),
}

fn place(u: &mut Unstructured<'_>) -> arbitrary::Result<usize> {
    u.int_in_range(0..=CONNECTIONS - 1)
}

struct World {
    rules: [Rules; CHOICES],
    in_force: usize,
    shared: Arc<Shared>,
    connections: [Option<Connection>; CONNECTIONS],
    /// Ids that have been shown.
    seen: BTreeSet<AgentId>,
}

/// Takes the steps, looks at everything after each, and ends all that is left.
pub fn check(data: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let mut world = World::new(input.rules);
    for step in input.steps {
        world.take(step);
    }
    world.wake();
    world.check();
    world.all_go();
}

impl World {
    fn new(rules: [Rules; CHOICES]) -> Self {
        let trust = rules[0].trust(&Trust::default());
        let config = Config { trust, drain: Duration::ZERO, ..Config::default() };
        let shared = Arc::new(Shared::new(config, &mut OwnRegistry::default()));
        let connections = Default::default();
        Self { rules, in_force: 0, shared, connections, seen: BTreeSet::new() }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Act { at, claim, kept_back } => match kept_back.checked_sub(WHOLE) {
                Some(kept_back) => self.act(at, claim, kept_back.into()),
                None => (0..4).for_each(|_| self.act(at, claim.clone(), 0)),
            },
            Step::Answer(at) => {
                if let Some(connection) = &mut self.connections[at] {
                    connection.answers();
                }
            }
            Step::Drop(at) => self.close(at),
            Step::Wait(milliseconds) => {
                pass(&self.shared, Duration::from_millis(milliseconds.into()));
            }
            Step::Reload(chosen) => return self.reload(usize::from(chosen) % CHOICES),
        }
        self.wake();
        self.check();
    }

    fn act(&mut self, at: usize, claim: Claim, kept_back: usize) {
        let rules = &self.rules[self.in_force];
        match &mut self.connections[at] {
            Some(connection) if !connection.has_ended() => {
                connection.acts(claim, kept_back, rules);
                self.note_present();
            }
            _ => {
                self.close(at);
                let address = SocketAddr::from(([127, 0, 0, 1], 1000 + at as u16));
                let (session, peer) = connect(&self.shared, address).expect("there is room");
                self.connections[at] = Some(Connection::new(session, peer));
            }
        }
    }

    /// Whoever is there now, be it only until it hears of other rules, had been given its id.
    fn note_present(&mut self) {
        for (id, ..) in self.shared.registry.present(PageShard::ALL) {
            let session = self.shared.registry.holder(&id).unwrap().peer().session();
            let mut all = self.connections.iter().flatten();
            let holder = all.find(|one| one.peer.session() == session).expect("it is connected");
            assert!(holder.was_given(), "{id} is there and was refused");
            self.seen.insert(id);
        }
    }

    fn reload(&mut self, chosen: usize) {
        self.wake();
        self.in_force = chosen;
        let rules = &self.rules[chosen];
        let before = Arc::clone(&self.shared.trust.read());
        self.shared.reload(rules.trust(&before));
        self.connections.iter_mut().flatten().for_each(|one| one.is_judged_by(rules));
    }

    /// As a connection's task does that ends.
    fn close(&mut self, at: usize) {
        if let Some(Connection { session, peer, .. }) = self.connections[at].take() {
            drop(session);
            self.shared.dismiss(&peer);
        }
    }

    /// Everybody looks at signals until none is left.
    fn wake(&mut self) {
        for _ in 0..3 {
            self.connections.iter_mut().flatten().for_each(Connection::wakes);
        }
    }

    /// Who is shown is allowed to be, has the labels that it must have, and is there alone.
    fn check(&mut self) {
        let registry = &self.shared.registry;
        let present: BTreeSet<_> =
            registry.present(PageShard::ALL).into_iter().map(|one| one.0).collect();
        for id in &present {
            let session = registry.holder(id).unwrap().peer().session();
            let mut all = self.connections.iter().flatten();
            let holder = all.find(|one| one.peer.session() == session).expect("it is connected");
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
        let known = Census::known(registry, &self.shared.roster);
        let mut departed = known.departed.iter().map(|departure| &departure.id);
        assert!(departed.all(|id| self.seen.contains(id)), "a refused agent never was there");
    }

    fn all_go(mut self) {
        (0..CONNECTIONS).for_each(|at| self.close(at));
        self.check();
        check_empty(&self.shared);
    }
}
