//! Logs what is left out of samples because of the collector's limits, each change once.

use std::collections::BTreeSet;

use tracing::{info, warn};

use crate::tables::TableState;

/// Maximum number of lines about families that are left out, for one change. A hostile exporter
/// could have thousands of them.
const MAX_FAMILY_LINES: usize = 20;

/// What the last sample left out.
#[derive(Debug)]
pub(super) struct LimitLog {
    /// Names of the sources.
    names: Vec<String>,
    left_out: Vec<usize>,
    families: Vec<(Box<str>, String)>,
}

impl LimitLog {
    /// Creates the log of sources with these names.
    pub(super) const fn new(names: Vec<String>) -> Self {
        Self { names, left_out: Vec::new(), families: Vec::new() }
    }

    /// Logs the differences between this sample and the one before.
    pub(super) fn update(&mut self, state: &TableState) {
        if self.left_out != state.left_out() {
            self.update_left_out(state);
        }
        if self.families != state.families_left_out() {
            self.update_families(state.families_left_out());
        }
    }

    fn update_left_out(&mut self, state: &TableState) {
        let before = std::mem::replace(&mut self.left_out, state.left_out().to_vec());
        if let Some(excess) = state.excess() {
            let (what, needed, limit) = (excess.what, excess.needed, excess.allowed);
            for source in self.left_out.iter().filter(|source| !before.contains(source)) {
                let (source, series) = (self.name(*source), state.series(*source));
                let setting = excess.setting;
                warn!(
                    source,
                    series,
                    what,
                    needed,
                    limit,
                    setting,
                    "source left out: the agent exceeds a limit of the collector"
                );
            }
        }
        for source in before.iter().filter(|source| !self.left_out.contains(source)) {
            let (source, series) = (self.name(*source), state.series(*source));
            info!(source, series, "source reported again");
        }
    }

    fn update_families(&mut self, left_out: &[(Box<str>, String)]) {
        let before: BTreeSet<_> = self.families.iter().collect();
        let added: Vec<_> = left_out.iter().filter(|family| !before.contains(family)).collect();
        for (family, cause) in added.iter().take(MAX_FAMILY_LINES) {
            warn!(?family, %cause, "metric family left out");
        }
        let more = added.len().saturating_sub(MAX_FAMILY_LINES);
        if more > 0 {
            warn!(families = more, "more metric families left out");
        }
        self.families = left_out.to_vec();
    }

    fn name(&self, source: usize) -> &str {
        self.names.get(source).map_or("", String::as_str)
    }
}
