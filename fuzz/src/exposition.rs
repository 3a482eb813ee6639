//! For all catalogs, rows and reports, the pages parse in both formats and show the reported
//! values.
//!
//! The shared page shows all families but suppressed ones; an agent's own page shows all of its
//! families; the pages of all shards together equal the shared page.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use arbitrary::{Arbitrary, Unstructured};
use fleetgauge_collector::exposition::{Format, Snapshot, openmetrics, render, write_labels};
use fleetgauge_collector::limits::memory_budget::MemoryBudget;
use fleetgauge_collector::peers::handle::ConnectionHandle;
use fleetgauge_collector::registry::{
    CatalogLimits, CatalogPin, ChangeError, ConfiguredKinds, FleetShard, PendingAgent,
    PendingValues, RegisteredAgent, Registry,
};
use fleetgauge_proto::catalog::{FamilyKind, encode};
use fleetgauge_proto::report::EncodedValues;
use fleetgauge_proto::{AgentId, Catalog, Code, Limits, StaticLabels};

use crate::catalog_gen::{CatalogChoice, Declared, Labels, vec_of};
use crate::expected::{self, AgentLabels, LabelMap, Page, SharedFamilies};
use crate::page::parse;
use crate::row_gen::Changes;
use crate::series::AgentSeries;
use crate::value_gen::Value;

const IDS: [&str; 4] = ["a", "b.c", "D:1-_", "-"];
const SHARDS: [u64; 3] = [2, 3, 64];
/// Time that the clock advances per step, in milliseconds: enough for a takeover at each step.
const STEP_MS: u64 = 60_000;

#[derive(Debug, Arbitrary)]
struct Input {
    pin: Option<(u8, u8)>,
    catalogs: [Declared; CatalogChoice::CHOICES],
    agents: [(Labels, Option<u16>); IDS.len()],
    values: [Value; 8],
    #[arbitrary(with = |u: &mut Unstructured<'_>| vec_of(u, 8, Step::arbitrary))]
    steps: Vec<Step>,
}

#[derive(Debug, Arbitrary)]
enum Step {
    Report(Report),
    Leave(u8),
}

/// An agent sets catalogs, changes rows and reports the values from index `first` on, perhaps over
/// a new connection.
#[derive(Debug, Arbitrary)]
struct Report {
    agent: u8,
    catalogs: CatalogChoice,
    rows: Changes,
    first: u8,
    reconnect: bool,
}

/// A registered agent.
struct Agent {
    registered: Arc<RegisteredAgent>,
    labels: AgentLabels,
    declared: DeclaredSeries,
}

/// What an agent has declared and reported.
#[derive(Clone, Default)]
struct DeclaredSeries {
    /// Indices of the catalogs, by slot.
    catalogs: BTreeMap<u8, usize>,
    series: AgentSeries,
}

struct World {
    registry: Registry,
    catalogs: Vec<Rc<Declared>>,
    /// For each of `catalogs`: the index of the first equal catalog, and its entry in the registry.
    pinned: Vec<(usize, CatalogPin)>,
    shared_families: SharedFamilies,
    agents: [Option<Agent>; IDS.len()],
    sessions: u64,
}

/// Applies the steps and checks the shared page after each, then the other pages.
pub fn check(data: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let mut world = World::new(&input);
    for step in &input.steps {
        match step {
            // A session would end, or refuse the agent.
            Step::Report(report) => drop(world.report(report, &input)),
            Step::Leave(agent) => world.leave(usize::from(*agent) % IDS.len()),
        }
        world.check_shared_page();
    }
    world.check_own_pages();
    world.check_shards();
    world.close_all();
}

