//! Rows and Report frames that every receiver accepts.

use fleetgauge_proto::report::ABSENT;
use serde_json::{Value, json};

use super::accepted::{NEW_YEAR_MS, case};
use super::{Accepted, change};
use crate::context::Cells;
use crate::json::floats;
use crate::owned::{Owned, Report, RowChange, Rows, Values};
use crate::reference::{encode_all, encode_changed};

/// Returns all accepted vectors.
pub(super) fn accepted() -> Vec<Accepted> {
    let mut all = rows();
    all.extend(all_values());
    all.extend(changed_values());
    all.extend(several_tables());
    all
}

fn rows() -> Vec<Accepted> {
    let edit = |name, note, row_labels: usize, rows: &[&[&str]], change: RowChange| {
        let context = json!({"row_labels": row_labels, "rows": rows});
        let rows = Rows { stream: 0, changes: vec![change] };
        Accepted { context, ..case(name, note, Owned::Rows(rows)) }
    };
    let several = vec![
        change(&[], &["sda", "sdb"]),
        RowChange { slot: 1, table: 300, ..change(&[0, 300], &["/", "ext4"]) },
    ];
    let all: &[&[&str]] = &[&["nvme0n1"], &["sda"], &["sdb"]];
    let mut sorted = ["", "a", "A", "ab", "b", "é", "z"];
    sorted.sort_unstable();
    vec![
        edit("rows_added", "Two rows of an empty table.", 1, &[], change(&[], &["sda", "sdb"])),
        edit("rows_removed", "The first and last of three.", 1, all, change(&[0, 2], &[])),
        edit("rows_exchanged", "One for another.", 1, all, change(&[1], &["sdaa"])),
        edit(
            "rows_started_anew",
            "A row is removed and added again: its values are absent until the next report.",
            1,
            all,
            change(&[1], &["sda"]),
        ),
        edit("rows_unchanged", "Nothing is removed or added.", 1, all, change(&[], &[])),
        edit(
            "rows_of_two_labels",
            "The order is that of the first label, then of the second.",
            2,
            &[&["/", "ext4"], &["/var", "xfs"]],
            change(&[], &["/", "xfs", "/srv", "btrfs"]),
        ),
        edit(
            "rows_in_byte_order",
            "Label values are in the order of their UTF-8 bytes; an empty one is the first.",
            1,
            &[],
            change(&[], &sorted),
        ),
        case("rows_none", "No changes.", Owned::Rows(Rows { stream: 0, changes: vec![] })),
        case(
            "rows_of_two_tables",
            "A table of each of two catalogs.",
            Owned::Rows(Rows { stream: 0, changes: several }),
        ),
    ]
}

fn context(cells: &Cells) -> Value {
    let table = |(rows, decimals): &(usize, Vec<u8>)| json!({"rows": rows, "decimals": decimals});
    let shape: Vec<_> = cells.shape.iter().map(table).collect();
    json!({"shape": shape, "before": floats(&cells.values)})
}

fn report(
    name: &'static str,
    note: &'static str,
    sequence: u64,
    cells: &Cells,
    values: Values,
) -> Accepted {
    let report = Report { stream: 0, sequence, unix_ms: NEW_YEAR_MS, values };
    Accepted { context: context(cells), ..case(name, note, Owned::Report(report)) }
}

/// Returns a report of all values, which were absent before.
fn all(
    name: &'static str,
    note: &'static str,
    shape: Vec<(usize, Vec<u8>)>,
    now: &[f64],
) -> Accepted {
    let cells = Cells { shape, values: vec![ABSENT; now.len()] };
    report(name, note, 1, &cells, encode_all(now, &cells.decimals()))
}

/// Returns a report of the changed values of a table of one row.
fn changed(
    name: &'static str,
    note: &'static str,
    sequence: u64,
    decimals: u8,
    before: &[f64],
    now: &[f64],
) -> Accepted {
    let cells = Cells { shape: vec![(1, vec![decimals; now.len()])], values: before.to_vec() };
    report(name, note, sequence, &cells, encode_changed(before, now, &cells.decimals()))
}

