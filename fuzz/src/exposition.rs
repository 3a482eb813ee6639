//! For all schemas and reports, the pages parse in both formats and show the reported values.
//!
//! The shared page shows all families but suppressed ones; an agent's own page shows all of its
//! families; the pages of all shards together equal the shared page.

use std::sync::Arc;

use arbitrary::{Arbitrary, Result, Unstructured};
use fleetgauge_collector::exposition::{Format, Snapshot, openmetrics, render, write_labels};
use fleetgauge_collector::limits::memory_budget::MemoryBudget;
use fleetgauge_collector::peers::handle::ConnectionHandle;
use fleetgauge_collector::registry::{
    FleetShard, PendingAgent, Pinned, Pins, Registry, SchemaLimits,
};
use fleetgauge_proto::report::{self, ABSENT, Values};
use fleetgauge_proto::schema::{FamilyKind, encode};
use fleetgauge_proto::{AgentId, Limits, Schema, StaticLabels};

use crate::expected::{self, LabelMap, Page, SharedFamilies};
use crate::page::parse;
use crate::schema_gen::{Declared, Labels, vec_of};

const IDS: [&str; 4] = ["a", "b.c", "D:1-_", "-"];
const SHARDS: [u64; 3] = [2, 3, 64];
const SPECIAL: [f64; 8] =
    [0.0, -0.0, 1.0, ABSENT, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 9_007_199_254_740_993.0];
/// Time that the clock advances per step, in milliseconds: enough for a takeover at each step.
const STEP_MS: u64 = 60_000;

#[derive(Debug, Arbitrary)]
struct Input {
    pin: Option<(u8, u8)>,
    schemas: [Declared; 3],
    agents: [(Labels, Option<u16>); IDS.len()],
    values: [Value; 8],
    #[arbitrary(with = |u: &mut Unstructured<'_>| vec_of(u, 8, Step::arbitrary))]
    steps: Vec<Step>,
}

#[derive(Debug, Arbitrary)]
enum Step {
    /// An agent reports under a schema, with the values from index `first` on, perhaps over a new
    /// connection.
    Enter {
        agent: u8,
        schema: u8,
        first: u8,
        reconnect: bool,
    },
    Leave(u8),
}

#[derive(Debug)]
struct Value(f64);

impl<'a> Arbitrary<'a> for Value {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let special: u8 = u.arbitrary()?;
        SPECIAL.get(usize::from(special)).map_or_else(|| u.arbitrary().map(Self), |v| Ok(Self(*v)))
    }
}

/// A registered agent.
struct Agent {
    handle: Arc<ConnectionHandle>,
    labels: LabelMap,
    schema: usize,
    row: Vec<f64>,
}

struct World {
    registry: Registry,
    schemas: Vec<Declared>,
    /// For each of `schemas`: the index of the first equal schema, and its entry in the registry.
    pinned: Vec<(usize, Pinned)>,
    shared_families: SharedFamilies,
    agents: [Option<Agent>; IDS.len()],
    sessions: u64,
}

/// Applies the steps and checks the shared page after each, then the other pages.
pub fn check(data: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let mut world = World::new(&input);
    for step in &input.steps {
        world.apply(step, &input);
        world.check_shared_page();
    }
    world.check_own_pages();
    world.check_shards();
    world.close_all();
}

impl World {
    fn new(input: &Input) -> Self {
        let pin =
            input.pin.map(|(name, kind)| (["a", "b_bytes"][usize::from(name) % 2], kind % 6 + 1));
        let pins = pin.map(|(name, kind)| (name.to_owned(), FamilyKind::from_u8(kind).unwrap()));
        let limits = SchemaLimits { schemas: 10, bytes: 1 << 20 };
        let budget = Arc::new(MemoryBudget::new(usize::MAX));
        let registry = Registry::new(limits, Pins::from_iter(pins), budget);
        let schemas: Vec<_> = input.schemas.iter().cloned().map(Declared::legal).collect();
        let mut pinned = Vec::new();
        for (number, schema) in schemas.iter().enumerate() {
            let legal = Schema::try_new(&schema.message(), &Limits::default()).unwrap();
            let (frame, fingerprint) = encode(&schema.message()).unwrap();
            let known = schemas[..number]
                .iter()
                .position(|other| encode(&other.message()).unwrap().0 == frame);
            let entry = registry.schemas().intern(fingerprint, legal, frame.len()).unwrap();
            pinned.push((known.unwrap_or(number), entry));
        }
        let shared_families = SharedFamilies::new(pin.map(|(name, kind)| (name.to_owned(), kind)));
        let agents = Default::default();
        Self { registry, schemas, pinned, shared_families, agents, sessions: 0 }
    }

    fn apply(&mut self, step: &Step, input: &Input) {
        match *step {
            Step::Enter { agent, schema, first, reconnect } => {
                let (agent, schema) = (usize::from(agent) % IDS.len(), usize::from(schema) % 3);
                self.enter(agent, schema, usize::from(first), reconnect, input);
            }
            Step::Leave(agent) => self.leave(usize::from(agent) % IDS.len()),
        }
    }

