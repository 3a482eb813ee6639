//! Numbers of series and rows of all agents.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::layout::Layout;

/// Running totals: a scrape reads them without visiting the agents.
#[derive(Debug, Default)]
pub(super) struct Totals {
    series: AtomicUsize,
    rows: AtomicUsize,
}

impl Totals {
    pub(super) fn add(&self, layout: &Layout) {
        self.series.fetch_add(layout.series(), Ordering::Relaxed);
        self.rows.fetch_add(layout.rows(), Ordering::Relaxed);
    }

    pub(super) fn remove(&self, layout: &Layout) {
        self.series.fetch_sub(layout.series(), Ordering::Relaxed);
        self.rows.fetch_sub(layout.rows(), Ordering::Relaxed);
    }

    pub(super) fn series(&self) -> usize {
        self.series.load(Ordering::Relaxed)
    }

    pub(super) fn rows(&self) -> usize {
        self.rows.load(Ordering::Relaxed)
    }
}
