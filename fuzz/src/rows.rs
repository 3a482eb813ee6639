//! Catalogs, rows and reports of an agent are applied as documented, or rejected with the
//! documented code. The agent's rows and values are then those of a model, but not before the next
//! report.

use std::rc::Rc;
use std::sync::Arc;

use arbitrary::{Arbitrary, Unstructured};
use fleetgauge_collector::limits::memory_budget::MemoryBudget;
use fleetgauge_collector::peers::handle::ConnectionHandle;
use fleetgauge_collector::registry::{
    CatalogLimits, CatalogPin, ChangeError, ConfiguredKinds, Layout, PendingAgent, PendingValues,
    RegisteredAgent, Registry,
};
use fleetgauge_proto::message::{RowChange, Rows};
use fleetgauge_proto::report::EncodedValues;
use fleetgauge_proto::{
    Accept, AgentId, Catalog, Code, FrameBuffer, Limits, Message, VERSION, catalog, limits,
};

use crate::catalog_gen::{CatalogChoice, Declared, vec_of};
use crate::reference::stored;
use crate::row_gen::Changes;
use crate::series::{AgentSeries, Row};
use crate::value_gen::Value;

const ALL: Accept = Accept { version: VERSION, max_payload_bytes: limits::MAX_PAYLOAD_BYTES };

#[derive(Debug, Arbitrary)]
struct Input {
    max_series: u8,
    max_values: u16,
    max_label_bytes: u8,
    catalogs: [Declared; CatalogChoice::CHOICES],
    values: [Value; 8],
    #[arbitrary(with = |u: &mut Unstructured<'_>| vec_of(u, 20, Step::arbitrary))]
    steps: Vec<Step>,
}

#[derive(Debug, Arbitrary)]
enum Step {
    Catalogs(CatalogChoice),
    Rows(Changes),
    /// Reports the values from index `first` on.
    Report {
        first: u8,
        is_all: bool,
    },
}

struct World {
    registry: Registry,
    limits: Limits,
    catalogs: Vec<(Rc<Declared>, CatalogPin)>,
    values: [Value; 8],
    agent: Option<Arc<RegisteredAgent>>,
    pending: Option<PendingValues>,
    /// What the agent has with the next report.
    series: AgentSeries,
    /// What pages show.
    shown: Option<AgentSeries>,
}

/// Applies the steps and checks the rows and values after each. A rejected step ends the session;
/// the next one begins another.
pub fn check(data: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let mut world = World::new(&input);
    for step in &input.steps {
        let done = match step {
            Step::Catalogs(choice) => world.set_catalogs(*choice),
            Step::Rows(changes) => world.change_rows(changes),
            Step::Report { first, is_all } => world.report(usize::from(*first), *is_all),
        };
        if done.is_err() {
            world.end();
        }
        world.check_shown();
    }
    world.close();
}

impl World {
    fn new(input: &Input) -> Self {
        let limits = Limits {
            max_series: input.max_series.into(),
            max_values: input.max_values.into(),
            max_label_bytes: input.max_label_bytes.into(),
            ..Limits::default()
        };
        let budget = Arc::new(MemoryBudget::new(usize::MAX));
        let stored = CatalogLimits { catalogs: 10, bytes: 1 << 20 };
        let registry = Registry::new(stored, ConfiguredKinds::default(), budget);
        let catalogs = input.catalogs.iter().cloned().map(|declared| {
            let declared = Rc::new(declared.legal());
            let legal = Catalog::try_new(&declared.message(0), &Limits::default()).unwrap();
            let (frame, fingerprint) = catalog::encode(&declared.message(0)).unwrap();
            let pinned = registry.catalogs().intern(fingerprint, legal, frame.len()).unwrap();
            (declared, pinned)
        });
        let catalogs = catalogs.collect();
        Self {
            registry,
            limits,
            catalogs,
            values: input.values,
            agent: None,
            pending: None,
            series: AgentSeries::default(),
            shown: None,
        }
    }

    fn take_pending(&mut self) -> PendingValues {
        let current = || self.registry.pending_values_of(self.agent.as_ref()?).unwrap();
        self.pending.take().or_else(current).unwrap_or_else(PendingValues::empty)
    }

    fn set_catalogs(&mut self, choice: CatalogChoice) -> Result<(), Code> {
        for (slot, chosen) in choice.slots() {
            let mut pending = self.take_pending();
            let (declared, pinned) = &self.catalogs[chosen];
            self.registry.set_catalog(&mut pending, slot.into(), pinned.clone()).unwrap();
            self.series.set_catalog(slot, declared);
            let checked = pending.check_catalogs(&self.limits).map_err(|found| found.code());
            let is_distinct =
                if self.series.has_conflict() { Err(Code::DuplicateFamily) } else { Ok(()) };
            assert_eq!(checked, self.series.check_size(&self.limits).and(is_distinct));
            checked?;
            self.pending = Some(pending);
        }
        Ok(())
    }

