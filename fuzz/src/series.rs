//! A model of an agent's series: its catalogs by slot, the rows of their tables, and the values.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use fleetgauge_proto::message::RowChange;
use fleetgauge_proto::report::{ABSENT, Values};
use fleetgauge_proto::{Code, Limits, Violation};

use crate::catalog::names;
use crate::catalog_gen::{Declared, DeclaredTable};
use crate::expected::{self, AgentLabels, Page};

/// The label values of a row, in the order of its table's row labels.
pub(crate) type Row = Vec<String>;

/// The series of an agent.
#[derive(Debug, Clone, Default)]
pub(crate) struct AgentSeries {
    slots: BTreeMap<u8, Slot>,
}

/// A catalog of an agent, and the rows of its tables.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    pub(crate) catalog: Rc<Declared>,
    tables: Vec<Rows>,
}

/// The rows of a table and the values of each. A table without row labels has one row without label
/// values.
type Rows = BTreeMap<Row, Vec<f64>>;

impl Slot {
    /// Returns the tables and their rows.
    pub(crate) fn tables(&self) -> impl Iterator<Item = (&DeclaredTable, &Rows)> {
        self.catalog.tables.iter().zip(&self.tables)
    }
}

impl AgentSeries {
    /// Sets the catalog of a slot. Its tables with row labels have no rows then, and all its values
    /// are absent.
    pub(crate) fn set_catalog(&mut self, slot: u8, catalog: &Rc<Declared>) {
        let rows = |table: &DeclaredTable| match &table.row_labels[..] {
            [] => Rows::from([(Row::new(), vec![ABSENT; table.width()])]),
            _ => Rows::new(),
        };
        let tables = catalog.tables.iter().map(rows).collect();
        self.slots.insert(slot, Slot { catalog: Rc::clone(catalog), tables });
    }

    /// Applies the changes of a Rows frame, which are in ascending order, as "Add and remove rows"
    /// in `docs/protocol.md` specifies. After an error some changes are already applied.
    pub(crate) fn change_rows(
        &mut self,
        changes: &[RowChange<'_>],
        limits: &Limits,
    ) -> Result<(), Code> {
        for change in changes {
            let slot = self.slots.get_mut(&change.slot).ok_or(Code::UnknownTable)?;
            let index = change.table as usize;
            let table = slot.catalog.tables.get(index).ok_or(Code::UnknownTable)?;
            if table.row_labels.is_empty() {
                return Err(Code::UnknownTable);
            }
            edit(&mut slot.tables[index], table, change)?;
        }
        self.check_size(limits)
    }

    /// Checks the number of values, series and columns, and the bytes of all rows' label values.
    pub(crate) fn check_size(&self, limits: &Limits) -> Result<(), Code> {
        let tables = || self.slots.values().flat_map(Slot::tables);
        let series = tables().map(|(table, rows)| table.columns.len() * rows.len()).sum::<usize>();
        let columns = tables().map(|(table, _)| table.columns.len()).sum::<usize>();
        let labels = tables().flat_map(|(_, rows)| rows.keys().flatten());
        if self.values().len() > limits.max_values as usize {
            return Err(Code::TooManyValues);
        }
        if series.max(columns) > limits.max_series as usize {
            return Err(Code::TooManySeries);
        }
        if labels.map(|value| value.len()).sum::<usize>() > limits.max_label_bytes as usize {
            return Err(Code::LabelTooLong);
        }
        Ok(())
    }

    /// Whether two families of different catalogs occupy the same name.
    pub(crate) fn has_conflict(&self) -> bool {
        let mut taken = BTreeSet::new();
        let families = self.slots.values().flat_map(|slot| &slot.catalog.families);
        let mut all = families.flat_map(|family| names(&family.name, family.kind));
        all.any(|name| !taken.insert(name))
    }

    /// Writes the values of a report.
    pub(crate) fn report(&mut self, values: &Values<'_>) -> Result<(), Violation> {
        let mut cells = self.values();
        let shape = self.shape();
        values.decode(&mut cells, shape.iter().map(|(rows, decimals)| (*rows, &**decimals)))?;
        let mut rest = cells.into_iter();
        for rows in self.slots.values_mut().flat_map(|slot| &mut slot.tables) {
            for own in rows.values_mut() {
                own.iter_mut().zip(&mut rest).for_each(|(cell, value)| *cell = value);
            }
        }
        assert_eq!(rest.next(), None);
        Ok(())
    }

    /// Returns all values, in the order of a report.
    pub(crate) fn values(&self) -> Vec<f64> {
        let tables = self.slots.values().flat_map(|slot| &slot.tables);
        tables.flat_map(|rows| rows.values().flatten().copied()).collect()
    }

    /// Returns the number of rows of each table, and the decimal places of the values of a row.
    pub(crate) fn shape(&self) -> Vec<(usize, Vec<u8>)> {
        let tables = self.slots.values().flat_map(Slot::tables);
        let of_table = |(table, rows): (&DeclaredTable, &Rows)| {
            let columns = table.columns.iter();
            let decimals = columns.flat_map(|column| vec![column.decimals; column.width as usize]);
            (rows.len(), decimals.collect())
        };
        tables.map(of_table).collect()
    }

    /// Returns the agent's own page.
    pub(crate) fn page(&self, labels: &AgentLabels, openmetrics: bool) -> Page {
        let mut shown = Vec::new();
        for slot in self.slots.values() {
            let families = slot.catalog.families.iter().enumerate();
            for (position, declared) in families.filter(|(_, one)| (1..=7).contains(&one.kind)) {
                shown.push((declared, expected::samples(slot, position, labels)));
            }
        }
        expected::page_of(shown, openmetrics)
    }

    /// Returns the slots with a catalog, in order.
    pub(crate) fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.slots.values()
    }

    /// Returns the slot, index and rows of each table with row labels.
    pub(crate) fn labelled_tables(&self) -> impl Iterator<Item = (u8, u32, &DeclaredTable, &Rows)> {
        self.slots.iter().flat_map(|(slot, own)| {
            let tables = own.tables().enumerate();
            let labelled = tables.filter(|(_, (table, _))| !table.row_labels.is_empty());
            labelled.map(|(index, (table, rows))| (*slot, index as u32, table, rows))
        })
    }
}

/// Applies a change to the rows of a table.
fn edit(rows: &mut Rows, table: &DeclaredTable, change: &RowChange<'_>) -> Result<(), Code> {
    let labels = table.row_labels.len();
    if !change.added.len().is_multiple_of(labels) {
        return Err(Code::BadRow);
    }
    if change.added.iter().any(|value| value.len() > 1024) {
        return Err(Code::LabelTooLong);
    }
    let before: Vec<Row> = rows.keys().cloned().collect();
    for (n, at) in change.removed.iter().enumerate() {
        let row = before.get(*at as usize).ok_or(Code::BadRow)?;
        let is_above = n == 0 || change.removed[n - 1] < *at;
        if !is_above || rows.remove(row).is_none() {
            return Err(Code::BadRow);
        }
    }
    let own = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<Row>();
    let added: Vec<Row> = change.added.chunks(labels).map(own).collect();
    for (n, row) in added.iter().enumerate() {
        let is_above = n == 0 || added[n - 1] < *row;
        if !is_above || rows.insert(row.clone(), vec![ABSENT; table.width()]).is_some() {
            return Err(Code::BadRow);
        }
    }
    Ok(())
}
