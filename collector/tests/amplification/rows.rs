//! The worst legal Rows frames, with the reports that follow them.

use fleetgauge_proto::Message;
use fleetgauge_proto::message::{Catalog, RowChange, Rows, Table as Declared};
use fleetgauge_proto::report::Values;

use crate::measure::{Agent, Cost, Rig, encode, frame, hello, report, report_of};
use crate::worst::{ALL_ROWS, GAUGE, Table, USUAL, WIDE, column, family, label, names};

/// A session whose catalog has one table with one row label, and columns of one family.
struct Rowed {
    rig: Rig,
    agent: Agent,
    columns: usize,
    declared: usize,
}

impl Rowed {
    fn new(columns: usize) -> Self {
        let numbers: Vec<_> = (0..columns).map(|n| n.to_string()).collect();
        let columns_of = numbers.iter().map(|n| column(0, &[], &[label("n", n)])).collect();
        let tables = vec![Declared { row_labels: vec!["x"], columns: columns_of }];
        let families = vec![family("a", GAUGE)];
        let (declared, fingerprint) = encode(&Catalog { stream: 0, slot: 0, families, tables });
        let rig = Rig::new(|_| {});
        let mut agent = rig.connect();
        agent.receives(&hello("a", vec![], fingerprint));
        agent.receives(&declared);
        Self { rig, agent, columns, declared: declared.len() }
    }

    /// Measures frames of the session, and the page after them.
    fn cost(&mut self, frames: &[Vec<u8>]) -> Cost {
        let mut cost = self.rig.cost(&mut self.agent, frames);
        assert_eq!(self.agent.refused(), None);
        cost.page = self.rig.page_bytes() as f64 / (self.declared + cost.sent) as f64;
        cost
    }

    /// A report of zeros, each of half a byte.
    fn zeros(&self, sequence: u64, rows: usize) -> Vec<u8> {
        report(sequence, &vec![0.0; self.columns * rows])
    }
}

/// Names that ascend.
fn ascending(count: usize) -> Vec<String> {
    let mut names = names(count);
    names.sort_unstable();
    names
}

fn change(removed: Vec<u32>, added: &[String]) -> Vec<u8> {
    let added = added.iter().map(String::as_str).collect();
    let change = RowChange { slot: 0, table: 0, removed, added };
    frame(&Message::Rows(Rows { stream: 0, changes: vec![change] }))
}

/// Measures rows that are added to a wide table, and rows that replace all others again and again.
pub(crate) fn wide_rows(table: &mut Table) {
    const ROWS: usize = 200;
    let names = ascending(2 * ROWS);
    let (first, second) = names.split_at(ROWS);
    let mut wide = Rowed::new(200);
    let cost = wide.cost(&[change(vec![], first), wide.zeros(1, ROWS)]);
    table.row("Rows of a wide table, and Report", cost, WIDE);
    let all: Vec<u32> = (0..ROWS as u32).collect();
    let swaps = (0..10).flat_map(|n| {
        let added = if n % 2 == 0 { second } else { first };
        [change(all.clone(), added), wide.zeros(2 + n, ROWS)]
    });
    let swaps: Vec<_> = swaps.collect();
    let mut cost = wide.cost(&swaps);
    cost.page = 0.0;
    table.row("Rows that replace all others, and Report", cost, WIDE);
    // One bit for each value.
    let mut wide = Rowed::new(250);
    let bitmap = vec![0; (250 * ROWS).div_ceil(8)];
    let none = report_of(1, Values::Changed { bitmap: &bitmap, values: &[] });
    let cost = wide.cost(&[change(vec![], first), none]);
    table.row("Rows of a wide table, and Report of absent values", cost, USUAL);
}

/// Rows with short labels, and a change of one of them. A burst has as many rows as an agent may
/// have series: 50,000.
pub(crate) fn narrow_rows(table: &mut Table) {
    const ROWS: usize = 40_000;
    let names = ascending(ROWS + 1);
    let mut narrow = Rowed::new(1);
    let cost = narrow.cost(&[change(vec![], &names[..ROWS]), narrow.zeros(1, ROWS)]);
    table.row("Rows of short labels, and Report", cost, USUAL);
    let mut cost = narrow.cost(&[change(vec![0], &names[ROWS..])]);
    cost.page = 0.0;
    table.small("Rows that replace one of 40,000 rows", cost, ALL_ROWS);
}
