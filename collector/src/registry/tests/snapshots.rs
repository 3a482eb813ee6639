//! Pages of random fleets: agents with different catalogs and rows, compared with a naive model.

use std::collections::{BTreeMap, BTreeSet};

use fleetgauge_proto::report::{ABSENT, is_absent};

use super::*;

/// Slots that the agents use.
const SLOTS: usize = 4;

/// A generator of pseudo-random numbers.
struct Random(u64);

impl Random {
    /// Returns a number below `end`.
    fn below(&mut self, end: usize) -> usize {
        let Self(state) = self;
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (*state >> 33) as usize % end
    }

    /// Returns a value, which can be absent.
    fn value(&mut self) -> f64 {
        match self.below(8) {
            0 => ABSENT,
            _ => self.below(1_000) as f64 / 8.0,
        }
    }
}

/// Columns of (family, labels as rendered, width).
type Columns = &'static [(&'static str, &'static str, usize)];
/// A table of a catalog: row labels and columns.
type TableModel = (&'static [&'static str], Columns);

/// The tables of each catalog. A column with a width of 3 is a histogram of one bound.
const CATALOGS: [&[TableModel]; 4] = [
    &[(&[], &[("load", "", 1), ("users", "", 1)])],
    &[
        (&["dev"], &[("io", ",mode=\"r\"", 1), ("io", ",mode=\"w\"", 1), ("queue", "", 1)]),
        (&[], &[("up", "", 1), ("delay", "", 3)]),
        (&["x", "y"], &[("latency", "", 3), ("hits", "", 1)]),
    ],
    &[(&["cpu"], &[("busy", "", 1)])],
    &[
        (&["fs"], &[("free", "", 1), ("full", "", 1), ("files", "", 1)]),
        (&["fs"], &[("ro", "", 1)]),
    ],
];
const ROWS: [&str; 5] = ["", "a", "b\"\\", "c0", "d"];

/// The catalog as agents declare it.
fn declared(number: usize) -> Catalog {
    let tables = CATALOGS[number];
    let mut families = Vec::<(&str, u8)>::new();
    let mut declared = Vec::new();
    for (row_labels, columns) in tables {
        let columns = columns.iter().map(|(name, labels, width)| {
            let kind = if *width == 3 { HISTOGRAM } else { GAUGE };
            if !families.contains(&(name, kind)) {
                families.push((name, kind));
            }
            let family = families.iter().position(|(own, _)| own == name).unwrap() as u32;
            let mode = labels.strip_prefix(",mode=\"").map(|rest| &rest[..1]);
            Column {
                width: *width as u32,
                parameters: if *width == 3 { vec![1.0] } else { vec![] },
                labels: mode.into_iter().map(|mode| rows::label("mode", mode)).collect(),
                ..column(family)
            }
        });
        let columns = columns.collect();
        declared.push(Table { row_labels: row_labels.to_vec(), columns });
    }
    catalog_of(&families, declared)
}

/// The rows of a table: their label values.
type RowsModel = BTreeSet<Vec<&'static str>>;

/// An agent as the model knows it.
struct AgentModel {
    id: String,
    session: u64,
    agent: Arc<RegisteredAgent>,
    /// Catalog numbers and the rows of each table, by slot.
    slots: BTreeMap<usize, (usize, Vec<RowsModel>)>,
    values: Vec<f64>,
}

impl AgentModel {
    /// Label names and values of all rows, with the columns of their table, in the order of values.
    fn rows(&self) -> Vec<(String, Columns)> {
        let mut all = Vec::new();
        for (catalog, tables) in self.slots.values() {
            for ((names, columns), rows) in CATALOGS[*catalog].iter().zip(tables) {
                for row in rows {
                    let labels = names.iter().zip(row).filter(|(_, value)| !value.is_empty());
                    let label = |(name, value): (&&str, &&str)| {
                        format!(",{name}=\"{}\"", crate::exposition::escape_label_value(value))
                    };
                    all.push((labels.map(label).collect(), *columns));
                }
            }
        }
        all
    }