fn all_values() -> Vec<Accepted> {
    let odd = [
        ABSENT,
        f64::from_bits(0x7ff8_0000_0000_0000),
        f64::INFINITY,
        f64::NEG_INFINITY,
        -0.0,
        f64::from_bits(1),
        f64::MAX,
        0.0,
    ];
    let largest = 1_125_899_906_842_623.0;
    let decimals: Vec<u8> = (0..=9).collect();
    let tenth = [0.1; 10];
    vec![
        all("report_all", "Both values of `catalog`.", vec![(1, vec![2, 0])], &[0.25, 1e9]),
        all(
            "report_of_odd_floats",
            "Absent, NaN, infinities, minus zero, the smallest and the largest number, zero.",
            vec![(1, vec![0; 8])],
            &odd,
        ),
        all(
            "report_of_whole_values",
            "Steps of 0 to 7 bytes, positive and negative.",
            vec![(1, vec![0; 10])],
            &[0.0, 1.0, -1.0, 128.0, -129.0, 40_000.0, 1e7, 3e9, 1e12, 2e14],
        ),
        all(
            "report_of_the_largest_steps",
            "2^50-1 and its negative are steps, 2^50 and its negative are XORs.",
            vec![(1, vec![0; 4])],
            &[largest, -largest, largest + 1.0, -largest - 1.0],
        ),
        all(
            "report_of_decimals",
            "0.1 in columns of 0 to 9 decimal places: an XOR, then steps of 1 to 100000000 units.",
            vec![(1, decimals)],
            &tenth,
        ),
        all(
            "report_of_fewer_decimals",
            "0.25 and 1/3 have more than one decimal place: XORs. 0.2 and 12.5 are steps.",
            vec![(1, vec![1; 4])],
            &[0.25, 1.0 / 3.0, 0.2, 12.5],
        ),
        all("report_of_no_values", "All values of `catalog_empty`.", vec![], &[]),
    ]
}

fn changed_values() -> Vec<Accepted> {
    let ten: Vec<f64> = (0..10).map(f64::from).collect();
    let mut now = ten.clone();
    for at in [0, 7, 8, 9] {
        now[at] += 1.0;
    }
    vec![
        changed(
            "report_changed",
            "The second of two values changed by one.",
            2,
            0,
            &[0.0, 1e9],
            &[0.0, 1_000_000_001.0],
        ),
        changed("report_unchanged", "Neither of two values.", 300, 0, &[1.0, 2.0], &[1.0, 2.0]),
        changed(
            "report_changed_of_ten",
            "The first, eighth, ninth and tenth of ten values changed.",
            70_000,
            0,
            &ten,
            &now,
        ),
        changed(
            "report_changed_steps",
            "Two decimal places: steps of 1, -1, 300 and -20000 units.",
            3,
            2,
            &[0.5, 0.5, 0.5, 0.5],
            &[0.51, 0.49, 3.5, -199.5],
        ),
        changed(
            "report_changed_xors",
            "XORs: between two values that are not whole, from a whole value to another and back.",
            4,
            0,
            &[0.5, 1.0, 0.5],
            &[0.75, 1.5, 2.0],
        ),
        changed(
            "report_changed_smallest_xor",
            "The lowest bit of a value changed.",
            5,
            0,
            &[0.5],
            &[f64::from_bits(0x3fe0_0000_0000_0001)],
        ),
        changed(
            "report_changed_absent",
            "Values become absent and present. An absent value counts as 0 before the next one.",
            6,
            1,
            &[7.0, 0.25, ABSENT, ABSENT, ABSENT, ABSENT],
            &[ABSENT, ABSENT, 0.0, 1.5, 0.25, -0.0],
        ),
        changed(
            "report_changed_odd_floats",
            "To and from NaN and infinity, and from zero to minus zero.",
            7,
            0,
            &[1.0, f64::from_bits(0x7ff8_0000_0000_0000), f64::INFINITY, 0.0],
            &[f64::from_bits(0x7ff8_0000_0000_0000), 1.0, f64::NEG_INFINITY, -0.0],
        ),
    ]
}

fn several_tables() -> Vec<Accepted> {
    let shape = vec![(1, vec![9]), (2, vec![0, 0, 3]), (0, vec![0])];
    let first = [0.000_000_25, 4096.0, 0.0, 1.25, 512.0, 8.0, 0.001];
    let second = [0.000_000_25, 8192.0, 0.0, 1.375, 512.0, 9.0, 0.001];
    let cells = Cells { shape: shape.clone(), values: first.to_vec() };
    let changed = encode_changed(&first, &second, &cells.decimals());
    vec![
        all(
            "report_all_of_three_tables",
            "Tables of one row, of two rows and without rows, with decimal places of their own.",
            shape,
            &first,
        ),
        report(
            "report_changed_of_three_tables",
            "Three values of the table of two rows changed.",
            2,
            &cells,
            changed,
        ),
    ]
}
