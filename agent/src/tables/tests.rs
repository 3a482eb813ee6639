use fleetgauge_proto::catalog::FamilyKind;
use fleetgauge_proto::message::Family;
use fleetgauge_proto::report::{ABSENT, is_absent};

use super::*;
use crate::catalogs::Catalogs;

const fn family(name: &'static str, kind: FamilyKind) -> Family<'static> {
    Family { name, kind: kind as u8, unit: "", help: "" }
}

const LOAD: ColumnSpec = ColumnSpec::new(family("load1", FamilyKind::Gauge));
const FORKS: ColumnSpec = ColumnSpec::new(family("forks", FamilyKind::Counter));
const SIZE: ColumnSpec = ColumnSpec::new(family("disk_size", FamilyKind::Gauge));
const LATENCY: ColumnSpec = ColumnSpec {
    parameters: &[0.1, 1.0],
    ..ColumnSpec::new(family("disk_latency", FamilyKind::Histogram))
};
const CPU_USER: ColumnSpec = ColumnSpec {
    labels: &[("mode", "user")],
    ..ColumnSpec::new(family("cpu", FamilyKind::Counter))
};
const CPU_IDLE: ColumnSpec = ColumnSpec { labels: &[("mode", "idle")], ..CPU_USER };

fn fixed(columns: &[ColumnSpec]) -> TableSpec {
    TableSpec { row_labels: &[], columns: columns.to_vec() }
}

fn disks() -> TableSpec {
    TableSpec { row_labels: &["device"], columns: vec![SIZE, LATENCY] }
}

/// Returns the label values of the rows of a table with one row label.
fn devices(rows: &TableRows) -> Vec<&str> {
    rows.iter(1).flatten().collect()
}

#[test]
fn tables_without_row_labels_become_one_in_the_order_of_families() {
    let sources = [vec![fixed(&[FORKS]), disks()], vec![fixed(&[LATENCY, LOAD])]];
    let set = TableSet::new([LOAD.family], sources.iter().map(Vec::as_slice));
    let catalogs = Catalogs::try_new(vec![set.catalog().clone()]).unwrap_err();
    // The histogram is in both tables, so that its series could be the same.
    assert_eq!(catalogs.code().reason(), "duplicate_series");
    let [host, disks] = &*set.catalog().tables else { panic!("{set:?}") };
    let names: Vec<_> = set.catalog().families.iter().map(|family| family.name).collect();
    assert_eq!(names, ["load1", "forks", "disk_size", "disk_latency"]);
    let families = |table: &fleetgauge_proto::message::Table<'_>| {
        table.columns.iter().map(|column| (column.family, column.width)).collect::<Vec<_>>()
    };
    assert_eq!(families(host), [(0, 1), (1, 1), (3, 4)]);
    assert_eq!(families(disks), [(2, 1), (3, 4)]);

    let mut state = TableState::new(&set);
    let mut writer = TableWriter::new(&sources[1]);
    writer.row(0, &[]).copy_from_slice(&[1.0, 2.0, 3.0, 4.0, 5.0]);
    state.set(1, writer.finish());
    let values = state.sample().values;
    assert_eq!((values[0], &values[2..]), (5.0, &[1.0, 2.0, 3.0, 4.0][..]));
    assert!(is_absent(values[1]), "the other source has not answered");
}

#[test]
fn columns_of_one_family_differ_in_their_labels() {
    let cpus = TableSpec { row_labels: &["cpu"], columns: vec![CPU_USER, CPU_IDLE] };
    let set = TableSet::new([], [&[cpus][..]]);
    assert_eq!(set.catalog().families.len(), 1);
    let catalogs = Catalogs::try_new(vec![set.catalog().clone()]).unwrap();
    assert_eq!(catalogs.tables()[0].width(), 2);
}

#[test]
fn set_without_fixed_tables_has_none() {
    let set = TableSet::new([], [&[disks()][..]]);
    assert_eq!(set.catalog().tables.len(), 1);
    assert_eq!(TableState::new(&set).sample().values.len(), 0);
}

#[test]
fn rows_are_sorted_with_their_values() {
    let mut writer = TableWriter::new(&[disks()]);
    for (device, value) in [("sdb", 2.0), ("sda", 1.0), ("a", 0.0), ("sdc", 3.0)] {
        writer.row(0, &[device])[..2].fill(value);
    }
    let readout = writer.finish();
    let (rows, values) = &readout.tables[0];
    assert_eq!(devices(rows), ["a", "sda", "sdb", "sdc"]);
    for (row, value) in values.chunks(5).zip([0.0, 1.0, 2.0, 3.0]) {
        assert_eq!(row[..2], [value; 2]);
        assert!(row[2..].iter().all(|value| is_absent(*value)));
    }
    assert_eq!(readout.skipped, 0);
}

#[test]
fn first_of_two_equal_rows_counts_and_long_labels_are_skipped() {
    let mut writer = TableWriter::new(&[disks()]);
    let longest = "x".repeat(1024);
    for (at, device) in [&*longest, "sda", "sda", &format!("{longest}x"), ""].iter().enumerate() {
        writer.row(0, &[device])[0] = [0.0, 1.0, 2.0, 3.0, 4.0][at];
    }
    let readout = writer.finish();
    let (rows, values) = &readout.tables[0];
    assert_eq!(devices(rows), ["", "sda", &longest]);
    assert_eq!((values[0], values[5], values[10]), (4.0, 1.0, 0.0));
    assert_eq!(readout.skipped, 2);
}

#[test]
fn table_without_row_labels_has_one_row() {
    let tables = [fixed(&[LOAD, FORKS])];
    let mut writer = TableWriter::new(&tables);
    writer.row(0, &[])[0] = 1.0;
    writer.row(0, &[])[1] = 2.0;
    assert_eq!(writer.finish().tables[0].1, [1.0, 2.0]);
    let unset = TableWriter::new(&tables).finish().tables.remove(0).1;
    assert!(unset.len() == 2 && unset.iter().all(|value| is_absent(*value)));
}

#[test]
#[should_panic(expected = "label values of a row")]
fn wrong_number_of_label_values_panics() {
    TableWriter::new(&[disks()]).row(0, &["sda", "sdb"]);
}

#[test]
fn values_last_for_one_round_and_rows_longer() {
    let tables = [disks(), fixed(&[LOAD])];
    let set = TableSet::new([], [&tables[..]]);
    let mut state = TableState::new(&set);
    let mut writer = TableWriter::new(&tables);
    writer.row(0, &["sda"]).fill(1.0);
    writer.row(1, &[])[0] = 2.0;
    state.set(0, writer.finish());
    let before = state.sample();
    assert_eq!(before.values, [2.0, 1.0, 1.0, 1.0, 1.0, 1.0]);
    state.clear_values();
    let after = state.sample();
    assert_eq!(after.rows, before.rows);
    assert_eq!(after.values.iter().map(|v| v.to_bits()).collect::<Vec<_>>(), [ABSENT.to_bits(); 6]);
    state.set(0, TableWriter::new(&tables).finish());
    assert!(state.sample().rows[1].is_empty());
}