    fn width(&self) -> usize {
        let width =
            |(_, columns): (_, &[(_, _, usize)])| columns.iter().map(|c| c.2).sum::<usize>();
        self.rows().into_iter().map(width).sum()
    }

    /// The sample lines of the agent.
    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut rest = &self.values[..];
        for (row, columns) in self.rows() {
            for (name, own, width) in columns {
                let (values, after) = rest.split_at(*width);
                rest = after;
                if values.iter().any(|value| is_absent(*value)) {
                    continue;
                }
                let labels = format!("agent=\"{}\"{own}{row}", self.id);
                if let [bound, count, sum] = values {
                    lines.push(format!("{name}_bucket{{{labels},le=\"1\"}} {bound}"));
                    lines.push(format!("{name}_bucket{{{labels},le=\"+Inf\"}} {count}"));
                    lines.push(format!("{name}_count{{{labels}}} {count}"));
                    lines.push(format!("{name}_sum{{{labels}}} {sum}"));
                } else {
                    lines.push(format!("{name}{{{labels}}} {}", values[0]));
                }
            }
        }
        assert!(rest.is_empty());
        lines
    }
}

struct World {
    registry: Registry,
    catalogs: Vec<CatalogPin>,
    agents: Vec<AgentModel>,
    sessions: u64,
    random: Random,
}

impl World {
    fn new(seed: u64) -> Self {
        let registry = registry();
        let catalogs =
            (0..CATALOGS.len()).map(|n| pin(&registry, n as u8 + 1, declared(n))).collect();
        Self { registry, catalogs, agents: Vec::new(), sessions: 0, random: Random(seed) }
    }

    /// A new agent with some catalogs, without rows.
    fn enters(&mut self) {
        self.sessions += 1;
        let session = self.sessions;
        let id = format!("agent-{session}");
        let mut values = PendingValues::empty();
        let agent = self.registry.enter(&pending(&id, session), PendingValues::empty(), 0).unwrap();
        let slots = BTreeMap::new();
        let mut agent = AgentModel { id, session, agent: agent.agent, slots, values: Vec::new() };
        for number in 0..CATALOGS.len() {
            if self.random.below(2) == 0 {
                self.sets_catalog(&mut agent, &mut values, number);
            }
        }
        self.shows(&mut agent, values);
        self.agents.push(agent);
    }

    /// Sets the catalog of a slot to one that no other slot has.
    fn sets_catalog(&mut self, agent: &mut AgentModel, values: &mut PendingValues, number: usize) {
        let slot = self.random.below(SLOTS);
        let mut others = agent.slots.iter().filter(|(other, _)| **other != slot);
        if others.any(|(_, (other, _))| *other == number) {
            return;
        }
        self.registry.set_catalog(values, slot, self.catalogs[number].clone()).unwrap();
        let only = |labels: &[&str]| labels.is_empty().then(Vec::new).into_iter().collect();
        let rows = CATALOGS[number].iter().map(|(labels, _)| only(labels)).collect();
        agent.slots.insert(slot, (number, rows));
    }

    /// Adds and removes rows of one table.
    fn changes_rows(&mut self, agent: &mut AgentModel, values: &mut PendingValues) {
        let Some((slot, (catalog, tables))) = agent.slots.iter_mut().next_back() else { return };
        let table = self.random.below(tables.len());
        let (labels, _) = CATALOGS[*catalog][table];
        if labels.is_empty() {
            return;
        }
        let rows = &mut tables[table];
        let removed: Vec<_> =
            (0..rows.len() as u32).filter(|_| self.random.below(3) == 0).collect();
        let mut kept: Vec<_> = rows.iter().cloned().collect();
        removed.iter().rev().for_each(|at| drop(kept.remove(*at as usize)));
        let mut added = BTreeSet::new();
        for _ in 0..self.random.below(4) {
            let row: Vec<_> = labels.iter().map(|_| ROWS[self.random.below(ROWS.len())]).collect();
            if !kept.contains(&row) {
                added.insert(row);
            }
        }
        let texts: Vec<_> = added.iter().flatten().copied().collect();
        let change = change(*slot as u8, table as u32, &removed, &texts);
        self.registry.change_rows(values, &[change], &Limits::default()).unwrap();
        *rows = kept.into_iter().chain(added).collect();
    }

