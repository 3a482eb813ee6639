//! The collector's metrics of the journal.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

#[derive(Debug, Default)]
pub(super) struct JournalMetrics {
    /// Agents with a record, those that may return included.
    pub(super) agents: Gauge,
    /// Agents for which the journal has no room.
    pub(super) left_out: Gauge,
    /// Size of the file.
    pub(super) bytes: Gauge,
    /// Agents that did not return after a start and were marked as stale.
    pub(super) marked: Counter,
    /// Agents of the journal whose series could not be marked.
    pub(super) unusable: Counter,
}

impl JournalMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let to = registry.sub_registry_with_prefix("fleetgauge_remote_write_journal");
        to.register("agents", "Agents in the journal", metrics.agents.clone());
        to.register(
            "agents_left_out",
            "Agents for which the journal has no room",
            metrics.left_out.clone(),
        );
        to.register_with_unit("size", "Size of the journal", Unit::Bytes, metrics.bytes.clone());
        to.register(
            "agents_marked",
            "Agents that did not return after a start, and were given stale markers",
            metrics.marked.clone(),
        );
        to.register(
            "agents_unusable",
            "Agents of the journal that could not be given stale markers",
            metrics.unusable.clone(),
        );
        metrics
    }
}
