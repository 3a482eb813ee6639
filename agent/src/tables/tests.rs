use fleetgauge_proto::catalog::FamilyKind;
use fleetgauge_proto::message::Family;
use fleetgauge_proto::report::{ABSENT, is_absent};

use fleetgauge_proto::Limits;
use fleetgauge_proto::rows::TableRows;

use super::*;

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
const SWAP: ColumnSpec = ColumnSpec {
    parameters: &[0.1, 1.0],
    ..ColumnSpec::new(family("swap_latency", FamilyKind::Histogram))
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

/// Returns the output of a source after one reading.
fn reading(tables: &[TableSpec], read: impl FnOnce(&mut Output)) -> Output {
    let mut output = Output::new(tables);
    read_again(&mut output, read);
    output
}

fn read_again(output: &mut Output, read: impl FnOnce(&mut Output)) {
    output.begin();
    read(output);
    output.finish();
}

fn state(sources: &[&[TableSpec]]) -> TableState {
    TableState::new(TableSet::try_new([], sources.iter().copied()).unwrap())
}

fn sample(state: &mut TableState) -> Sample {
    state.sample(&Limits::default())
}

#[test]
fn tables_without_row_labels_become_one_in_the_order_of_families() {
    let sources = [vec![fixed(&[FORKS]), disks()], vec![fixed(&[SWAP, LOAD])]];
    let set = TableSet::try_new([LOAD.family], sources.iter().map(Vec::as_slice)).unwrap();
    let [host, disks] = &*set.catalog().tables else { panic!("{set:?}") };
    let names: Vec<_> = set.catalog().families.iter().map(|family| family.name).collect();
    assert_eq!(names, ["load1", "forks", "disk_size", "disk_latency", "swap_latency"]);
    let families = |table: &fleetgauge_proto::message::Table<'_>| {
        table.columns.iter().map(|column| (column.family, column.width)).collect::<Vec<_>>()
    };
    assert_eq!(families(host), [(0, 1), (1, 1), (4, 4)]);
    assert_eq!(families(disks), [(2, 1), (3, 4)]);

    let mut state = TableState::new(set);
    let output = reading(&sources[1], |output| {
        output.row(0, &[]).copy_from_slice(&[1.0, 2.0, 3.0, 4.0, 5.0]);
    });
    state.set(1, &output);
    let values = sample(&mut state).values;
    assert_eq!((values[0], &values[2..]), (5.0, &[1.0, 2.0, 3.0, 4.0][..]));
    assert!(is_absent(values[1]), "the other source has not answered");
}

#[test]
fn family_in_two_tables_with_the_same_labels_is_an_error() {
    let sources = [vec![disks()], vec![fixed(&[LATENCY])]];
    let violation = TableSet::try_new([], sources.iter().map(Vec::as_slice)).unwrap_err();
    assert_eq!(violation.code().reason(), "duplicate_series");
}

#[test]
fn family_with_two_declarations_is_an_error() {
    let other = |family| vec![fixed(&[LOAD]), fixed(&[ColumnSpec { family, ..LOAD }])];
    for family in [
        Family { kind: FamilyKind::Unknown as u8, ..LOAD.family },
        Family { help: "Other.", ..LOAD.family },
    ] {
        let violation = TableSet::try_new([], [&*other(family)]).unwrap_err();
        assert_eq!(violation.code().reason(), "duplicate_family");
        let violation = TableSet::try_new([family], [&[fixed(&[LOAD])][..]]).unwrap_err();
        assert_eq!(violation.code().reason(), "duplicate_family");
    }
}

#[test]
fn columns_of_one_family_differ_in_their_labels() {
    let cpus = TableSpec { row_labels: &["cpu"], columns: vec![CPU_USER, CPU_IDLE] };
    let set = TableSet::try_new([], [&[cpus][..]]).unwrap();
    assert_eq!(set.catalog().families.len(), 1);
    assert_eq!(set.catalogs().tables()[0].width(), 2);
}

#[test]
fn set_without_fixed_tables_has_none() {
    let disks = [disks()];
    let mut state = state(&[&disks]);
    assert_eq!(state.catalogs().tables().len(), 1);
    assert_eq!(sample(&mut state).values.len(), 0);
}

#[test]
fn rows_are_sorted_with_their_values() {
    let output = reading(&[disks()], |output| {
        for (device, value) in [("sdb", 2.0), ("sda", 1.0), ("a", 0.0), ("sdc", 3.0)] {
            output.row(0, &[device])[..2].fill(value);
        }
    });
    assert_eq!(devices(output.tables[0].rows()), ["a", "sda", "sdb", "sdc"]);
    for (row, value) in output.tables[0].values().zip([0.0, 1.0, 2.0, 3.0]) {
        assert_eq!(row[..2], [value; 2]);
        assert!(row[2..].iter().all(|value| is_absent(*value)));
    }
    assert_eq!(output.rows_left_out(), 0);
}

