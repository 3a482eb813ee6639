//! Reports of a batch that the engine may have, though a request with them failed.
//!
//! An engine that has stored a request whose answer was lost accepts a repeat of the newest sample
//! of each series, and refuses those before it: they are out of order. So a refusal of a report
//! means nothing if the request had a newer one of the same agent. The newest one shows whether the
//! engine refuses the series.

use std::collections::HashMap;

use super::lane::Batch;
use super::part::Part;

/// Reports that the engine may have.
#[derive(Debug, Default)]
pub(super) struct Uncertain(
    /// By index in the batch; empty if there are none.
    Vec<bool>,
);

impl Uncertain {
    /// Forgets the reports of the last batch.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the engine may have the report with this index in the batch.
    pub(super) fn contains(&self, index: usize) -> bool {
        self.0.get(index).copied().unwrap_or(false)
    }

    /// Adds the reports of a request that the engine may have stored.
    pub(super) fn note(&mut self, batch: &Batch, part: &Part) {
        let entries = part.of(batch);
        if batch.is_end() || entries.len() < 2 {
            return;
        }
        self.0.resize(batch.entries.len(), false);
        let mut newest = HashMap::new();
        for entry in entries {
            let time = newest.entry(&*entry.labels).or_insert(entry.unix_ms);
            *time = entry.unix_ms.max(*time);
        }
        for (place, entry) in self.0.iter_mut().skip(part.entries.start).zip(entries) {
            *place |= newest.get(&*entry.labels).is_some_and(|time| *time > entry.unix_ms);
        }
    }
}
