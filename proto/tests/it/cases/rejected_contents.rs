//! Well-formed Hello, Rows and Report frames with invalid names, labels, rows or values.

use fleetgauge_proto::Code;
use fleetgauge_proto::report::ABSENT;
use serde_json::json;

use super::{Rejected, change, hello, label, reject, rows as rows_frame};
use crate::json::floats;
use crate::owned::{Hello, Label, Owned, Report, RowChange, Values};

pub(super) fn rejected() -> Vec<Rejected> {
    let mut all = hellos();
    all.extend(labels());
    all.extend(rows());
    all.extend(values());
    all
}

fn hellos() -> Vec<Rejected> {
    let id = |name, why, id: &str| {
        let hello = Hello { agent_id: id.into(), ..hello() };
        reject(name, Code::BadAgentId, why, Owned::Hello(hello).frame())
    };
    let other = |name, why, hello| reject(name, Code::BadHello, why, Owned::Hello(hello).frame());
    vec![
        id("id_empty", "The id is empty.", ""),
        id("id_129", "The id has 129 bytes.", &"a".repeat(129)),
        id("id_slash", "The id has a slash.", "web/1"),
        id("id_space", "The id has a space.", "web 1"),
        id("id_not_ascii", "The id is not ASCII.", "wéb-1"),
        id("id_newline", "The id ends in a line feed.", "web-1\n"),
        id("id_dot", "The id is a dot.", "."),
        id("id_dot_dot", "The id is two dots.", ".."),
        other(
            "agent_version_65",
            "The agent version has 65 bytes.",
            Hello { agent_version: "1".repeat(65), ..hello() },
        ),
        other(
            "credential_4097",
            "The credential has 4097 bytes.",
            Hello { credential: Some(vec![0; 4097]), ..hello() },
        ),
        other(
            "catalogs_17",
            "17 catalogs, one more than allowed.",
            Hello { catalogs: vec![[0; 16]; 17], ..hello() },
        ),
    ]
}

fn labels() -> Vec<Rejected> {
    let with = |name, code, why, labels: Vec<Label>| {
        reject(name, code, why, Owned::Hello(Hello { labels, ..hello() }).frame())
    };
    let bad = |name, why, of: &str| with(name, Code::BadLabelName, why, vec![label(of, "x")]);
    let reserved = |name, of: &str| {
        with(name, Code::ReservedLabel, "The label name is reserved.", vec![label(of, "x")])
    };
    let many = (0..33).map(|n| label(&format!("l{n}"), "x")).collect();
    vec![
        bad("label_empty", "The label has no name.", ""),
        bad("label_digit", "A label name begins with a digit.", "1a"),
        bad("label_dash", "A label name has a dash.", "a-b"),
        bad("label_colon", "A label name has a colon.", "a:b"),
        bad("label_201", "A label name has 201 bytes.", &"a".repeat(201)),
        reserved("label_agent", "agent"),
        reserved("label_client_no", "client_no"),
        reserved("label_instance", "instance"),
        reserved("label_job", "job"),
        reserved("label_le", "le"),
        reserved("label_quantile", "quantile"),
        reserved("label_underscores", "__x"),
        with(
            "label_value_1025",
            Code::LabelTooLong,
            "A label value has 1025 bytes.",
            vec![label("a", &"x".repeat(1025))],
        ),
        with("labels_33", Code::TooManyLabels, "33 labels, one more than allowed.", many),
        with(
            "label_twice",
            Code::DuplicateLabel,
            "The label a occurs twice, once with an empty value.",
            vec![label("a", "x"), label("b", "y"), label("a", "")],
        ),
    ]
}

fn rows() -> Vec<Rejected> {
    let of = |name, code, why, row_labels: usize, rows: &[&[&str]], change: RowChange| {
        let context = json!({"row_labels": row_labels, "rows": rows});
        Rejected { context, ..reject(name, code, why, rows_frame(vec![change])) }
    };
    let bad =
        |name, why, change| of(name, Code::BadRow, why, 1, &[&["sda"], &["sdb"], &["sdc"]], change);
    let pairs = |name, why, added: &[&str]| {
        of(name, Code::BadRow, why, 2, &[&["/", "ext4"]], change(&[], added))
    };
    let several = |name, why, first: (u8, u32), second: (u8, u32)| {
        let of = |(slot, table), value| RowChange { slot, table, ..change(&[], &[value]) };
        let changes = vec![of(first, "sda"), of(second, "sdb")];
        reject(name, Code::BadRow, why, rows_frame(changes))
    };
    let long = "x".repeat(1025);
    vec![
        bad("row_removed_beyond", "There are three rows, and no row 3.", change(&[3], &[])),
        bad("rows_removed_falling", "The positions do not ascend.", change(&[1, 0], &[])),
        bad("row_removed_twice", "A position occurs twice.", change(&[1, 1], &[])),
        bad("row_exists", "The row sdb exists.", change(&[], &["sdb"])),
        bad("row_exists_while_another_is_removed", "sdb exists.", change(&[0], &["sdb"])),
        bad("row_added_twice", "The row sdd is added twice.", change(&[], &["sdd", "sdd"])),
        bad("rows_added_falling", "The rows do not ascend.", change(&[], &["sde", "sdd"])),
        bad(
            "rows_added_falling_around_a_row",
            "The row sdbb is between sdb and sdc, sd before all.",
            change(&[], &["sdbb", "sd"]),
        ),
        pairs("row_incomplete", "A row has two label values; one is there.", &["/var"]),
        pairs(
            "row_of_three",
            "Rows have two label values; the second has one.",
            &["/srv", "xfs", "/var"],
        ),
        pairs(
            "rows_falling_in_second_label",
            "The second label decides.",
            &["/var", "xfs", "/var", "ext4"],
        ),
        several("changes_of_one_table", "A table occurs twice.", (0, 1), (0, 1)),
        several(
            "changes_of_falling_tables",
            "The second change is of an earlier table.",
            (0, 1),
            (0, 0),
        ),
        several(
            "changes_of_falling_slots",
            "The second change is of an earlier slot, though of a later table.",
            (1, 0),
            (0, 1),
        ),
        of(
            "row_label_1025",
            Code::LabelTooLong,
            "A label value has 1025 bytes.",
            1,
            &[],
            change(&[], &[&long]),
        ),
    ]
}

