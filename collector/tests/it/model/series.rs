//! The series of an agent in the model: its catalogs by slot, and the value of each cell.

use std::collections::{BTreeMap, BTreeSet};

use fleetgauge_proto::Code;
use fleetgauge_proto::report::ABSENT;

use crate::support::frames::{
    CatalogFrame, GAUGE, catalog_in, change, changed_from, family, report, rows, single, table,
};

pub(super) const SLOTS: usize = 2;
/// The slot of each catalog, its gauges without row labels, and those of its table of devices. All
/// catalogs of the first slot declare `load`, as the last catalog does, so they conflict with it.
pub(super) const CATALOGS: [(usize, &[&str], &[&str]); 6] = [
    (0, &["load"], &[]),
    (0, &["extra", "load"], &["used"]),
    (0, &["load"], &["other", "used"]),
    (1, &["up"], &["read"]),
    (1, &["up"], &["read", "written"]),
    (1, &["load"], &[]),
];
/// Number of kinds of invalid frames that [`Series::wrong`] builds.
pub(super) const WRONG: usize = 6;
const DEVICES: [&str; 4] = ["md0", "sda", "sdb", "sdc"];

/// Slot, table, row and column. Cells of a report are in this order.
type Cell = (usize, usize, usize, usize);

/// What an agent has declared, and its values.
#[derive(Debug, Clone, Default)]
pub(super) struct Series {
    catalogs: [Option<usize>; SLOTS],
    cells: BTreeMap<Cell, f64>,
}

/// Rows to remove and to add, one bit for each device.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowBits {
    pub(super) slot: usize,
    pub(super) removed: u8,
    pub(super) added: u8,
}

/// Cells that a report changes, and those that become absent. Bit `n` stands for every eighth cell
/// from `n` on.
#[derive(Debug, Clone, Copy)]
pub(super) struct ValueBits {
    pub(super) changed: u8,
    pub(super) absent: u8,
}

/// Returns the frame of each catalog.
pub(super) fn catalog_frames() -> Vec<CatalogFrame> {
    let frame = |(slot, alone, of_devices): &(usize, &[&'static str], &[&'static str])| {
        let families: Vec<_> =
            alone.iter().chain(*of_devices).map(|name| family(name, GAUGE)).collect();
        let columns: Vec<_> = (0..families.len() as u32).map(single).collect();
        let (alone, of_devices) = columns.split_at(alone.len());
        let mut tables = vec![table(&[], alone)];
        if !of_devices.is_empty() {
            tables.push(table(&["device"], of_devices));
        }
        catalog_in(*slot as u8, &families, &tables)
    };
    CATALOGS.iter().map(frame).collect()
}

impl Series {
    /// Whether the agent has sent the catalog that Welcome asked for.
    pub(super) fn is_complete(&self) -> bool {
        self.catalogs[0].is_some()
    }

    /// Sets the catalog of its slot, without rows and values. Returns whether this is allowed.
    pub(super) fn declare(&mut self, catalog: usize) -> bool {
        let (slot, alone, _) = CATALOGS[catalog];
        self.catalogs[slot] = Some(catalog);
        self.cells.retain(|cell, _| cell.0 != slot);
        self.cells.extend((0..alone.len()).map(|column| ((slot, 0, 0, column), ABSENT)));
        let mut names = BTreeSet::new();
        let catalogs = self.catalogs.iter().flatten().map(|catalog| CATALOGS[*catalog]);
        let mut all = catalogs.flat_map(|(_, alone, of_devices)| alone.iter().chain(of_devices));
        all.all(|name| names.insert(name))
    }

    /// Returns the devices that have a row.
    fn devices(&self, slot: usize) -> Vec<usize> {
        let has_row = |row: &usize| self.cells.contains_key(&(slot, 1, *row, 0));
        (0..DEVICES.len()).filter(has_row).collect()
    }