    /// Makes pending values visible, with new values.
    fn shows(&mut self, agent: &mut AgentModel, mut pending: PendingValues) {
        agent.values = (0..agent.width()).map(|_| self.random.value()).collect();
        apply(&mut pending, &agent.values);
        assert_eq!(self.registry.replace(&agent.agent, pending), Ok(Some(vec![])));
    }

    fn step(&mut self) {
        let few = self.agents.len() < 4;
        if few || self.agents.len() < 40 && self.random.below(5) == 0 {
            return self.enters();
        }
        let at = self.random.below(self.agents.len());
        let mut agent = self.agents.swap_remove(at);
        let Some(mut values) = self.registry.pending_values_of(&agent.agent).unwrap() else {
            panic!("taken over")
        };
        match self.random.below(10) {
            0 => {
                assert!(self.registry.leave(&pending(&agent.id, 0).id, agent.session));
                return;
            }
            1 => {
                let number = self.random.below(CATALOGS.len());
                self.sets_catalog(&mut agent, &mut values, number);
                self.shows(&mut agent, values);
            }
            2..=6 => {
                self.changes_rows(&mut agent, &mut values);
                self.shows(&mut agent, values);
            }
            _ => {
                agent.values = (0..agent.width()).map(|_| self.random.value()).collect();
                assert_eq!(store(&agent.agent, &agent.values), Ok(true));
            }
        }
        self.agents.push(agent);
    }

    fn check(&self) {
        let mut expected: Vec<_> = self.agents.iter().flat_map(AgentModel::lines).collect();
        expected.sort();
        assert_eq!(page(&self.registry), expected);
        let mut sharded = Vec::new();
        for shard in 0..3 {
            sharded.extend(lines(&self.registry.snapshot_of_shard(FleetShard::new(shard, 3))));
        }
        sharded.sort();
        assert_eq!(sharded, expected);
        for agent in &self.agents {
            let own = self.registry.snapshot_of(&agent.id).unwrap();
            let mut expected = agent.lines();
            expected.sort();
            assert_eq!(lines(&own), expected);
            assert_page_is_bounded(&agent.agent, &own);
        }
    }
}

/// Checks that the computed size of an agent's lines bounds the rendered ones.
pub(super) fn assert_page_is_bounded(agent: &RegisteredAgent, own: &Snapshot) {
    let bound = layout(agent).page_bytes(&agent.labels().unwrap());
    for format in [Format::Text, Format::OpenMetrics] {
        let mut page = Vec::new();
        render(own, format, &mut page).unwrap();
        assert!(page.len() <= bound, "{} bytes; the bound is {bound}", page.len());
    }
}

#[test]
fn pages_have_exactly_the_series_of_their_agents() {
    for seed in 0..20 {
        let mut world = World::new(seed);
        for step in 0..200 {
            world.step();
            if step % 7 == 0 {
                world.check();
            }
        }
        world.check();
    }
}

#[test]
fn every_number_of_agents_is_copied() {
    let registry = registry();
    let catalog = rows::disks(&registry, 1);
    let mut expected = Vec::new();
    for n in 1..=40 {
        // One agent with rows among agents without, so that tables of a batch differ in length.
        let agent = enter(&registry, &format!("a{n}"), n, &catalog, &[n as f64]);
        expected.push(format!("load{{agent=\"a{n}\"}} {n}"));
        if n % 5 == 0 {
            rows::replace(&registry, &agent, &change(0, 1, &[], &["sda"]));
            assert_eq!(store(&agent, &[n as f64, 1.0, 2.0]), Ok(true));
            expected.push(format!("used{{agent=\"a{n}\",device=\"sda\"}} 1"));
            expected.push(format!("size{{agent=\"a{n}\",device=\"sda\"}} 2"));
        }
        expected.sort();
        assert_eq!(page(&registry), expected);
    }
}
