//! Model test: random histories of a few agents. After each step the page must match a small model.

mod series;
mod step;

use std::collections::BTreeMap;

use fleetgauge_collector::peers::close_reason::CloseReason;
use fleetgauge_proto::Code;
use proptest::prelude::*;

use self::series::{Series, catalog_frames};
use self::step::{Frame, Step, step};
use crate::support::agent::identity;
use crate::support::collector::config;
use crate::support::driven::{Driven, Rig, Sent};
use crate::support::frames::{CatalogFrame, PONG_KIND, bye, gauges, raw};

const IDS: [&str; 3] = ["a", "b", "c"];
const CONNECTIONS: usize = 6;

/// State of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Greeting,
    Challenging { id: usize, host: u8, holder: usize },
    Open { id: usize, host: u8 },
    Ended,
}

/// An agent whose series the page must show.
#[derive(Debug, Clone)]
struct Shown {
    at: usize,
    host: u8,
    /// The series of the last report.
    series: Series,
    takeovers: Vec<u64>,
}

#[derive(Debug)]
struct Model {
    now: u64,
    states: [State; CONNECTIONS],
    /// Time at which the collector ends each connection if its agent stays silent.
    deadlines: [u64; CONNECTIONS],
    /// The series that each open connection will show after its next report.
    series: [Series; CONNECTIONS],
    shown: BTreeMap<usize, Shown>,
}

impl Model {
    fn end(&mut self, at: usize) {
        if let State::Open { id, .. } = self.states[at]
            && self.shown.get(&id).is_some_and(|shown| shown.at == at)
        {
            self.shown.remove(&id);
        }
        self.states[at] = State::Ended;
        // The challenger is notified that the holder has ended.
        for rival in 0..CONNECTIONS {
            if let State::Challenging { id, host, holder } = self.states[rival]
                && holder == at
            {
                self.admit_or_refuse(rival, id, host);
            }
        }
    }

    fn admit_or_refuse(&mut self, at: usize, id: usize, host: u8) {
        self.states[at] = State::Ended;
        if !self.shown.contains_key(&id) {
            self.welcome(at, id, host);
        }
    }

    fn welcome(&mut self, at: usize, id: usize, host: u8) {
        self.states[at] = State::Open { id, host };
        self.series[at] = Series::default();
        self.deadlines[at] = self.now + 30_000;
    }

    fn page(&self) -> BTreeMap<String, f64> {
        let of_agents = self.shown.iter().map(|(id, shown)| shown.series.page(IDS[*id]));
        of_agents.flatten().collect()
    }
}

struct World {
    rig: Rig,
    catalogs: Vec<CatalogFrame>,
    agents: Vec<Driven>,
    sequence: u64,
    model: Model,
}

impl World {
    fn new() -> Self {
        let rig = Rig::new(config());
        let agents = (0..CONNECTIONS).map(|_| rig.connect()).collect();
        let model = Model {
            now: rig.now,
            states: [State::Greeting; CONNECTIONS],
            deadlines: [rig.now + 5_000; CONNECTIONS],
            series: Default::default(),
            shown: BTreeMap::new(),
        };
        Self { rig, catalogs: catalog_frames(), agents, sequence: 0, model }
    }

