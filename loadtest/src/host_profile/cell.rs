//! The values that a cell of a simulated host takes, by report.

use std::ops::RangeInclusive;

use fleetgauge_proto::report::ABSENT;

use super::tables::TABLES;
use crate::sim_values::MAX_SEQUENCE;

/// Number of bits of a cell's start value.
const START_BITS: u32 = 40;
/// One cell in this many changes with every report.
const EVERY_REPORT_ONE_IN: u64 = 6;
/// The other cells change every 16 or 64 reports, or never. Powers of two, because a judge divides
/// by them for every line of a page.
const SLOW_SHIFTS: [u8; 4] = [4, 6, 6, NEVER];
/// Shift of a value that never changes: sequence numbers are below 2^63.
const NEVER: u8 = 63;
/// Integers below this are exact in an `f64`.
const MAX_INTEGER: f64 = (1_u64 << 53) as f64;
/// One slowly changing cell in this many has absent values.
const INTERMITTENT_ONE_IN: u64 = 16;
/// In such a cell one value in `1 << ABSENT_BITS` is absent: the last one of them.
const ABSENT_BITS: u8 = 2;

/// How often and by how much the values of a cell change: a function of table, row and column, the
/// same on all hosts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CellPattern {
    hash: u64,
    /// Difference between consecutive values; negative for some gauges.
    step: i64,
    /// A value changes every `1 << shift` reports.
    shift: u8,
    /// Whether some values are absent.
    is_intermittent: bool,
    scale: f64,
}

impl CellPattern {
    /// Creates the pattern of a column in a row of one of [`TABLES`].
    #[must_use]
    pub fn new(table: usize, row: u32, column: usize) -> Self {
        let spec = &TABLES[table];
        let hash = mix((table as u64) << 32 | (column as u64) << 16 | u64::from(row));
        let shift = if hash.is_multiple_of(EVERY_REPORT_ONE_IN) {
            0
        } else {
            SLOW_SHIFTS[(hash >> 32) as usize % SLOW_SHIFTS.len()]
        };
        // Most values change by a little, some by thousands.
        let step = 1 + ((hash >> 8) % (1 << (1 + (hash >> 16) % 12))) as i64;
        let falls = !spec.is_counter(spec.family_of(column)) && (hash >> 48).is_multiple_of(2);
        Self {
            hash,
            step: if falls { -step } else { step },
            shift,
            is_intermittent: !matches!(shift, 0 | NEVER)
                && (hash >> 52).is_multiple_of(INTERMITTENT_ONE_IN),
            scale: 10_f64.powi(spec.decimals(column).into()),
        }
    }

    /// Returns a hash of table, row and column.
    #[must_use]
    pub const fn hash(&self) -> u64 {
        self.hash
    }

    /// Returns whether some values of cells with this pattern are absent.
    #[must_use]
    pub const fn is_intermittent(&self) -> bool {
        self.is_intermittent
    }

    /// Returns the cell with this pattern of an agent and a generation of the row.
    #[must_use]
    pub const fn cell(&self, agent: u32, generation: u32) -> Cell {
        let own = mix(self.hash ^ (agent as u64) << 8 ^ (generation as u64) << 32);
        let phases = if self.shift == NEVER { 1 } else { 1 << (self.shift + ABSENT_BITS) };
        let start = (own >> (u64::BITS - START_BITS)).cast_signed();
        Cell { start, phase: own & (phases - 1), pattern: *self }
    }
}

/// Values of a cell by sequence number.
///
/// Value number `n` is `(start + step * n) / 10^decimals`: an integer or a decimal number that a
/// page shows exactly. Report `s` has number `(s + phase) >> shift`. In intermittent cells one
/// number in four is absent instead.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cell {
    start: i64,
    phase: u64,
    pattern: CellPattern,
}

impl Cell {
    /// Returns the value of a report; [`ABSENT`] if the report has none.
    #[must_use]
    pub fn value(&self, sequence: u64) -> f64 {
        if self.is_absent(sequence) {
            return ABSENT;
        }
        let changes = self.number(sequence).cast_signed();
        (self.start + self.pattern.step * changes) as f64 / self.pattern.scale
    }