    fn change_rows(&mut self, changes: &Changes) -> Result<(), Code> {
        let owned = changes.of(&self.series);
        let changes = owned.iter().map(|change| change.borrowed()).collect();
        let mut frame = Vec::new();
        Message::Rows(Rows { stream: 0, changes }).encode(VERSION, &mut frame).unwrap();
        let mut buffer = FrameBuffer::default();
        let mut input = &frame[..];
        let received = buffer.next(&mut input, ALL).unwrap().unwrap();
        let decoded = Message::decode(received);
        let place = |change: &RowChange<'_>| (change.slot, change.table);
        let borrowed: Vec<_> = owned.iter().map(|change| change.borrowed()).collect();
        let is_ascending = borrowed.is_sorted_by(|one, other| place(one) < place(other));
        assert_eq!(decoded.is_ok(), is_ascending, "{decoded:?}");
        let rows = match decoded {
            Ok(Message::Rows(rows)) => rows,
            Ok(other) => panic!("{other:?}"),
            Err(violation) => {
                assert_eq!(violation.code(), Code::BadRow);
                return Err(Code::BadRow);
            }
        };
        let mut pending = self.take_pending();
        let changed = self.registry.change_rows(&mut pending, &rows.changes, &self.limits);
        let changed = changed.map_err(|refused| match refused {
            ChangeError::Violation(violation) => violation.code(),
            ChangeError::Full(code) => panic!("{code}"),
        });
        let expected = self.series.change_rows(&rows.changes, &self.limits);
        assert_eq!(changed, expected, "{rows:?}");
        changed?;
        self.pending = Some(pending);
        Ok(())
    }

    fn report(&mut self, first: usize, is_all: bool) -> Result<(), Code> {
        let before = self.series.values();
        let values = self.values.iter().cycle().skip(first % self.values.len());
        let now: Vec<_> = values.map(|value| value.0).take(before.len()).collect();
        let mut encoded = EncodedValues::default();
        let shape = self.series.shape();
        let shape = shape.iter().map(|(rows, decimals)| (*rows, &**decimals));
        if is_all {
            encoded.encode_all(&now, shape);
        } else {
            encoded.encode_changed(&before, &now, shape);
        }
        let values = encoded.values();
        match (self.pending.take(), self.agent.take()) {
            (None, Some(agent)) => {
                assert_eq!(agent.store(&values), Ok(Some(before.len())));
                self.agent = Some(agent);
            }
            (Some(mut pending), Some(agent)) => {
                pending.apply(&values).unwrap();
                assert!(self.registry.replace(&agent, pending).unwrap().is_some());
                self.agent = Some(agent);
            }
            (pending, None) => {
                let mut pending = pending.unwrap_or_else(PendingValues::empty);
                pending.apply(&values).unwrap();
                let entered = self.registry.enter(&agent(), pending, 0).unwrap();
                self.agent = Some(entered.agent);
            }
        }
        self.series.report(&values).unwrap();
        let expected = now.iter().map(|value| stored(*value).to_bits());
        assert!(self.series.values().into_iter().map(f64::to_bits).eq(expected));
        self.shown = Some(self.series.clone());
        Ok(())
    }

    /// Ends the session.
    fn end(&mut self) {
        self.pending = None;
        if let Some(agent) = self.agent.take() {
            assert!(self.registry.leave(agent.id(), agent.handle().session()));
        }
        self.series = AgentSeries::default();
        self.shown = None;
    }

    /// Checks the rows and values in the registry.
    fn check_shown(&self) {
        let mut found = Vec::new();
        self.registry.each_agent(|_, layout, values| {
            found.push((rows_of(layout), values.iter().map(|v| v.to_bits()).collect::<Vec<_>>()));
        });
        let expected = self.shown.iter().map(|series| {
            let rows = series.labelled_tables().map(|(.., rows)| rows.keys().cloned().collect());
            (
                rows.collect::<Vec<Vec<Row>>>(),
                series.values().into_iter().map(f64::to_bits).collect(),
            )
        });
        assert_eq!(found, expected.collect::<Vec<_>>());
    }

    /// Ends the session and checks that it leaves nothing.
    fn close(mut self) {
        self.end();
        self.check_shown();
        self.catalogs.clear();
        self.registry.catalogs().evict_unused();
        assert_eq!(self.registry.budget().taken(), 0);
    }
}

fn agent() -> PendingAgent {
    PendingAgent {
        id: AgentId::try_new("a").unwrap(),
        host_nonce: [1; 16],
        labels: "agent=\"a\"".into(),
        handle: ConnectionHandle::new(1, "127.0.0.1:9".parse().unwrap(), 0),
    }
}

/// Returns the rows of all tables with row labels.
fn rows_of(layout: &Layout) -> Vec<Vec<Row>> {
    let tables = layout.tables().flat_map(|(_, tables)| tables);
    let labelled = tables.filter_map(|placed| {
        let labels = placed.table.row_labels.len();
        let rows = placed.rows?.iter(labels);
        Some(rows.map(|row| row.map(str::to_owned).collect()).collect())
    });
    labelled.collect()
}