impl World {
    fn new(input: &Input) -> Self {
        let pin = input
            .pin
            .map(|(name, kind)| (["a", "b_bytes", "ram"][usize::from(name) % 3], kind % 7 + 1));
        let pins = pin.map(|(name, kind)| (name.to_owned(), FamilyKind::from_u8(kind).unwrap()));
        let limits = CatalogLimits { catalogs: 10, bytes: 1 << 20 };
        let budget = Arc::new(MemoryBudget::new(usize::MAX));
        let registry = Registry::new(limits, ConfiguredKinds::from_iter(pins), budget);
        let catalogs = input.catalogs.iter().cloned().map(Declared::legal).map(Rc::new);
        let catalogs: Vec<_> = catalogs.collect();
        let mut pinned = Vec::new();
        for (number, declared) in catalogs.iter().enumerate() {
            let legal = Catalog::try_new(&declared.message(0), &Limits::default()).unwrap();
            let (frame, fingerprint) = encode(&declared.message(0)).unwrap();
            let known = catalogs[..number]
                .iter()
                .position(|other| encode(&other.message(0)).unwrap().0 == frame);
            let entry = registry.catalogs().intern(fingerprint, legal, frame.len()).unwrap();
            pinned.push((known.unwrap_or(number), entry));
        }
        let shared_families = SharedFamilies::new(pin.map(|(name, kind)| (name.to_owned(), kind)));
        let agents = Default::default();
        Self { registry, catalogs, pinned, shared_families, agents, sessions: 0 }
    }

    /// Registers a report. Returns an error and does nothing if a session would refuse its labels,
    /// catalogs or rows.
    fn report(&mut self, report: &Report, input: &Input) -> Result<(), Code> {
        let at = usize::from(report.agent) % IDS.len();
        let (labels, client_no) = &input.agents[at];
        let own = StaticLabels::try_new(&labels.message()).map_err(|found| found.code())?;
        let current = self.agents[at].as_ref().filter(|_| !report.reconnect);
        let copied = |agent: &Agent| self.registry.pending_values_of(&agent.registered).unwrap();
        let pending = current.map(|agent| copied(agent).unwrap());
        let mut pending = pending.unwrap_or_else(PendingValues::empty);
        let mut declared = current.map(|agent| agent.declared.clone()).unwrap_or_default();
        self.set_catalogs(report.catalogs, &mut pending, &mut declared)?;
        self.change_rows(&report.rows, &mut pending, &mut declared)?;
        let values = input.values.iter().cycle().skip(usize::from(report.first) % 8);
        let before = declared.series.values();
        let now: Vec<_> = values.map(|value| value.0).take(before.len()).collect();
        let mut encoded = EncodedValues::default();
        let shape = declared.series.shape();
        let shape = shape.iter().map(|(rows, decimals)| (*rows, &**decimals));
        encoded.encode_changed(&before, &now, shape);
        pending.apply(&encoded.values()).unwrap();
        declared.series.report(&encoded.values()).unwrap();
        self.sessions += 1;
        let registered = match current {
            Some(Agent { registered, .. }) => {
                assert!(self.registry.replace(registered, pending).unwrap().is_some());
                Arc::clone(registered)
            }
            None => self.enter(IDS[at], &own, *client_no, pending),
        };
        let mut fixed = LabelMap::from([("agent".to_owned(), IDS[at].to_owned())]);
        fixed.extend(client_no.map(|port| ("client_no".to_owned(), port.to_string())));
        let statics = labels.shown().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let labels = AgentLabels { own: fixed, statics: statics.collect() };
        self.join(&declared);
        if let Some(before) = self.agents[at].replace(Agent { registered, labels, declared }) {
            self.leave_families(&before.declared);
        }
        Ok(())
    }

    fn set_catalogs(
        &self,
        choice: CatalogChoice,
        pending: &mut PendingValues,
        declared: &mut DeclaredSeries,
    ) -> Result<(), Code> {
        for (slot, chosen) in choice.slots() {
            let (index, pinned) = &self.pinned[chosen];
            self.registry.set_catalog(pending, slot.into(), pinned.clone()).unwrap();
            declared.catalogs.insert(slot, *index);
            declared.series.set_catalog(slot, &self.catalogs[*index]);
        }
        let checked = pending.check_catalogs(&Limits::default()).map_err(|found| found.code());
        let is_distinct =
            if declared.series.has_conflict() { Err(Code::DuplicateFamily) } else { Ok(()) };
        assert_eq!(checked, declared.series.check_size(&Limits::default()).and(is_distinct));
        checked
    }

