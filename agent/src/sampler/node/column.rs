//! Declares columns.

use fleetgauge_proto::catalog::FamilyKind;
use fleetgauge_proto::message::Family;

use crate::tables::{ColumnSpec, TableSpec};

/// Declares a gauge.
pub(super) const fn gauge(name: &'static str, help: &'static str) -> ColumnSpec {
    column(name, FamilyKind::Gauge, help)
}

/// Declares a counter. `name` ends in `_total`.
pub(super) const fn counter(name: &'static str, help: &'static str) -> ColumnSpec {
    column(name, FamilyKind::CounterAsNamed, help)
}

/// Declares a metric of unknown type.
pub(super) const fn unknown(name: &'static str, help: &'static str) -> ColumnSpec {
    column(name, FamilyKind::Unknown, help)
}

const fn column(name: &'static str, kind: FamilyKind, help: &'static str) -> ColumnSpec {
    ColumnSpec::new(Family { name, kind: kind as u8, unit: "", help })
}

impl ColumnSpec {
    /// Adds labels that all series of the column have.
    pub(super) const fn labelled(self, labels: &'static [(&'static str, &'static str)]) -> Self {
        Self { labels, ..self }
    }

    /// Sets the decimal places that its values usually have.
    pub(super) const fn decimals(self, decimals: u8) -> Self {
        Self { decimals, ..self }
    }
}

/// Declares a table.
pub(super) fn table(row_labels: &'static [&'static str], columns: &[ColumnSpec]) -> TableSpec {
    TableSpec { row_labels, columns: columns.to_vec() }
}
