//! The size of a sample, in the terms of a collector's limits.

use fleetgauge_proto::Limits;
use fleetgauge_proto::rows::TableRows;

use super::Sample;
use crate::catalogs::{Catalogs, TableLayout};

/// Maximum size of a Report's payload without its values, in bytes: stream, sequence number,
/// timestamp and lengths.
const REPORT_OVERHEAD_BYTES: usize = 64;
/// Maximum size of a row's label value in a Rows frame, without its text: a length.
const LABEL_OVERHEAD_BYTES: usize = 3;
/// Maximum size of a table's change in a Rows frame, without label values: slot, index, lengths.
const TABLE_OVERHEAD_BYTES: usize = 16;

/// The size of a sample, or of the part of a source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Size {
    /// Columns of all catalogs.
    pub(super) columns: usize,
    pub(super) series: usize,
    pub(super) values: usize,
    /// Tables with row labels.
    pub(super) tables: usize,
    /// Label values of all rows: their number and bytes.
    pub(super) labels: usize,
    pub(super) label_bytes: usize,
}

/// What a collector limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quantity {
    Columns,
    Series,
    Values,
    LabelBytes,
    RowsFrame,
    ReportFrame,
}

/// A limit that a sample exceeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Excess {
    quantity: Quantity,
    pub(crate) what: &'static str,
    /// Setting of the collector that raises the limit.
    pub(crate) setting: &'static str,
    pub(crate) needed: usize,
    pub(crate) allowed: u32,
}

const QUANTITIES: [Quantity; 6] = [
    Quantity::Columns,
    Quantity::Series,
    Quantity::Values,
    Quantity::LabelBytes,
    Quantity::RowsFrame,
    Quantity::ReportFrame,
];

impl Size {
    /// Returns the size of a sample of these catalogs.
    pub(crate) fn of_sample(sample: &Sample, catalogs: &Catalogs) -> Self {
        let tables = catalogs.tables().iter().zip(&sample.rows);
        let size = tables.map(|(table, rows)| Self::of_table(table, rows));
        Self { values: sample.values.len(), ..size.fold(Self::default(), Self::plus) }
    }

    /// Returns the size of a table, with its columns.
    pub(super) fn of_table(table: &TableLayout, rows: &TableRows) -> Self {
        Self::of_rows(table.columns(), table.width(), table.row_labels(), rows)
            .plus(Self { columns: table.columns(), ..Self::default() })
    }

    /// Returns the size of a table's rows, without its columns.
    pub(super) fn of_rows(columns: usize, width: usize, labels: usize, rows: &TableRows) -> Self {
        let count = if labels == 0 { 1 } else { rows.len() };
        Self {
            columns: 0,
            series: count * columns,
            values: count * width,
            tables: usize::from(labels > 0 && count > 0),
            labels: count * labels,
            label_bytes: rows.label_bytes(),
        }
    }

    pub(super) const fn plus(self, other: Self) -> Self {
        Self {
            columns: self.columns.saturating_add(other.columns),
            series: self.series.saturating_add(other.series),
            values: self.values.saturating_add(other.values),
            tables: self.tables.saturating_add(other.tables),
            labels: self.labels.saturating_add(other.labels),
            label_bytes: self.label_bytes.saturating_add(other.label_bytes),
        }
    }

    /// Returns the first limit that is exceeded.
    pub(crate) fn excess(self, limits: &Limits) -> Option<Excess> {
        QUANTITIES.into_iter().find_map(|quantity| {
            let (what, setting, allowed) = quantity.limit(limits);
            let needed = self.amount(quantity);
            let is_exceeded = needed > allowed as usize;
            is_exceeded.then_some(Excess { quantity, what, setting, needed, allowed })
        })
    }

    const fn amount(self, quantity: Quantity) -> usize {
        match quantity {
            Quantity::Columns => self.columns,
            Quantity::Series => self.series,
            Quantity::Values => self.values,
            Quantity::LabelBytes => self.label_bytes,
            Quantity::RowsFrame => self
                .label_bytes
                .saturating_add(self.labels.saturating_mul(LABEL_OVERHEAD_BYTES))
                .saturating_add(self.tables.saturating_mul(TABLE_OVERHEAD_BYTES)),
            // Upper bound: four bits of code and eight bytes per value. A changed-values report,
            // which adds a bitmap, is sent only if it is shorter.
            Quantity::ReportFrame => self
                .values
                .saturating_mul(size_of::<f64>())
                .saturating_add(self.values.div_ceil(2))
                .saturating_add(REPORT_OVERHEAD_BYTES),
        }
    }
}

impl Quantity {
    /// Returns what it is called, the setting, and the limit.
    const fn limit(self, limits: &Limits) -> (&'static str, &'static str, u32) {
        match self {
            Self::Columns => ("columns of all catalogs", "max_series", limits.max_series),
            Self::Series => ("number of series", "max_series", limits.max_series),
            Self::Values => ("number of values", "max_values", limits.max_values),
            Self::LabelBytes => {
                ("bytes of the rows' labels", "max_labels_size", limits.max_label_bytes)
            }
            Self::RowsFrame => {
                ("bytes of the rows' frame", "max_payload", limits.max_payload_bytes)
            }
            Self::ReportFrame => {
                ("bytes of a report's frame", "max_payload", limits.max_payload_bytes)
            }
        }
    }
}

/// Returns the sources to leave out, so that the others fit; by source. `fixed` is what cannot be
/// left out.
///
/// A source that alone is too large goes first. If several are about as large, the smallest of them
/// goes that suffices. A small source never goes instead of a large one.
pub(super) fn sources_over(fixed: Size, sizes: &[Size], limits: &Limits) -> Vec<usize> {
    let mut left_out = Vec::new();
    while let Some(source) = next_to_leave_out(fixed, sizes, &left_out, limits) {
        left_out.push(source);
    }
    left_out
}

/// Returns the source to leave out next; `None` if the others fit, or if no source has any of what
/// is too much.
fn next_to_leave_out(
    fixed: Size,
    sizes: &[Size],
    left_out: &[usize],
    limits: &Limits,
) -> Option<usize> {
    let others = |without: Option<usize>| {
        let stays =
            |(source, _): &(usize, &Size)| Some(*source) != without && !left_out.contains(source);
        let sizes = sizes.iter().enumerate().filter(stays);
        sizes.fold(fixed, |sum, (_, size)| sum.plus(*size))
    };
    let excess = others(None).excess(limits)?;
    let candidates = || sizes.iter().enumerate().filter(|(source, _)| !left_out.contains(source));
    let (largest, amount) = largest(candidates(), excess)?;
    let suffices = |(source, size): &(usize, &Size)| {
        size.amount(excess.quantity) - Size::default().amount(excess.quantity) >= amount.div_ceil(2)
            && others(Some(*source)).excess(limits).is_none()
    };
    let smallest = candidates().filter(suffices);
    let smallest = smallest.min_by_key(|(_, size)| size.amount(excess.quantity));
    Some(smallest.map_or(largest, |(source, _)| source))
}

/// Returns the source with the most of what exceeds a limit, and how much; `None` if all have none.
pub(super) fn largest<'a>(
    sizes: impl Iterator<Item = (usize, &'a Size)>,
    excess: Excess,
) -> Option<(usize, usize)> {
    let none = Size::default().amount(excess.quantity);
    let amounts = sizes.map(|(source, size)| (source, size.amount(excess.quantity) - none));
    amounts.max_by_key(|(_, amount)| *amount).filter(|(_, amount)| *amount > 0)
}
