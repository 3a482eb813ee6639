//! Generates changes of rows: mostly valid ones for the rows that an agent has.

use arbitrary::{Arbitrary, Result, Unstructured};
use fleetgauge_proto::message::RowChange;

use crate::catalog_gen::{DeclaredTable, TEXTS, vec_of};
use crate::series::{AgentSeries, Row};

/// Number of different rows to choose from, per table.
const CHOICES: usize = 8;

/// Changes of a Rows frame, before they are fitted to the rows of an agent.
#[derive(Debug)]
pub(crate) struct Changes {
    changes: Vec<Change>,
    /// Whether the changes are sent as they are, valid or not.
    is_wild: bool,
}

#[derive(Debug, Arbitrary)]
struct Change {
    /// Index of the table among those with row labels.
    table: u8,
    /// One bit for each position to remove.
    removed: u8,
    /// One bit for each of the rows to add.
    added: u8,
    /// Label values that are added as they are; only in wild changes.
    #[arbitrary(with = wild_values)]
    values: Vec<String>,
    /// Whether to send the next slot; only in wild changes.
    slot_beyond: bool,
    /// Whether to send the next table index; only in wild changes.
    table_beyond: bool,
}

/// A change that owns its label values.
#[derive(Debug)]
pub(crate) struct OwnedChange {
    slot: u8,
    table: u32,
    removed: Vec<u32>,
    added: Vec<String>,
}

impl Changes {
    /// Returns a valid change of one table, with one bit for each position to remove and each row
    /// to add.
    pub(crate) fn of_bits(table: u8, removed: u8, added: u8) -> Self {
        let (values, slot_beyond, table_beyond) = (Vec::new(), false, false);
        let change = Change { table, removed, added, values, slot_beyond, table_beyond };
        Self { changes: vec![change], is_wild: false }
    }

    /// Returns the changes for an agent that has these series.
    pub(crate) fn of(&self, series: &AgentSeries) -> Vec<OwnedChange> {
        if !self.is_wild {
            return self.valid(series);
        }
        self.each(series, |change, slot, table, declared, _| change.wild(slot, table, declared))
    }

    /// Returns valid changes for an agent that has these series.
    pub(crate) fn valid(&self, series: &AgentSeries) -> Vec<OwnedChange> {
        let mut changes = self.each(series, Change::fitted);
        changes.sort_by_key(|change| (change.slot, change.table));
        changes.dedup_by_key(|change| (change.slot, change.table));
        changes
    }

    fn each(
        &self,
        series: &AgentSeries,
        of: impl Fn(&Change, u8, u32, &DeclaredTable, &[&Row]) -> OwnedChange,
    ) -> Vec<OwnedChange> {
        let tables: Vec<_> = series.labelled_tables().collect();
        let changes = self.changes.iter().filter_map(|change| {
            let at = usize::from(change.table).checked_rem(tables.len())?;
            let (slot, table, declared, rows) = tables[at];
            Some(of(change, slot, table, declared, &rows.keys().collect::<Vec<_>>()))
        });
        changes.collect()
    }
}

impl Change {
    /// Returns a change that is valid for a table with these rows.
    fn fitted(&self, slot: u8, table: u32, declared: &DeclaredTable, rows: &[&Row]) -> OwnedChange {
        let removed = bits(self.removed).filter(|at| *at < rows.len());
        let removed: Vec<u32> = removed.map(|at| at as u32).collect();
        let mut added: Vec<Row> = bits(self.added).map(|n| row(n, declared)).collect();
        added.sort();
        added.dedup();
        let is_kept = |row: &Row| rows.iter().position(|own| *own == row).map(|at| at as u32);
        added.retain(|row| is_kept(row).is_none_or(|at| removed.contains(&at)));
        OwnedChange { slot, table, removed, added: added.concat() }
    }

    /// Returns a change that can be invalid.
    fn wild(&self, slot: u8, table: u32, declared: &DeclaredTable) -> OwnedChange {
        let removed = bits(self.removed).map(|at| at as u32).collect();
        let added = bits(self.added).flat_map(|n| row(n, declared));
        OwnedChange {
            slot: slot + u8::from(self.slot_beyond),
            table: table + u32::from(self.table_beyond),
            removed,
            added: added.chain(self.values.iter().cloned()).collect(),
        }
    }
}

impl OwnedChange {
    pub(crate) fn borrowed(&self) -> RowChange<'_> {
        RowChange {
            slot: self.slot,
            table: self.table,
            removed: self.removed.clone(),
            added: self.added.iter().map(String::as_str).collect(),
        }
    }
}

/// Returns the positions of the set bits.
fn bits(byte: u8) -> impl Iterator<Item = usize> {
    (0..8).filter(move |bit| byte >> bit & 1 == 1)
}

/// Returns one of the rows that a table can get. The first row has no labels.
fn row(number: usize, table: &DeclaredTable) -> Row {
    let value = |label: usize| match label {
        0 => TEXTS[number % CHOICES],
        _ => TEXTS[number / 2 * label % TEXTS.len()],
    };
    (0..table.row_labels.len()).rev().map(|label| value(label).to_owned()).collect()
}

impl<'a> Arbitrary<'a> for Changes {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let is_wild = u.ratio(1, 8)?;
        Ok(Self { changes: vec_of(u, 3, Change::arbitrary)?, is_wild })
    }
}

fn wild_values(u: &mut Unstructured<'_>) -> Result<Vec<String>> {
    if !u.ratio(1, 8)? {
        return Ok(Vec::new());
    }
    vec_of(u, 3, |u| {
        if u.ratio(1, 8)? {
            return Ok("v".repeat(u.int_in_range(1020..=1028)?));
        }
        <&str>::arbitrary(u).map(str::to_owned)
    })
}