/// Returns a report that changes a table of one row of these values.
fn report(
    name: &'static str,
    code: Code,
    why: &'static str,
    (before, decimals): (&[f64], u8),
    values: Values,
) -> Rejected {
    let shape = json!([{"rows": 1, "decimals": vec![decimals; before.len()]}]);
    let context = json!({"shape": shape, "before": floats(before)});
    let report = Report { stream: 0, sequence: 1, unix_ms: 0, values };
    Rejected { context, ..reject(name, code, why, Owned::Report(report).frame()) }
}

fn values() -> Vec<Rejected> {
    let all = |name, code, why, count: usize, values: &[u8]| {
        report(name, code, why, (&vec![0.0; count], 0), Values::All(values.to_vec()))
    };
    let changed = |name, code, why, count: usize, bitmap: &[u8], values: &[u8]| {
        let (bitmap, values) = (bitmap.to_vec(), values.to_vec());
        report(name, code, why, (&vec![0.0; count], 0), Values::Changed { bitmap, values })
    };
    let (count, bitmap, bad) = (Code::WrongValueCount, Code::BadBitmap, Code::BadValue);
    let mut rejected = vec![
        all("all_too_few_codes", count, "Six values have three bytes of codes.", 6, &[0; 2]),
        all("all_empty", count, "Six values have three bytes of codes.", 6, &[]),
        all("all_too_many_codes", bad, "A byte follows the codes of six zeros.", 6, &[0; 4]),
        all("all_spare_code", bad, "The code of a fourth of three values.", 3, &[0, 0x10, 2]),
        all("all_byte_missing", bad, "The last step has one of two bytes.", 2, &[0x21, 2, 0]),
        all("all_xor_missing", bad, "An XOR has seven of eight bytes.", 1, &[15; 8]),
        all("all_byte_more", bad, "A byte follows the last step.", 2, &[0x11, 2, 2, 0]),
        changed("changed_too_few", count, "Two bits, no codes.", 6, &[0b11], &[]),
        changed("changed_too_many", bad, "No bit, one code.", 6, &[0], &[0]),
        changed("bitmap_too_short", bitmap, "Nine values need two bytes.", 9, &[0], &[]),
        changed("bitmap_too_long", bitmap, "Eight values need one byte.", 8, &[0, 0], &[]),
        changed("bitmap_empty", bitmap, "Six values need one byte.", 6, &[], &[]),
        changed("bitmap_spare", bitmap, "The seventh bit of six.", 6, &[0b100_0000], &[1, 2]),
    ];
    rejected.extend(numbers());
    rejected
}

fn numbers() -> Vec<Rejected> {
    let one = |name, why, before: f64, decimals: u8, values: &[u8]| {
        let values = Values::Changed { bitmap: vec![1], values: values.to_vec() };
        report(name, Code::BadValue, why, (&[before], decimals), values)
    };
    let absent = [15, 2, 0, 0, 0, 0, 0, 0xf0, 0x7f];
    vec![
        one("step_too_long", "A step of 1 unit in two bytes.", 0.0, 0, &[2, 2, 0]),
        one("step_of_zero_in_a_byte", "A step of 0 units in one byte.", 1.0, 0, &[1, 0]),
        one("step_unchanged", "The bit is set, but the step is 0.", 1.0, 0, &[0]),
        one("absent_unchanged", "An absent value is absent again.", ABSENT, 0, &absent),
        one("step_to_2_50", "A step leads to 2^50 units.", 0.0, 0, &[7, 0, 0, 0, 0, 0, 0, 8]),
        one(
            "step_to_minus_2_50",
            "A step leads to -2^50 units.",
            0.0,
            0,
            &[7, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 7],
        ),
        one("step_after_0_5", "0.5 is not whole without decimal places.", 0.5, 0, &[1, 2]),
        one("step_after_nan", "NaN is not whole.", f64::NAN, 0, &[1, 2]),
        one("xor_too_long", "An XOR of 1 in two bytes.", 0.5, 0, &[9, 1, 0]),
        one("xor_of_zero", "An XOR of 0.", 0.5, 0, &[8, 0]),
        one(
            "xor_of_whole_values",
            "From 0 to 1 is a step of 1 unit.",
            0.0,
            0,
            &[15, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f],
        ),
        one(
            "xor_of_decimals",
            "From 0 to 0.5 is a step of 5 units of a decimal place.",
            0.0,
            1,
            &[15, 0, 0, 0, 0, 0, 0, 0xe0, 0x3f],
        ),
        one(
            "nan_of_other_bits",
            "A NaN that is neither the canonical one nor absent.",
            0.0,
            0,
            &[15, 1, 0, 0, 0, 0, 0, 0xf8, 0x7f],
        ),
        one(
            "nan_with_sign",
            "A NaN with the sign bit set.",
            0.0,
            0,
            &[15, 0, 0, 0, 0, 0, 0, 0xf8, 0xff],
        ),
    ]
}
