//! The collector's limits, checked before anything is sent that it would reject.

use fleetgauge_proto::Limits;

use super::ClientError;
use crate::catalogs::{Catalogs, TableLayout};
use crate::profile::Profile;
use crate::tables::Sample;

/// Maximum size of a Report's payload without its values, in bytes: stream, sequence number,
/// timestamp and lengths.
const REPORT_OVERHEAD_BYTES: usize = 64;
/// Maximum size of a row's label value in a Rows frame, without its text: a length.
const LABEL_OVERHEAD_BYTES: usize = 3;

/// Checks the catalogs and the agent's labels.
pub(super) fn check_profile(profile: &Profile, limits: &Limits) -> Result<(), ClientError> {
    let catalogs = &profile.catalogs;
    let longest = catalogs.by_slot().iter().map(|catalog| catalog.frame().len()).max();
    let fixed = catalogs.tables().iter().filter(|table| table.row_labels() == 0);
    check([
        ("bytes of a catalog's frame", longest.unwrap_or(0), limits.max_payload_bytes),
        ("number of values", fixed.map(TableLayout::width).sum(), limits.max_values),
        ("bytes of labels", profile.labels.bytes(), limits.max_label_bytes),
    ])
}

impl Sample {
    /// Checks the number of series and values, and the size of the rows' labels, against the limits
    /// of a collector.
    ///
    /// # Errors
    /// [`ClientError::OverLimit`].
    pub fn check_limits(&self, catalogs: &Catalogs, limits: &Limits) -> Result<(), ClientError> {
        let (mut series, mut labels, mut label_bytes) = (0, 0, 0);
        for (table, rows) in catalogs.tables().iter().zip(&self.rows) {
            series += table.row_count(rows) * table.columns();
            labels += table.row_labels() * rows.len();
            label_bytes += rows.label_bytes();
        }
        let rows_frame = label_bytes + labels * LABEL_OVERHEAD_BYTES;
        // A code of four bits and eight bytes a value. Only a shorter report carries a bitmap.
        let values = self.values.len();
        let report = values * size_of::<f64>() + values.div_ceil(2) + REPORT_OVERHEAD_BYTES;
        check([
            ("number of series", series, limits.max_series),
            ("number of values", values, limits.max_values),
            ("bytes of the rows' labels", label_bytes, limits.max_label_bytes),
            ("bytes of the rows' frame", rows_frame, limits.max_payload_bytes),
            ("bytes of a report's frame", report, limits.max_payload_bytes),
        ])
    }
}

fn check<const N: usize>(checks: [(&'static str, usize, u32); N]) -> Result<(), ClientError> {
    for (what, needed, allowed) in checks {
        if needed > allowed as usize {
            return Err(ClientError::OverLimit { what, needed, allowed });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use fleetgauge_proto::catalog::FamilyKind;
    use fleetgauge_proto::message::{Catalog, Column, Family, RowChange, Table};
    use fleetgauge_proto::rows::TableRows;

    use super::*;

    #[test]
    fn sample_at_the_limits_is_accepted_and_above_is_not() {
        let name = "latency_seconds";
        let family = Family { name, kind: FamilyKind::Histogram as u8, unit: "seconds", help: "" };
        let (parameters, labels) = (vec![1.0], vec![]);
        let column = Column { family: 0, width: 3, decimals: 0, parameters, labels };
        let table = Table { row_labels: vec!["queue"], columns: vec![column] };
        let (families, tables) = (vec![family], vec![table]);
        let catalogs = Catalogs::try_new(vec![Catalog { stream: 0, slot: 0, families, tables }]);
        let added = vec!["a", "bcd"];
        let change = RowChange { slot: 0, table: 0, removed: vec![], added };
        let rows = Arc::new(TableRows::default().edit(1, &change).unwrap().0);
        let sample = Sample { rows: vec![rows], values: vec![0.0; 6] };
        let exact = Limits {
            max_payload_bytes: 6 * 8 + 3 + 64,
            max_families: 1,
            max_series: 2,
            max_values: 6,
            max_label_bytes: 4,
        };
        let check = |limits| sample.check_limits(catalogs.as_ref().unwrap(), &limits);
        assert_eq!(check(exact), Ok(()));
        for (limits, what) in [
            (Limits { max_series: 1, ..exact }, "number of series"),
            (Limits { max_values: 5, ..exact }, "number of values"),
            (Limits { max_label_bytes: 3, ..exact }, "bytes of the rows' labels"),
            (Limits { max_payload_bytes: 9, ..exact }, "bytes of the rows' frame"),
            (Limits { max_payload_bytes: 114, ..exact }, "bytes of a report's frame"),
        ] {
            let Err(ClientError::OverLimit { what: said, .. }) = check(limits) else {
                panic!("{limits:?} is not exceeded")
            };
            assert_eq!(said, what);
        }
    }
}
