//! Duration and success of collectors, as metrics.
//!
//! The sampler fills the table itself: it is that of a virtual source after all others.

use std::time::Duration;

use fleetgauge_proto::catalog::FamilyKind;
use fleetgauge_proto::message::Family;

use super::SourceSpec;
use crate::tables::{ColumnSpec, Output, TableSpec};

/// Name of its source, for logs.
pub(super) const NAME: &str = "collector_status";

const DURATION: ColumnSpec = ColumnSpec {
    decimals: 6,
    ..gauge(
        "node_scrape_collector_duration_seconds",
        "Time that the reading of the collector took, or has taken so far.",
    )
};
const SUCCESS: ColumnSpec = gauge(
    "node_scrape_collector_success",
    "Whether the collector was read in time and is reported: 1 for yes, 0 for no.",
);

/// Returns the table about collectors; none if no source is a collector.
pub(super) fn tables(sources: &[SourceSpec]) -> Vec<TableSpec> {
    let any = sources.iter().any(|source| source.is_collector);
    let table = TableSpec { row_labels: &["collector"], columns: vec![DURATION, SUCCESS] };
    if any { vec![table] } else { Vec::new() }
}

/// How the last round of each source ended.
#[derive(Debug)]
pub(super) struct SourceStatus {
    output: Output,
    /// By source; `None` for sources that are not collectors.
    rows: Vec<Option<Row>>,
}

#[derive(Debug)]
struct Row {
    collector: &'static str,
    duration: Duration,
    is_success: bool,
}

impl SourceStatus {
    pub(super) fn new(sources: &[SourceSpec]) -> Self {
        let row = |source: &SourceSpec| {
            let row = Row { collector: source.name, duration: Duration::ZERO, is_success: false };
            source.is_collector.then_some(row)
        };
        let output = Output::new(&tables(sources));
        Self { output, rows: sources.iter().map(row).collect() }
    }

    /// Records how the round of a source ended.
    pub(super) fn set(&mut self, source: usize, duration: Duration, is_success: bool) {
        if let Some(Some(row)) = self.rows.get_mut(source) {
            (row.duration, row.is_success) = (duration, is_success);
        }
    }

    /// Records that the series of a source are not reported.
    pub(super) fn set_left_out(&mut self, source: usize) {
        if let Some(Some(row)) = self.rows.get_mut(source) {
            row.is_success = false;
        }
    }

    /// Returns the rows of the table; `None` if no source is a collector.
    pub(super) fn output(&mut self) -> Option<&Output> {
        if self.rows.iter().all(Option::is_none) {
            return None;
        }
        self.output.begin();
        for row in self.rows.iter().flatten() {
            let values = [seconds(row.duration), f64::from(u8::from(row.is_success))];
            self.output.row(0, &[row.collector]).copy_from_slice(&values);
        }
        self.output.finish();
        Some(&self.output)
    }
}

/// Returns whole microseconds, in seconds. Finer digits are noise that reports would have to carry.
#[expect(clippy::cast_precision_loss, reason = "2^53 microseconds are 285 years")]
fn seconds(duration: Duration) -> f64 {
    let micros = (duration + Duration::from_nanos(500)).as_micros();
    micros as f64 / 1e6
}

const fn gauge(name: &'static str, help: &'static str) -> ColumnSpec {
    ColumnSpec::new(Family { name, kind: FamilyKind::Gauge as u8, unit: "", help })
}
