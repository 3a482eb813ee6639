//! The collector's limits, checked before anything is sent that it would reject.

use fleetgauge_proto::Limits;

use super::ClientError;
use crate::catalogs::{Catalogs, TableLayout};
use crate::profile::Profile;
use crate::tables::{Excess, Sample, Size};

/// Settings of the collector that raise its limits.
const MAX_PAYLOAD: &str = "max_payload";
const MAX_FAMILIES: &str = "max_families";
const MAX_SERIES: &str = "max_series";
const MAX_VALUES: &str = "max_values";
const MAX_LABELS_SIZE: &str = "max_labels_size";

/// Checks the catalogs and the agent's labels.
pub(super) fn check_profile(profile: &Profile, limits: &Limits) -> Result<(), ClientError> {
    let label_bytes = profile.labels.bytes();
    check("bytes of the agent's labels", label_bytes, limits.max_label_bytes, MAX_LABELS_SIZE)?;
    let catalogs = &profile.catalogs;
    let fixed = || catalogs.tables().iter().filter(|table| table.row_labels() == 0);
    let (series, values) =
        (fixed().map(TableLayout::columns).sum(), fixed().map(TableLayout::width).sum());
    check_cells(series, values, limits)?;
    check_catalogs(catalogs, limits)
}

/// Checks the sizes of the catalogs.
fn check_catalogs(catalogs: &Catalogs, limits: &Limits) -> Result<(), ClientError> {
    let columns = catalogs.by_slot().iter().map(|catalog| catalog.size().columns).sum();
    check("columns of all catalogs", columns, limits.max_series, MAX_SERIES)?;
    for catalog in catalogs.by_slot() {
        let size = catalog.size();
        let payload = size.payload_bytes;
        check("bytes of a catalog's frame", payload, limits.max_payload_bytes, MAX_PAYLOAD)?;
        check("families of a catalog", size.families, limits.max_families, MAX_FAMILIES)?;
        let labels = size.label_bytes;
        check("bytes of a catalog's labels", labels, limits.max_label_bytes, MAX_LABELS_SIZE)?;
        check("values of a catalog's columns", size.values, limits.max_values, MAX_VALUES)?;
    }
    Ok(())
}

fn check_cells(series: usize, values: usize, limits: &Limits) -> Result<(), ClientError> {
    check("number of series", series, limits.max_series, MAX_SERIES)?;
    check("number of values", values, limits.max_values, MAX_VALUES)
}

impl Sample {
    /// Checks the catalogs, the number of series and values, and the size of the rows' labels
    /// against the limits of a collector.
    ///
    /// # Errors
    /// [`ClientError::OverLimit`].
    pub fn check_limits(&self, catalogs: &Catalogs, limits: &Limits) -> Result<(), ClientError> {
        check_catalogs(catalogs, limits)?;
        match Size::of_sample(self, catalogs).excess(limits) {
            Some(Excess { what, setting, needed, allowed, .. }) => {
                Err(ClientError::OverLimit { what, setting, needed, allowed })
            }
            None => Ok(()),
        }
    }
}