    fn receives(&mut self, at: usize, bytes: &[u8]) {
        self.agents[at].receives(&self.rig, bytes);
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Behave { at, id, host, then } => self.take(match self.model.states[at] {
                State::Ended => Step::Connect(at),
                State::Greeting => Step::Hello { at, id, host },
                State::Challenging { holder, .. } => Step::Pong(holder),
                State::Open { .. } if self.model.series[at].is_complete() => Step::Send(at, then),
                // A catalog of the first slot.
                State::Open { .. } => Step::Send(at, Frame::Catalog(id)),
            }),
            Step::Connect(at) => {
                self.agents[at].finishes();
                self.model.end(at);
                self.settle();
                self.agents[at] = self.rig.connect();
                self.model.states[at] = State::Greeting;
                self.model.deadlines[at] = self.rig.now + 5_000;
            }
            Step::Hello { at, id, host } => self.hello(at, id, host),
            Step::Send(at, frame) => self.send(at, frame),
            Step::Pong(at) => {
                self.receives(at, &raw(PONG_KIND, &[1]));
                self.frame_received(at);
                if !matches!(self.model.states[at], State::Open { .. }) {
                    self.model.end(at);
                }
            }
            Step::Bye(at) => {
                self.receives(at, &bye());
                self.frame_received(at);
                self.model.end(at);
            }
            Step::Close(at) => {
                self.agents[at].finishes();
                self.model.end(at);
            }
            Step::Break(at) => {
                self.agents[at].session.lost(CloseReason::Reset);
                self.model.end(at);
            }
            Step::Garbage(at) => {
                self.receives(at, b"garbage");
                self.model.end(at);
            }
            Step::Wait(ms) => {
                self.rig.now += ms;
                self.model.now = self.rig.now;
                self.expire();
            }
        }
        self.settle();
    }

    /// A complete frame of an open connection proves that its agent is alive: its challengers are
    /// refused.
    fn frame_received(&mut self, at: usize) {
        if matches!(self.model.states[at], State::Open { .. }) {
            for rival in 0..CONNECTIONS {
                let state = &mut self.model.states[rival];
                if matches!(state, State::Challenging { holder, .. } if *holder == at) {
                    *state = State::Ended;
                }
            }
        }
    }

    /// Sends a frame of any connection. Before Welcome every frame ends the session, and Rows and
    /// Report do so before the catalog that Welcome asked for.
    fn send(&mut self, at: usize, frame: Frame) {
        let state = self.model.states[at];
        let series = &mut self.model.series[at];
        let is_complete = matches!(state, State::Open { .. }) && series.is_complete();
        self.sequence += 1;
        let (bytes, is_allowed) = match frame {
            Frame::Catalog(catalog) => {
                let is_allowed = series.declare(catalog) && matches!(state, State::Open { .. });
                (self.catalogs[catalog].bytes.clone(), is_allowed)
            }
            Frame::Rows(bits) => (series.change_rows(bits), is_complete),
            Frame::Report(bits) => (series.report(self.sequence, bits), is_complete),
            Frame::Wrong(number) => {
                let (bytes, code) = series.wrong(self.sequence, number);
                self.receives(at, &bytes);
                let sent = self.agents[at].take_sent();
                assert!(!is_complete || sent.contains(&Sent::Reject(code)), "{code}: {sent:?}");
                (Vec::new(), false)
            }
        };
        self.receives(at, &bytes);
        self.frame_received(at);
        match (state, frame) {
            (State::Open { id, host }, Frame::Report(_)) if is_allowed => self.show(at, id, host),
            _ if is_allowed => {}
            _ => self.model.end(at),
        }
    }

    fn hello(&mut self, at: usize, id: usize, host: u8) {
        let bytes = identity(IDS[id]).on_host(host).hello(&gauges(&["never_declared"]));
        self.receives(at, &bytes);
        self.frame_received(at);
        let now = self.rig.now;
        if self.model.states[at] != State::Greeting {
            self.model.end(at);
            return;
        }
        let holder = self.model.shown.get(&id).map(|s| (s.at, s.host, s.takeovers.clone()));
        match holder {
            Some((holder, other, _)) if other != host => {
                let is_challenged = |state: &State| match state {
                    State::Challenging { holder: challenged, .. } => *challenged == holder,
                    _ => false,
                };
                if self.model.states.iter().any(is_challenged) {
                    self.model.states[at] = State::Ended;
                } else {
                    self.model.states[at] = State::Challenging { id, host, holder };
                    self.model.deadlines[at] = now + 5_000;
                }
            }
            Some((_, _, takeovers)) if contested(&takeovers, now) => {
                self.model.states[at] = State::Ended;
            }
            _ => self.model.welcome(at, id, host),
        }
    }

    /// The connection has reported: the page shows its series, unless it may not hold the id.
    fn show(&mut self, at: usize, id: usize, host: u8) {
        let now = self.rig.now;
        let series = self.model.series[at].clone();
        let holder = self.model.shown.get(&id).map(|s| (s.at, s.host, s.takeovers.clone()));
        let (older, takeovers) = match holder {
            Some((holder, _, takeovers)) if holder == at => (None, takeovers),
            Some((_, other, takeovers)) if other != host || contested(&takeovers, now) => {
                self.model.end(at);
                return;
            }
            Some((holder, _, mut takeovers)) => {
                takeovers.push(now);
                (Some(holder), takeovers)
            }
            None => (None, Vec::new()),
        };
        self.model.shown.insert(id, Shown { at, host, series, takeovers });
        if let Some(older) = older {
            self.model.end(older);
        }
        self.model.deadlines[at] = now + 45_000;
    }

    /// Ends connections whose deadline has passed, in the order of slots, as [`Self::settle`] ticks
    /// them.
    fn expire(&mut self) {
        for at in 0..CONNECTIONS {
            let now = self.rig.now;
            if self.model.deadlines[at] > now {
                self.agents[at].ticks(&self.rig);
                continue;
            }
            self.agents[at].ticks(&self.rig);
            match self.model.states[at] {
                State::Ended => {}
                State::Challenging { id, host, holder } => {
                    if self.model.shown.get(&id).is_some_and(|shown| shown.at == holder) {
                        self.model.shown.remove(&id);
                        self.model.states[holder] = State::Ended;
                    }
                    self.model.admit_or_refuse(at, id, host);
                }
                State::Greeting | State::Open { .. } => self.model.end(at),
            }
        }
    }

    /// Ticks all sessions three times, because handling a signal can raise another.
    fn settle(&mut self) {
        for _ in 0..3 {
            for agent in &mut self.agents {
                agent.ticks(&self.rig);
            }
        }
    }

    fn check(&mut self, step: Step) -> Result<(), TestCaseError> {
        let page = self.rig.page();
        let shown: BTreeMap<_, _> = page.samples().map(|(s, v)| (s.to_owned(), v)).collect();
        prop_assert_eq!(shown.len(), page.samples().count(), "a series twice after {:?}", step);
        prop_assert_eq!(shown, self.model.page(), "after {:?}", step);
        for at in 0..CONNECTIONS {
            let ended = self.agents[at].close_reason();
            let expected = self.model.states[at] == State::Ended;
            prop_assert_eq!(ended.is_some(), expected, "{} is {:?} after {:?}", at, ended, step);
            for said in self.agents[at].take_sent() {
                prop_assert!(!matches!(said, Sent::Reject(Code::MalformedPayload)));
            }
        }
        prop_assert_eq!(self.rig.collector.registry.agent_count(), self.model.shown.len());
        prop_assert_eq!(self.rig.collector.registry.families_suppressed(), 0);
        Ok(())
    }
}

fn contested(takeovers: &[u64], now: u64) -> bool {
    takeovers.iter().filter(|at| now < **at + 60_000).count() >= 3
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 500,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn page_matches_the_model(steps in proptest::collection::vec(step(), 1..120)) {
        let mut world = World::new();
        for step in steps {
            world.take(step);
            world.check(step)?;
        }
    }
}
