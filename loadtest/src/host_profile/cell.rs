//! The value of a cell: a series of a simulated host.

use std::ops::RangeInclusive;

/// Bits of a start.
const START_BITS: u32 = 40;
/// One cell in this many changes with every report.
const EVERY_REPORT_ONE_IN: u64 = 6;
/// Reports between two changes of the other cells; `None` never changes.
const SLOW_PERIODS: [Option<u64>; 4] = [Some(16), Some(64), Some(64), None];

/// Values of a cell by sequence number.
///
/// The value of report `s` is `(start + step * ((s + phase) / period)) / 10^decimals`: an integer
/// or a decimal number that a page shows exactly.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cell {
    start: u64,
    step: u64,
    /// Reports between two changes; `None` if the value never changes.
    period: Option<u64>,
    phase: u64,
    scale: f64,
}

impl Cell {
    /// Returns the cell of an agent, at a place among its tables.
    #[must_use]
    pub fn new(agent: u32, table: usize, row: u32, column: usize, decimals: u8) -> Self {
        // The period depends on table, row and column only: all hosts have the same busy series.
        let place = mix((table as u64) << 32 | (column as u64) << 16 | u64::from(row));
        let own = mix(place ^ u64::from(agent) << 8);
        let period = if place.is_multiple_of(EVERY_REPORT_ONE_IN) {
            Some(1)
        } else {
            SLOW_PERIODS[(place >> 32) as usize % SLOW_PERIODS.len()]
        };
        Self {
            start: own >> (u64::BITS - START_BITS),
            // Most counters grow by a little, some by thousands.
            step: 1 + (place >> 8) % (1 << (1 + (place >> 16) % 12)),
            period,
            phase: own % period.unwrap_or(1),
            scale: 10_f64.powi(decimals.into()),
        }
    }

    /// Returns the value of a report.
    #[must_use]
    pub fn value(&self, sequence: u64) -> f64 {
        let changes = self.period.map_or(0, |period| (sequence + self.phase) / period);
        (self.start + self.step * changes) as f64 / self.scale
    }

    /// Returns the sequence numbers of the reports that have this value; `None` if there are none.
    #[must_use]
    pub fn sequences(&self, value: f64) -> Option<RangeInclusive<u64>> {
        let scaled = (value * self.scale).round();
        if !(0.0..(1_u64 << 53) as f64).contains(&scaled) || !is_same(scaled / self.scale, value) {
            return None;
        }
        let rise = (scaled as u64).checked_sub(self.start)?;
        if !rise.is_multiple_of(self.step) {
            return None;
        }
        match (self.period, rise / self.step) {
            (None, 0) => Some(0..=u64::MAX),
            (None, _) => None,
            (Some(period), changes) => {
                let end = ((changes + 1) * period - 1).checked_sub(self.phase)?;
                Some((changes * period).saturating_sub(self.phase)..=end)
            }
        }
    }
}

fn is_same(one: f64, other: f64) -> bool {
    one.to_bits() == other.to_bits()
}

/// Mixes all bits: the finalizer of SplitMix64.
const fn mix(bits: u64) -> u64 {
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
                cells.push(Cell::new(agent, table, row, column, decimals));
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
