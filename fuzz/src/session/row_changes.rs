//! A model of the rate limit of rows that an agent adds and removes.

use fleetgauge_collector::clock::Millis;
use fleetgauge_collector::state::CollectorState;
use fleetgauge_proto::message::RowChange;

use crate::series::AgentSeries;

/// Rows that an agent has added and removed, less those that its rate allows since then.
#[derive(Default)]
pub(super) struct RowChanges {
    rows: f64,
    at: Millis,
}

impl RowChanges {
    /// Records accepted changes. They must not exceed the burst, as many rows as an agent may have
    /// series.
    pub(super) fn record(
        &mut self,
        changes: &[RowChange<'_>],
        series: &AgentSeries,
        collector: &CollectorState,
    ) {
        let bounds = &collector.config.bounds;
        let now = collector.clock.now();
        let elapsed = (now - self.at) as f64 / 1_000.0;
        let allowed = elapsed * bounds.row_changes_per_second as f64;
        let labels = |change: &RowChange<'_>| {
            let mut tables = series.labelled_tables();
            let table = tables.find(|table| (table.0, table.1) == (change.slot, change.table));
            table.map_or(1, |(_, _, declared, _)| declared.row_labels.len())
        };
        let rows =
            |change: &RowChange<'_>| change.removed.len() + change.added.len() / labels(change);
        let changed = changes.iter().map(rows).sum::<usize>();
        self.rows = (self.rows - allowed).max(0.0) + changed as f64;
        self.at = now;
        assert!(
            self.rows <= f64::from(bounds.limits.max_series),
            "{} rows were changed",
            self.rows
        );
    }
}