    /// Registers a report. Does nothing if a session would refuse the agent's labels.
    fn enter(&mut self, at: usize, schema: usize, first: usize, reconnect: bool, input: &Input) {
        let (labels, client_no) = &input.agents[at];
        let (schema, entry) = &self.pinned[schema];
        let entry = entry.entry();
        let Ok(own) = StaticLabels::try_new(&labels.message()) else { return };
        if entry.schema().check_static_labels(&own).is_err() {
            return;
        }
        let id = AgentId::try_new(IDS[at]).unwrap();
        let values = input.values.iter().cycle().skip(first % input.values.len());
        let row: Vec<_> = values.map(|value| value.0).take(entry.schema().width).collect();
        let mut bytes = Vec::new();
        report::write_all(&row, &mut bytes);
        self.sessions += 1;
        let handle = match &self.agents[at] {
            Some(agent) if !reconnect => Arc::clone(&agent.handle),
            _ => ConnectionHandle::new(self.sessions, "127.0.0.1:9".parse().unwrap(), 0),
        };
        let pending = PendingAgent {
            labels: write_labels(&id, &own, *client_no),
            id,
            host_nonce: [1; 16],
            handle: Arc::clone(&handle),
        };
        let now = self.sessions * STEP_MS;
        let entered = self.registry.enter(&pending, entry, &Values::All(&bytes), now);
        assert!(entered.is_ok(), "{entered:?}");
        let mut shown = LabelMap::from([("agent".to_owned(), IDS[at].to_owned())]);
        shown.extend(client_no.map(|port| ("client_no".to_owned(), port.to_string())));
        shown.extend(labels.shown().map(|(name, value)| (name.to_owned(), value.to_owned())));
        self.shared_families.join(*schema, &self.schemas);
        let agent = Agent { handle, labels: shown, schema: *schema, row };
        if let Some(before) = self.agents[at].replace(agent) {
            self.shared_families.leave(before.schema, &self.schemas);
        }
    }

    fn leave(&mut self, at: usize) {
        let Some(agent) = self.agents[at].take() else { return };
        let id = AgentId::try_new(IDS[at]).unwrap();
        assert!(
            !self.registry.leave(&id, agent.handle.session() + 1),
            "another session removed the agent"
        );
        assert!(self.registry.leave(&id, agent.handle.session()));
        self.shared_families.leave(agent.schema, &self.schemas);
    }

    fn check_shared_page(&self) {
        assert_eq!(
            self.registry.families_suppressed(),
            self.shared_families.suppressed(&self.schemas)
        );
        for format in [Format::Text, Format::OpenMetrics] {
            let page = read(&self.registry.snapshot(), format);
            assert_eq!(page, self.expected(format));
        }
    }

    fn expected(&self, format: Format) -> Page {
        let openmetrics = format == Format::OpenMetrics;
        let mut page = Page::new();
        for (declared, holders) in self.shared_families.shown.values() {
            let (name, mut family) = expected::heading(declared, openmetrics);
            for agent in self.agents.iter().flatten() {
                for (_, position) in holders.iter().filter(|(schema, _)| *schema == agent.schema) {
                    family.samples.append(&mut self.samples(agent, *position));
                }
            }
            page.insert(name, family);
        }
        page
    }

    fn samples(&self, agent: &Agent, family: usize) -> expected::Samples {
        expected::samples(&self.schemas[agent.schema], family, &agent.labels, &agent.row)
    }

    fn check_own_pages(&self) {
        for (id, agent) in IDS.iter().zip(&self.agents) {
            let snapshot = self.registry.snapshot_of(id);
            assert_eq!(snapshot.is_some(), agent.is_some());
            let (Some(snapshot), Some(agent)) = (snapshot, agent) else { continue };
            for format in [Format::Text, Format::OpenMetrics] {
                let families = self.schemas[agent.schema].families.iter().enumerate();
                let known = families.filter(|(_, family)| (1..=6).contains(&family.kind));
                let expected = known.map(|(position, declared)| {
                    let (name, mut family) =
                        expected::heading(declared, format == Format::OpenMetrics);
                    family.samples = self.samples(agent, position);
                    (name, family)
                });
                assert_eq!(read(&snapshot, format), expected.collect());
            }
        }
    }

    fn check_shards(&self) {
        let expected = all_samples(self.expected(Format::Text));
        for shards in SHARDS {
            let mut union = expected::Samples::new();
            let mut count = 0;
            for shard in (0..shards).map(|shard| FleetShard::new(shard, shards)) {
                let page = read(&self.registry.snapshot_of_shard(shard), Format::Text);
                let mut samples = all_samples(page);
                count += samples.len();
                union.append(&mut samples);
            }
            assert_eq!((&union, count), (&expected, expected.len()), "{shards} shards");
        }
    }

    fn close_all(mut self) {
        (0..IDS.len()).for_each(|at| self.leave(at));
        self.check_shared_page();
        assert!(self.expected(Format::Text).is_empty());
        assert_eq!(self.registry.agent_count(), 0);
        self.pinned.clear();
        self.registry.schemas().forget_unused();
        assert_eq!(self.registry.budget().taken(), 0);
    }
}

fn read(snapshot: &Snapshot, format: Format) -> Page {
    let mut page = Vec::new();
    let counted = render(snapshot, format, &mut page).unwrap();
    page.extend_from_slice(openmetrics::end(format).as_bytes());
    let text = String::from_utf8(page).unwrap();
    let families = parse(&text, format == Format::OpenMetrics);
    let families = families.unwrap_or_else(|problem| panic!("{problem} in\n{text}"));
    let lines: usize = families.iter().map(|family| family.samples.len()).sum();
    assert_eq!(counted.lines, lines as u64);
    expected::read(families)
}

fn all_samples(page: Page) -> expected::Samples {
    page.into_values().flat_map(|family| family.samples).collect()
}