fn check(
    what: &'static str,
    needed: usize,
    allowed: u32,
    setting: &'static str,
) -> Result<(), ClientError> {
    if needed > allowed as usize {
        return Err(ClientError::OverLimit { what, setting, needed, allowed });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use fleetgauge_proto::StaticLabels;
    use fleetgauge_proto::catalog::FamilyKind;
    use fleetgauge_proto::labels::Label;
    use fleetgauge_proto::message::{Catalog, Column, Family, RowChange, Table};
    use fleetgauge_proto::rows::TableRows;

    use super::*;
    use crate::client::fake_collector::profile;

    /// Returns a catalog with a gauge in a fixed table and a histogram in a table of rows.
    fn catalogs() -> Catalogs {
        let kind = FamilyKind::Gauge as u8;
        let load = Family { name: "load", kind, unit: "", help: "" };
        let (name, kind) = ("latency_seconds", FamilyKind::Histogram as u8);
        let latency = Family { name, kind, unit: "seconds", help: "" };
        let gauge = Column { family: 0, width: 1, decimals: 0, parameters: vec![], labels: vec![] };
        let (parameters, labels) = (vec![1.0], vec![Label { name: "kind", value: "in" }]);
        let histogram = Column { family: 1, width: 3, parameters, labels, ..gauge.clone() };
        let families = vec![load, latency];
        let tables = vec![
            Table { row_labels: vec![], columns: vec![gauge] },
            Table { row_labels: vec!["queue"], columns: vec![histogram] },
        ];
        Catalogs::try_new(vec![Catalog { stream: 0, slot: 0, families, tables }]).unwrap()
    }

    /// Asserts that a check fails for the quantity with this name and setting, by one.
    fn assert_over_limit(
        checked: Result<(), ClientError>,
        expected_what: &str,
        expected_setting: &str,
    ) {
        let Err(ClientError::OverLimit { what, setting, needed, allowed }) = checked else {
            panic!("not exceeded: {expected_what}")
        };
        assert_eq!((what, setting), (expected_what, expected_setting));
        assert_eq!(needed, allowed as usize + 1, "{what}");
    }

    #[test]
    fn profile_at_the_limits_is_accepted_and_above_is_not() {
        let mut profile = profile(catalogs());
        let payload = profile.catalogs.by_slot()[0].size().payload_bytes;
        let exact = Limits {
            max_payload_bytes: u32::try_from(payload).unwrap(),
            max_families: 2,
            max_series: 2,
            max_values: 4,
            max_label_bytes: 11,
        };
        assert_eq!(check_profile(&profile, &exact), Ok(()));
        let payload = exact.max_payload_bytes - 1;
        for (limits, what, setting) in [
            (
                Limits { max_payload_bytes: payload, ..exact },
                "bytes of a catalog's frame",
                "max_payload",
            ),
            (Limits { max_families: 1, ..exact }, "families of a catalog", "max_families"),
            (Limits { max_series: 1, ..exact }, "columns of all catalogs", "max_series"),
            (Limits { max_series: 0, ..exact }, "number of series", "max_series"),
            (Limits { max_values: 3, ..exact }, "values of a catalog's columns", "max_values"),
            (Limits { max_values: 0, ..exact }, "number of values", "max_values"),
            (
                Limits { max_label_bytes: 10, ..exact },
                "bytes of a catalog's labels",
                "max_labels_size",
            ),
        ] {
            assert_over_limit(check_profile(&profile, &limits), what, setting);
        }
        let label = Label { name: "dc", value: "frankfurt1" };
        profile.labels = StaticLabels::try_new(&[label]).unwrap();
        let what = "bytes of the agent's labels";
        assert_over_limit(check_profile(&profile, &exact), what, "max_labels_size");
    }

    #[test]
    fn sample_at_the_limits_is_accepted_and_above_is_not() {
        let catalogs = catalogs();
        let long = "b".repeat(100);
        let change = RowChange { slot: 0, table: 1, removed: vec![], added: vec!["a", &long] };
        let rows = Arc::new(TableRows::default().edit(1, &change).unwrap().0);
        let sample = Sample { rows: vec![Arc::default(), rows], values: vec![0.0; 7] };
        let exact = Limits {
            max_payload_bytes: 7 * 8 + 4 + 64,
            max_families: 2,
            max_series: 3,
            max_values: 7,
            max_label_bytes: 101,
        };
        assert_eq!(sample.check_limits(&catalogs, &exact), Ok(()));
        for (limits, what, setting) in [
            (Limits { max_families: 1, ..exact }, "families of a catalog", "max_families"),
            (Limits { max_series: 2, ..exact }, "number of series", "max_series"),
            (Limits { max_values: 6, ..exact }, "number of values", "max_values"),
            (
                Limits { max_label_bytes: 100, ..exact },
                "bytes of the rows' labels",
                "max_labels_size",
            ),
            (Limits { max_payload_bytes: 122, ..exact }, "bytes of the rows' frame", "max_payload"),
            (
                Limits { max_payload_bytes: 123, ..exact },
                "bytes of a report's frame",
                "max_payload",
            ),
        ] {
            assert_over_limit(sample.check_limits(&catalogs, &limits), what, setting);
        }
    }
}
