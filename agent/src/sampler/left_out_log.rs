//! Log lines about series that a sample leaves out.

use tracing::warn;

use crate::tables::TableState;

/// Logs once that series are left out, until a sample leaves none out.
#[derive(Debug, Default)]
pub(super) struct LeftOutLog {
    has_families: bool,
    has_sources: bool,
}

impl LeftOutLog {
    /// Takes a sample. `name` returns the name of a source.
    pub(super) fn sampled(&mut self, state: &TableState, name: impl Fn(usize) -> String) {
        let refused = state.refused();
        let had_families = std::mem::replace(&mut self.has_families, !refused.is_empty());
        if let Some((family, cause)) = refused.first()
            && !had_families
        {
            warn!(families = refused.len(), first = %family, cause, "metric families left out");
        }
        let left_out = state.left_out();
        let had_sources = std::mem::replace(&mut self.has_sources, !left_out.is_empty());
        if self.has_sources && !had_sources {
            let sources =
                left_out.iter().map(|source| name(*source)).collect::<Vec<_>>().join(", ");
            let cause = "the agent would have more series than the collector accepts";
            warn!(sources, cause, "sources left out");
        }
    }
}
