//! The value of a cell: a series of a simulated host.

use std::ops::RangeInclusive;

/// Bits of a start.
const START_BITS: u32 = 40;
/// One cell in this many changes with every report.
const EVERY_REPORT_ONE_IN: u64 = 6;
/// The other cells change every 16 or 64 reports, or never. Powers of two, because a judge divides
/// by them for every line of a page.
const SLOW_SHIFTS: [u8; 4] = [4, 6, 6, NEVER];
/// Shift of a value that never changes: sequence numbers are below 2^63.
const NEVER: u8 = 63;

/// Position of a cell among the tables of a host: how its values change, on all hosts alike.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    hash: u64,
    step: u64,
    /// A value changes every `1 << shift` reports.
    shift: u8,
    scale: f64,
}

impl Place {
    /// Creates the place of a column in a row of a table.
    #[must_use]
    pub fn new(table: usize, row: u32, column: usize, decimals: u8) -> Self {
        let hash = mix((table as u64) << 32 | (column as u64) << 16 | u64::from(row));
        let shift = if hash.is_multiple_of(EVERY_REPORT_ONE_IN) {
            0
        } else {
            SLOW_SHIFTS[(hash >> 32) as usize % SLOW_SHIFTS.len()]
        };
        Self {
            hash,
            // Most counters grow by a little, some by thousands.
            step: 1 + (hash >> 8) % (1 << (1 + (hash >> 16) % 12)),
            shift,
            scale: 10_f64.powi(decimals.into()),
        }
    }

    /// Returns a hash of table, row and column.
    #[must_use]
    pub const fn hash(&self) -> u64 {
        self.hash
    }

    /// Returns the cell of an agent and a generation of the row at this place.
    #[must_use]
    pub const fn cell(&self, agent: u32, generation: u32) -> Cell {
        let own = mix(self.hash ^ (agent as u64) << 8 ^ (generation as u64) << 32);
        let phase = if self.shift == NEVER { 0 } else { own & ((1 << self.shift) - 1) };
        Cell { start: own >> (u64::BITS - START_BITS), phase, place: *self }
    }
}

/// Values of a cell by sequence number.
///
/// The value of report `s` is `(start + step * ((s + phase) >> shift)) / 10^decimals`: an integer
/// or a decimal number that a page shows exactly.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cell {
    start: u64,
    phase: u64,
    place: Place,
}

impl Cell {
    /// Returns the value of a report.
    #[must_use]
    pub fn value(&self, sequence: u64) -> f64 {
        let changes = (sequence + self.phase) >> self.place.shift;
        (self.start + self.place.step * changes) as f64 / self.place.scale
    }

    /// Returns the sequence numbers of the reports that have this value; `None` if there are none.
    #[must_use]
    pub fn sequences(&self, value: f64) -> Option<RangeInclusive<u64>> {
        let Place { step, shift, scale, .. } = self.place;
        let scaled = (value * scale).round();
        if !(0.0..(1_u64 << 53) as f64).contains(&scaled) || !is_same(scaled / scale, value) {
            return None;
        }
        let rise = (scaled as u64).checked_sub(self.start)?;
        let changes = rise / step;
        if changes * step != rise {
            return None;
        }
        if shift == NEVER {
            return (changes == 0).then_some(0..=u64::MAX);
        }
        let end = (((changes + 1) << shift) - 1).checked_sub(self.phase)?;
        Some((changes << shift).saturating_sub(self.phase)..=end)
    }
}

fn is_same(one: f64, other: f64) -> bool {
    one.to_bits() == other.to_bits()
}

/// Mixes all bits: the finalizer of SplitMix64.
pub(super) const fn mix(bits: u64) -> u64 {
    let bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::super::HostProfile;
    use super::super::tables::TABLES;
    use super::*;

    /// All cells of a host of the profile `node`.
    fn cells(agent: u32) -> Vec<Cell> {
        let mut cells = Vec::new();
        for (table, rows) in HostProfile::Node.row_counts().into_iter().enumerate() {
            for (row, column) in
                (0..rows).flat_map(|row| (0..TABLES[table].columns()).map(move |at| (row, at)))
            {
                let decimals = TABLES[table].decimals(column);
                cells.push(Place::new(table, row, column, decimals).cell(agent, 0));
            }
        }
        cells
    }

    #[test]
    fn value_from_a_page_tells_its_reports() {
        for cell in cells(42) {
            for sequence in [1, 2, 15, 16, 63, 64, 100_000, (1 << 30) - 1] {
                let shown: f64 = cell.value(sequence).to_string().parse().unwrap();
                let sequences = cell.sequences(shown).unwrap();
                assert!(sequences.contains(&sequence), "{cell:?} {sequence} {sequences:?}");
                let (first, last) = sequences.into_inner();
                assert_eq!(cell.value(first).to_bits(), shown.to_bits());
                if last < u64::MAX {
                    assert_eq!(cell.value(last).to_bits(), shown.to_bits());
                    assert_ne!(cell.value(last + 1).to_bits(), shown.to_bits());
                }
            }
        }
    }

    #[test]
    fn values_of_other_cells_and_agents_are_foreign() {
        let (own, other) = (cells(42), cells(43));
        // Within the first million reports.
        let is_possible = |cell: &Cell, value| {
            cell.sequences(value).is_some_and(|sequences| *sequences.start() < 1_000_000)
        };
        let mut possible = 0;
        for (at, cell) in own.iter().enumerate() {
            let neighbours = own.iter().enumerate().filter(|(place, _)| *place != at);
            let foreign = neighbours.map(|(_, cell)| cell).chain(&other);
            possible += foreign.filter(|foreign| is_possible(cell, foreign.value(10))).count();
        }
        assert!(possible <= 5, "{possible} of {}", own.len() * 2 * own.len());
    }

    #[test]
    fn about_a_fifth_of_the_values_changes_between_two_reports() {
        let cells = cells(42);
        for sequence in 100..200 {
            let changed = |cell: &&Cell| !is_same(cell.value(sequence), cell.value(sequence + 1));
            let share = cells.iter().filter(changed).count() as f64 / cells.len() as f64;
            assert!((0.15..0.25).contains(&share), "{share}");
        }
    }
}
