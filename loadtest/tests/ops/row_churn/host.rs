//! The simulated host: its rows and values at each step.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fleetgauge_agent::catalogs::Catalogs;
use fleetgauge_agent::identity::Nonces;
use fleetgauge_agent::profile::Profile;
use fleetgauge_agent::tables::Sample;
use fleetgauge_proto::catalog::FamilyKind;
use fleetgauge_proto::message::{Catalog, Column, Family, RowChange, Table};
use fleetgauge_proto::rows::TableRows;
use fleetgauge_proto::{AgentId, StaticLabels};

/// Id of the agent.
pub(super) const AGENT: &str = "host-1";
/// The gauge with the number of the step.
pub(super) const STEP_METRIC: &str = "churn_step";
/// A series: its name, as `__name__`, and its own labels.
pub(super) type Series = BTreeMap<String, String>;

/// Interval that the agent asks for. Three of them without a report would end the session.
const INTERVAL: Duration = Duration::from_secs(2);
/// A value is the number of its step times this, plus the number of its cell.
const STEP_FACTOR: u64 = 1_000;
/// The number of a cell is its row's number times this, plus its column's number.
const ROW_FACTOR: u64 = 10;

/// A table with row labels.
struct TableSpec {
    row_labels: &'static [&'static str],
    /// Sample name and kind of each column.
    columns: &'static [(&'static str, FamilyKind)],
    /// Number of rows that can exist.
    rows: usize,
    row: fn(usize) -> Vec<String>,
}

const TABLES: [TableSpec; 3] = [
    TableSpec {
        row_labels: &["device"],
        columns: &[
            ("churn_disk_read_bytes_total", FamilyKind::Counter),
            ("churn_disk_written_bytes_total", FamilyKind::Counter),
            ("churn_disk_io_now", FamilyKind::Gauge),
        ],
        rows: 8,
        row: |number| vec![format!("sd{}", char::from(b'a' + number as u8))],
    },
    TableSpec {
        row_labels: &["device", "mountpoint", "fstype"],
        columns: &[
            ("churn_filesystem_size_bytes", FamilyKind::Gauge),
            ("churn_filesystem_avail_bytes", FamilyKind::Gauge),
        ],
        rows: 12,
        row: |number| {
            let device =
                if number.is_multiple_of(4) { String::new() } else { format!("/dev/sd{number}") };
            vec![
                device,
                format!("/mnt/a \"{number}\"\\"),
                ["ext4", "xfs", ""][number % 3].to_owned(),
            ]
        },
    },
    TableSpec {
        row_labels: &["device"],
        columns: &[
            ("churn_network_receive_bytes_total", FamilyKind::Counter),
            ("churn_network_receive_packets", FamilyKind::CounterAsNamed),
            ("churn_network_up", FamilyKind::Gauge),
        ],
        rows: 40,
        row: |number| vec![format!("veth{number:x}")],
    },
];

/// A host, and the rows that it has.
pub(super) struct Host {
    number: u64,
    random: u64,
    /// Rows of each of [`TABLES`], and their numbers.
    rows: [BTreeMap<Vec<String>, usize>; TABLES.len()],
}

impl Host {
    /// Creates a host without rows, before the first step.
    pub(super) fn new() -> Self {
        Self { number: 0, random: 1, rows: std::array::from_fn(|_| BTreeMap::new()) }
    }

    pub(super) fn profile(&self) -> Profile {
        Profile {
            id: AgentId::try_new(AGENT).unwrap(),
            nonces: Nonces { host: [1; 16], process: [2; 16] },
            labels: StaticLabels::default(),
            interval: INTERVAL,
            agent_version: "test",
            catalogs: Catalogs::try_new(vec![catalog()]).unwrap(),
        }
    }

    /// Returns the number of the step, from 1.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Takes a step: a fifth of the possible rows appears or disappears. Every tenth step, a table
    /// loses all rows.
    pub(super) fn step(&mut self) {
        self.number += 1;
        for (at, table) in TABLES.iter().enumerate() {
            for number in 0..table.rows {
                if self.random().is_multiple_of(5) {
                    let row = (table.row)(number);
                    if self.rows[at].remove(&row).is_none() {
                        self.rows[at].insert(row, number);
                    }
                }
            }
        }
        if self.number.is_multiple_of(10) {
            self.rows[(self.number / 10) as usize % TABLES.len()].clear();
        }
    }

    /// Returns a pseudo-random number, the same in every run.
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.random >> 33
    }

    /// Returns the rows and values of the step.
    pub(super) fn sample(&self) -> Sample {
        let (mut rows, mut values) = (vec![Arc::default()], vec![self.number as f64]);
        for (table, own) in TABLES.iter().zip(&self.rows) {
            let added = own.keys().flatten().map(String::as_str).collect();
            let change = RowChange { slot: 0, table: 0, removed: vec![], added };
            let (set, _) = TableRows::default().edit(table.row_labels.len(), &change).unwrap();
            rows.push(Arc::new(set));
            for row in own.values() {
                values.extend((0..table.columns.len()).map(|column| self.value(*row, column)));
            }
        }
        Sample { rows, values }
    }

    fn value(&self, row: usize, column: usize) -> f64 {
        (self.number * STEP_FACTOR + row as u64 * ROW_FACTOR + column as u64) as f64
    }

    /// Returns the series of the step and their values.
    pub(super) fn series(&self) -> BTreeMap<Series, f64> {
        let name = |name: &str| ("__name__".to_owned(), name.to_owned());
        let mut all = BTreeMap::from([([name(STEP_METRIC)].into(), self.number as f64)]);
        for (table, rows) in TABLES.iter().zip(&self.rows) {
            for (row, number) in rows {
                for (at, (column, _)) in table.columns.iter().enumerate() {
                    let own = table.row_labels.iter().zip(row);
                    let own = own.filter(|(_, value)| !value.is_empty());
                    let own = own.map(|(label, value)| ((*label).to_owned(), value.clone()));
                    all.insert(own.chain([name(column)]).collect(), self.value(*number, at));
                }
            }
        }
        all
    }
}

/// Returns the step in which a series had this value.
pub(super) fn step_of(series: &Series, value: f64) -> u64 {
    let step = if series["__name__"] == STEP_METRIC { 1 } else { STEP_FACTOR };
    value as u64 / step
}

fn catalog() -> Catalog<'static> {
    let family = |(name, kind): &(&'static str, FamilyKind)| Family {
        name: if *kind == FamilyKind::Counter {
            name.strip_suffix("_total").unwrap()
        } else {
            name
        },
        kind: *kind as u8,
        unit: "",
        help: "",
    };
    let mut families = vec![family(&(STEP_METRIC, FamilyKind::Gauge))];
    let column = |family: usize| Column {
        family: family as u32,
        width: 1,
        decimals: 0,
        parameters: vec![],
        labels: vec![],
    };
    let mut tables = vec![Table { row_labels: vec![], columns: vec![column(0)] }];
    for table in &TABLES {
        let first = families.len();
        families.extend(table.columns.iter().map(family));
        let columns = (first..families.len()).map(column).collect();
        tables.push(Table { row_labels: table.row_labels.to_vec(), columns });
    }
    Catalog { stream: 0, slot: 0, families, tables }
}