#[test]
fn rows_of_an_equal_reading_are_shared_and_of_another_are_not() {
    let set = |devices: &'static [&'static str]| {
        move |output: &mut Output| {
            devices.iter().for_each(|device| output.row(0, &[device])[0] = 1.0)
        }
    };
    let mut output = reading(&[disks()], set(&["sdb", "sda"]));
    let before = Arc::clone(output.tables[0].rows());
    read_again(&mut output, set(&["sdb", "sda"]));
    assert!(Arc::ptr_eq(&before, output.tables[0].rows()));
    read_again(&mut output, set(&["sdb"]));
    assert_eq!(devices(output.tables[0].rows()), ["sdb"]);
    // The texts are the same, but not the rows.
    read_again(&mut output, set(&["sd", "b"]));
    assert_eq!(devices(output.tables[0].rows()), ["b", "sd"]);
}

#[test]
fn first_of_two_equal_rows_counts_and_long_labels_are_left_out() {
    let longest = "x".repeat(1024);
    let output = reading(&[disks()], |output| {
        let devices = [&*longest, "sda", "sda", &format!("{longest}x"), ""];
        for (at, device) in devices.iter().enumerate() {
            output.row(0, &[device])[0] = [0.0, 1.0, 2.0, 3.0, 4.0][at];
        }
    });
    assert_eq!(devices(output.tables[0].rows()), ["", "sda", &longest]);
    let first: Vec<_> = output.tables[0].values().map(|row| row[0]).collect();
    assert_eq!(first, [4.0, 1.0, 0.0]);
    assert_eq!(output.rows_left_out(), 2);
}

#[test]
fn table_without_row_labels_has_one_row() {
    let tables = [fixed(&[LOAD, FORKS])];
    let mut output = reading(&tables, |output| {
        output.row(0, &[])[0] = 1.0;
        output.row(0, &[])[1] = 2.0;
    });
    assert_eq!(output.tables[0].values().next(), Some(&[1.0, 2.0][..]));
    read_again(&mut output, |_| {});
    let unset = output.tables[0].values().next().unwrap();
    assert!(unset.len() == 2 && unset.iter().all(|value| is_absent(*value)));
}

#[test]
#[should_panic(expected = "label values of a row")]
fn wrong_number_of_label_values_panics() {
    reading(&[disks()], |output| output.row(0, &["sda", "sdb"])[0] = 1.0);
}

#[test]
fn values_last_for_one_round_and_rows_longer() {
    let tables = [disks(), fixed(&[LOAD])];
    let mut state = state(&[&tables]);
    let mut output = reading(&tables, |output| {
        output.row(0, &["sda"]).fill(1.0);
        output.row(1, &[])[0] = 2.0;
    });
    state.set(0, &output);
    let before = sample(&mut state);
    assert_eq!(before.values, [2.0, 1.0, 1.0, 1.0, 1.0, 1.0]);
    state.clear_values(usize::MAX);
    let after = sample(&mut state);
    assert_eq!(after.rows, before.rows);
    assert_eq!(after.values.iter().map(|v| v.to_bits()).collect::<Vec<_>>(), [ABSENT.to_bits(); 6]);
    read_again(&mut output, |_| {});
    state.set(0, &output);
    assert!(sample(&mut state).rows[1].is_empty());
}

#[test]
fn largest_source_is_left_out_if_there_are_too_many_values() {
    let [disks, cpus] = [[disks()], [TableSpec { row_labels: &["cpu"], columns: vec![CPU_USER] }]];
    let mut state = state(&[&disks, &cpus]);
    let rows = |count: usize| {
        move |output: &mut Output| {
            (0..count).for_each(|row| output.row(0, &[&row.to_string()]).fill(1.0));
        }
    };
    state.set(0, &reading(&disks, rows(10)));
    state.set(1, &reading(&cpus, rows(3)));
    let limits = |max_values| Limits { max_values, ..Limits::default() };
    assert_eq!(state.sample(&limits(53)).values.len(), 53);
    assert!(state.left_out().is_empty());
    assert_eq!(state.sample(&limits(52)).values, [1.0; 3]);
    assert_eq!(state.left_out(), [0]);
    // A histogram is one series.
    let few_series = Limits { max_series: 23, ..Limits::default() };
    assert_eq!(state.sample(&few_series).values.len(), 53);
    let few_bytes = Limits { max_label_bytes: 2, ..Limits::default() };
    assert!(state.sample(&few_bytes).values.is_empty());
    assert_eq!(state.sample(&Limits::default()).values.len(), 53, "nothing is lost for ever");
}

mod found_families;
mod limits;
