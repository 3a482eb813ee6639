//! A part of a batch: what one request carries. A batch that an engine refuses is split.

use std::ops::Range;
use std::sync::Arc;

use super::encode::Written;
use super::entry::Entry;
use super::lane::Batch;

/// Entries of a batch, or cells of one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// Indices of the entries.
    pub(super) entries: Range<usize>,
    /// The cells of each entry that belong to it.
    pub(super) cells: Range<usize>,
}

impl Part {
    /// Returns all of a batch.
    pub(super) fn whole(batch: &Batch) -> Self {
        Self { entries: 0..batch.entries.len(), cells: 0..usize::MAX }
    }

    /// Returns the entries.
    pub(super) fn of<'a>(&self, batch: &'a Batch) -> &'a [Arc<Entry>] {
        batch.entries.get(self.entries.clone()).unwrap_or_default()
    }

    /// Splits it in two parts with samples; `None` if it has one series.
    pub(super) fn halves(&self, batch: &Batch) -> Option<[Self; 2]> {
        if self.entries.len() > 1 {
            let middle = self.entries.start + self.entries.len() / 2;
            let part = |entries| Self { entries, cells: 0..usize::MAX };
            return Some([part(self.entries.start..middle), part(middle..self.entries.end)]);
        }
        let entry = batch.entries.get(self.entries.start)?;
        let present = entry.present();
        let end = self.cells.end.min(entry.layout.cells() + 1);
        let cells = (self.cells.start..end).filter(|cell| present.contains(*cell));
        let count = cells.clone().count();
        let middle = cells.clone().nth(count / 2).filter(|_| count > 1)?;
        let part = |cells| Self { entries: self.entries.clone(), cells };
        Some([part(self.cells.start..middle), part(middle..end)])
    }

    /// Returns the first and the last series of a part that is one whole entry; `None` of others.
    pub(super) fn ends(&self, batch: &Batch) -> Option<[Self; 2]> {
        let entry = batch.entries.get(self.entries.start)?;
        if self.entries.len() != 1 || self.cells != (0..usize::MAX) {
            return None;
        }
        // Not `fleetgauge_agent_up`, which a destination may not get.
        let present = entry.present();
        let mut cells = (0..entry.layout.cells()).filter(|cell| present.contains(*cell));
        let first = cells.next()?;
        let last = cells.next_back()?;
        let part = |cell| Self { entries: self.entries.clone(), cells: cell..cell + 1 };
        Some([part(first), part(last)])
    }

    /// Returns the number of points of one of its entries. Of a part of an entry it is an estimate:
    /// it counts a histogram once.
    pub(super) fn points_of(&self, entry: &Entry, agent_up: bool) -> Written {
        let points = if self.cells == (0..usize::MAX) {
            entry.samples(agent_up)
        } else {
            let end = self.cells.end.min(entry.layout.cells() + 1);
            (self.cells.start..end).filter(|cell| entry.present().contains(*cell)).count()
        };
        match entry.is_markers() {
            true => Written { samples: 0, markers: points },
            false => Written { samples: points, markers: 0 },
        }
    }
}