    fn change_rows(
        &self,
        changes: &Changes,
        pending: &mut PendingValues,
        declared: &mut DeclaredSeries,
    ) -> Result<(), Code> {
        let owned = changes.valid(&declared.series);
        let changes: Vec<_> = owned.iter().map(|change| change.borrowed()).collect();
        let changed = self.registry.change_rows(pending, &changes, &Limits::default());
        let changed = changed.map_err(|refused| match refused {
            ChangeError::Violation(violation) => violation.code(),
            ChangeError::Full(code) => panic!("{code}"),
        });
        assert_eq!(changed, declared.series.change_rows(&changes, &Limits::default()));
        changed
    }

    /// Registers an agent over a new connection.
    fn enter(
        &self,
        id: &str,
        labels: &StaticLabels,
        client_no: Option<u16>,
        values: PendingValues,
    ) -> Arc<RegisteredAgent> {
        let id = AgentId::try_new(id).unwrap();
        let pending = PendingAgent {
            labels: write_labels(&id, labels, client_no),
            id,
            host_nonce: [1; 16],
            handle: ConnectionHandle::new(self.sessions, "127.0.0.1:9".parse().unwrap(), 0),
        };
        let entered = self.registry.enter(&pending, values, self.sessions * STEP_MS);
        entered.unwrap().agent
    }

    fn join(&mut self, declared: &DeclaredSeries) {
        for index in declared.catalogs.values() {
            self.shared_families.join(*index, &self.catalogs);
        }
    }

    fn leave_families(&mut self, declared: &DeclaredSeries) {
        for index in declared.catalogs.values() {
            self.shared_families.leave(*index, &self.catalogs);
        }
    }

    fn leave(&mut self, at: usize) {
        let Some(agent) = self.agents[at].take() else { return };
        let id = AgentId::try_new(IDS[at]).unwrap();
        let session = agent.registered.handle().session();
        assert!(!self.registry.leave(&id, session + 1), "another session removed the agent");
        assert!(self.registry.leave(&id, session));
        self.leave_families(&agent.declared);
    }

    fn check_shared_page(&self) {
        assert_eq!(
            self.registry.families_suppressed(),
            self.shared_families.suppressed(&self.catalogs)
        );
        for format in [Format::Text, Format::OpenMetrics] {
            let page = read(&self.registry.snapshot(), format);
            assert_eq!(page, self.expected(format));
        }
    }

    fn expected(&self, format: Format) -> Page {
        let openmetrics = format == Format::OpenMetrics;
        let mut families = Vec::new();
        for (declared, holders) in self.shared_families.shown.values() {
            let mut samples = expected::Samples::new();
            for Agent { labels, declared, .. } in self.agents.iter().flatten() {
                let slots = declared.series.slots().zip(declared.catalogs.values());
                for (slot, index) in slots {
                    for (_, position) in holders.iter().filter(|(catalog, _)| catalog == index) {
                        let mut own = expected::samples(slot, *position, labels);
                        samples.append(&mut own);
                    }
                }
            }
            families.push((declared, samples));
        }
        expected::page_of(families, openmetrics)
    }

    fn check_own_pages(&self) {
        for (id, agent) in IDS.iter().zip(&self.agents) {
            let snapshot = self.registry.snapshot_of(id);
            assert_eq!(snapshot.is_some(), agent.is_some());
            let (Some(snapshot), Some(agent)) = (snapshot, agent) else { continue };
            for format in [Format::Text, Format::OpenMetrics] {
                let openmetrics = format == Format::OpenMetrics;
                let expected = agent.declared.series.page(&agent.labels, openmetrics);
                assert_eq!(read(&snapshot, format), expected);
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
        self.registry.catalogs().evict_unused();
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