    /// Changes rows as far as this is possible. Returns the frame.
    pub(super) fn change_rows(&mut self, bits: RowBits) -> Vec<u8> {
        let RowBits { slot, removed, added } = bits;
        let has = |bits: u8, row: usize| bits >> row & 1 == 1;
        let columns = self.catalogs[slot].map_or(0, |catalog| CATALOGS[catalog].2.len());
        if columns == 0 {
            return rows(&[]);
        }
        let before = self.devices(slot).into_iter().enumerate();
        let positions = before.filter(|(_, row)| has(removed, *row)).map(|(at, _)| at as u32);
        let positions: Vec<_> = positions.collect();
        self.cells.retain(|cell, _| (cell.0, cell.1) != (slot, 1) || !has(removed, cell.2));
        let mut names = Vec::new();
        for row in (0..DEVICES.len()).filter(|row| has(added, *row)) {
            if self.cells.contains_key(&(slot, 1, row, 0)) {
                continue;
            }
            names.push(DEVICES[row]);
            self.cells.extend((0..columns).map(|column| ((slot, 1, row, column), ABSENT)));
        }
        rows(&[change(slot as u8, 1, &positions, &names)])
    }

    /// Sets values that no other cell or report has. Returns the frame.
    pub(super) fn report(&mut self, sequence: u64, bits: ValueBits) -> Vec<u8> {
        let before: Vec<_> = self.cells.values().copied().collect();
        for (at, value) in self.cells.values_mut().enumerate() {
            let has = |bits: u8| bits >> (at % 8) & 1 == 1;
            if has(bits.changed) {
                let new = sequence as f64 + at as f64 / 64.0;
                *value = if has(bits.absent) { ABSENT } else { new };
            }
        }
        let now: Vec<_> = self.cells.values().copied().collect();
        if bits.changed == u8::MAX {
            report(sequence, &now)
        } else {
            changed_from(sequence, &before, &now)
        }
    }

    /// Returns the lines of an agent with this id: series and values.
    pub(super) fn page(&self, id: &str) -> BTreeMap<String, f64> {
        let present = self.cells.iter().filter(|(_, value)| !value.is_nan());
        let line = |(cell, value): (&Cell, &f64)| {
            let (slot, table, row, column) = *cell;
            let (_, alone, of_devices) = CATALOGS[self.catalogs[slot].unwrap()];
            let series = match table {
                0 => format!("{}{{agent=\"{id}\"}}", alone[column]),
                _ => {
                    let (name, device) = (of_devices[column], DEVICES[row]);
                    format!("{name}{{agent=\"{id}\",device=\"{device}\"}}")
                }
            };
            (series, *value)
        };
        present.map(line).collect()
    }

    /// Returns a frame that contradicts the rows, one of [`WRONG`], and its Reject code.
    pub(super) fn wrong(&self, sequence: u64, number: usize) -> (Vec<u8>, Code) {
        let slot = usize::from(self.catalogs[1].is_some());
        let devices = self.devices(slot);
        let table = u32::from(self.catalogs[slot].is_some_and(|one| !CATALOGS[one].2.is_empty()));
        let bad_row = if table == 1 { Code::BadRow } else { Code::UnknownTable };
        let of =
            |removed: &[u32], added: &[&str]| rows(&[change(slot as u8, table, removed, added)]);
        match number {
            0 => (of(&[devices.len() as u32], &[]), bad_row),
            1 => (of(&[], &["sdb", "sda"]), bad_row),
            2 => match devices.first() {
                Some(row) => (of(&[], &[DEVICES[*row]]), bad_row),
                None => (of(&[0], &["sda"]), bad_row),
            },
            3 => (rows(&[change(slot as u8, 9, &[], &["sda"])]), Code::UnknownTable),
            4 => (rows(&[change(7, 1, &[], &["sda"])]), Code::UnknownTable),
            _ => (report(sequence, &vec![1.0; self.cells.len() + 1]), Code::BadValue),
        }
    }
}
