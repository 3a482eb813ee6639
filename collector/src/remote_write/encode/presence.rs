//! Presence: which series of an agent have a sample.

use fleetgauge_proto::report::is_absent;

use crate::exposition::KindLines;
use crate::registry::{Layout, PlacedTable};

/// Bits of a word.
const BITS: usize = u64::BITS as usize;

/// A set of an agent's series: the index of the first value of each. `fleetgauge_agent_up` has the
/// index after the last value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CellSet(Box<[u64]>);

impl CellSet {
    /// Returns the series that have a sample with these values: those without an absent value, and
    /// `fleetgauge_agent_up`.
    #[must_use]
    pub fn of(layout: &Layout, values: &[f64]) -> Self {
        let mut set = Self::empty(layout);
        for placed in layout.tables().flat_map(|(_, tables)| tables) {
            let own = values.get(placed.start..).unwrap_or_default();
            let own = &own[..own.len().min(placed.cells())];
            if placed.table.columns.len() == placed.table.width {
                for (cell, value) in (placed.start..).zip(own) {
                    set.insert_if(cell, !is_absent(*value));
                }
            } else {
                set.insert_rows(&placed, own);
            }
        }
        set.insert_if(layout.cells(), true);
        set
    }

    /// Returns the empty set of series of a layout.
    pub(super) fn empty(layout: &Layout) -> Self {
        Self(vec![0; layout.cells() / BITS + 1].into())
    }

    /// Adds series of a table with columns of several values.
    fn insert_rows(&mut self, placed: &PlacedTable<'_>, values: &[f64]) {
        let width = placed.table.width;
        let rows = values.chunks_exact(width.max(1)).zip((placed.start..).step_by(width.max(1)));
        for (row, start) in rows {
            for column in &placed.table.columns {
                let own = row.get(column.offset..column.offset + column.width);
                let is_present = own.is_some_and(|own| !own.iter().any(|value| is_absent(*value)));
                self.insert_if(start + column.offset, is_present);
            }
        }
    }

    /// Adds the series whose first value has this index, if the condition holds.
    pub(super) fn insert_if(&mut self, cell: usize, condition: bool) {
        if let Some(word) = self.0.get_mut(cell / BITS) {
            *word |= u64::from(condition) << (cell % BITS);
        }
    }

    /// Whether the set has the series whose first value has this index.
    #[must_use]
    pub fn contains(&self, cell: usize) -> bool {
        self.0.get(cell / BITS).is_some_and(|word| word >> (cell % BITS) & 1 == 1)
    }

    /// Returns the series that the other set lacks; `None` if it has all. Both must belong to one
    /// layout.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Option<Self> {
        let others = other.0.iter().copied().chain(std::iter::repeat(0));
        if self.0.iter().zip(others.clone()).all(|(own, other)| own & !other == 0) {
            return None;
        }
        Some(Self(self.0.iter().zip(others).map(|(own, other)| own & !other).collect()))
    }

    /// Whether the set has all series of the other. Both must belong to one layout.
    pub(in crate::remote_write) fn has_all(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(own, other)| other & !own == 0)
    }

    /// Adds the series of the other set. Both must belong to one layout.
    pub(in crate::remote_write) fn insert_all(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(own, other)| *own |= other);
    }

    /// Returns the bits of the set, to store it.
    pub(in crate::remote_write) fn words(&self) -> &[u64] {
        &self.0
    }

    /// Returns the set with these bits; `None` if they belong to no set of this layout.
    pub(in crate::remote_write) fn from_words(layout: &Layout, words: Box<[u64]>) -> Option<Self> {
        let bits = layout.cells() + 1;
        let beyond = words.last()?.checked_shr(u32::try_from(bits % BITS).ok()?)?;
        let is_full = bits.is_multiple_of(BITS);
        let own = words.len() == Self::empty(layout).0.len();
        (own && (is_full || beyond == 0)).then_some(Self(words))
    }

    /// Returns the number of samples of these series. A histogram or summary has several.
    /// `agent_up` is whether `fleetgauge_agent_up` counts.
    pub(crate) fn samples(&self, layout: &Layout, agent_up: bool) -> usize {
        let up = usize::from(!agent_up && self.contains(layout.cells()));
        let mut samples = self.len() - up;
        for (entry, tables) in layout.tables().filter(|(entry, _)| !entry.measured().is_plain()) {
            for placed in tables {
                for column in &placed.table.columns {
                    let kind = entry.catalog().families[column.family].kind;
                    let first = placed.start + column.offset;
                    let cells = (first..).step_by(placed.table.width).take(placed.row_count());
                    let series = cells.filter(|cell| self.contains(*cell)).count();
                    let of_each = kind.map_or(0, |kind| KindLines::of(kind).samples(column));
                    samples = samples + series * of_each - series;
                }
            }
        }
        samples
    }

    /// Returns the number of series.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether there are no series.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }
}

#[cfg(test)]
#[path = "presence_tests.rs"]
mod tests;