    /// Returns whether a report has no value of the cell.
    #[must_use]
    pub const fn is_absent(&self, sequence: u64) -> bool {
        self.pattern.is_intermittent && is_last(self.number(sequence))
    }

    /// Returns the number of the value of a report.
    const fn number(&self, sequence: u64) -> u64 {
        (sequence + self.phase) >> self.pattern.shift
    }

    /// Returns the sequence numbers of the reports that have this value; `None` if there are none.
    #[must_use]
    pub fn sequences(&self, value: f64) -> Option<RangeInclusive<u64>> {
        let CellPattern { step, shift, scale, is_intermittent, .. } = self.pattern;
        let scaled = (value * scale).round();
        if scaled.is_nan() || scaled.abs() >= MAX_INTEGER || !is_same(scaled / scale, value) {
            return None;
        }
        let change = scaled as i64 - self.start;
        let number = change / step;
        if number * step != change {
            return None;
        }
        let number = u64::try_from(number).ok()?;
        if shift == NEVER {
            return (number == 0).then_some(0..=u64::MAX);
        }
        if is_intermittent && is_last(number) {
            return None;
        }
        let first = (number << shift).saturating_sub(self.phase);
        let end = (((number + 1) << shift) - 1).checked_sub(self.phase)?;
        (first <= MAX_SEQUENCE).then_some(first..=end)
    }
}

/// Returns whether a value number is the last one of its group, which intermittent cells lack.
const fn is_last(number: u64) -> bool {
    (number + 1).is_multiple_of(1 << ABSENT_BITS)
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
    use super::*;

    /// All cells of a host of the profile `node`.
    fn cells(agent: u32) -> Vec<Cell> {
        let mut cells = Vec::new();
        for (table, rows) in HostProfile::Node.row_counts().into_iter().enumerate() {
            for (row, column) in
                (0..rows).flat_map(|row| (0..TABLES[table].columns()).map(move |at| (row, at)))
            {
                cells.push(CellPattern::new(table, row, column).cell(agent, 0));
            }
        }
        cells
    }

    #[test]
    fn value_from_a_page_tells_its_reports() {
        for cell in cells(42) {
            for sequence in [1, 2, 15, 16, 63, 64, 100_000, (1 << 30) - 1] {
                if cell.is_absent(sequence) {
                    continue;
                }
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
    fn intermittent_cells_lack_a_quarter_of_their_values() {
        let cells = cells(42);
        let intermittent = cells.iter().filter(|cell| cell.pattern.is_intermittent());
        assert!((10..30).contains(&intermittent.count()));
        let absent = |sequence| cells.iter().filter(|cell| cell.is_absent(sequence)).count();
        let all: usize = (1..=256).map(absent).sum();
        let share = all as f64 / 256.0 / cells.len() as f64;
        assert!((0.005..0.02).contains(&share), "{share}");
        for cell in cells {
            let lacks = (1..=256).filter(|sequence| cell.is_absent(*sequence)).count();
            assert_eq!(lacks, if cell.pattern.is_intermittent() { 64 } else { 0 });
        }
    }

    #[test]
    fn absent_values_are_on_no_page() {
        for cell in cells(42) {
            for sequence in (1..=256).filter(|sequence| cell.is_absent(*sequence)) {
                assert!(is_same(cell.value(sequence), ABSENT));
                let would_be = cell.start + cell.pattern.step * cell.number(sequence) as i64;
                assert_eq!(cell.sequences(would_be as f64 / cell.pattern.scale), None);
            }
        }
    }

    #[test]
    fn counters_never_fall() {
        let mut falling = 0;
        for (table, spec) in TABLES.iter().enumerate() {
            for column in 0..spec.columns() {
                let falls = CellPattern::new(table, 0, column).step < 0;
                assert!(!(falls && spec.is_counter(spec.family_of(column))), "{table} {column}");
                falling += usize::from(falls);
            }
        }
        assert!(falling > 20, "{falling}");
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
