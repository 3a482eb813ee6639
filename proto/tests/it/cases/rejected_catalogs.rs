//! Well-formed Catalog frames with invalid families, tables or columns.

use fleetgauge_proto::Code;
use serde_json::{Value, json};

use super::{Rejected, catalog, column, family, label, reject, table};
use crate::owned::{Catalog, Column, Family, Label, Owned, Table};

const GAUGE: u8 = 1;
const COUNTER: u8 = 2;
const HISTOGRAM: u8 = 3;
const SUMMARY: u8 = 4;
const INFO: u8 = 5;
const COUNTER_AS_NAMED: u8 = 7;

pub(super) fn rejected() -> Vec<Rejected> {
    let mut all = families();
    all.extend(sizes());
    all.extend(shapes());
    all.extend(tables());
    all.extend(added_labels());
    all.extend(equal_series());
    all
}

fn families() -> Vec<Rejected> {
    let with =
        |name, code, why, families: Vec<Family>| reject(name, code, why, catalog(families, vec![]));
    let bad = |name, why, of: Family| with(name, Code::BadMetricName, why, vec![of]);
    let reserved = |name, why, of: Family| with(name, Code::ReservedMetricName, why, vec![of]);
    let unit = |name, why, of: &str, unit: &str| {
        with(name, Code::BadUnit, why, vec![Family { unit: unit.into(), ..family(of, GAUGE) }])
    };
    let twice = |name, why, one, other| with(name, Code::DuplicateFamily, why, vec![one, other]);
    let help = "x".repeat(1025);
    vec![
        bad("metric_empty", "The metric has no name.", family("", GAUGE)),
        bad("metric_dash", "A metric name has a dash.", family("a-b", GAUGE)),
        bad("metric_digit", "A metric name begins with a digit.", family("1a", GAUGE)),
        bad("metric_201", "A metric name has 201 bytes.", family(&"a".repeat(201), GAUGE)),
        bad("counter_total", "A counter's name ends in _total.", family("a_total", COUNTER)),
        bad(
            "histogram_bucket",
            "A histogram's name ends in _bucket.",
            family("a_bucket", HISTOGRAM),
        ),
        bad("summary_sum", "A summary's name ends in _sum.", family("a_sum", SUMMARY)),
        bad(
            "counter_created",
            "OpenMetrics gives a counter's _created a meaning.",
            family("a_created", COUNTER),
        ),
        bad(
            "histogram_created",
            "OpenMetrics gives a histogram's _created a meaning.",
            family("a_created", HISTOGRAM),
        ),
        bad(
            "summary_created",
            "OpenMetrics gives a summary's _created a meaning.",
            family("a_created", SUMMARY),
        ),
        bad("info_info", "An info's name ends in _info.", family("a_info", INFO)),
        reserved("metric_fleetgauge", "The prefix is reserved.", family("fleetgauge_x", GAUGE)),
        reserved(
            "metric_fleetgauge_sum",
            "The sample name fleetgauge_sum is reserved.",
            family("fleetgauge", SUMMARY),
        ),
        reserved("metric_clients", "The name is reserved.", family("clients_connected", GAUGE)),
        unit("unit_not_in_name", "The name does not end in _bytes.", "memory", "bytes"),
        unit("unit_is_name", "The name consists of the unit only.", "bytes", "bytes"),
        unit("unit_illegal", "The unit has a slash.", "speed_m", "m/s"),
        unit("unit_colon", "The unit has a colon.", "speed_m:s", "m:s"),
        with(
            "help_1025",
            Code::HelpTooLong,
            "A help text has 1025 bytes.",
            vec![Family { help, ..family("a", GAUGE) }],
        ),
        twice(
            "family_twice",
            "The family a occurs twice.",
            family("a", GAUGE),
            family("a", COUNTER),
        ),
        twice(
            "family_total",
            "The counter a and the gauge both expose a_total.",
            family("a_total", GAUGE),
            family("a", COUNTER),
        ),
        twice(
            "family_total_as_named",
            "The counter a and the counter with its own name both expose a_total.",
            family("a", COUNTER),
            family("a_total", COUNTER_AS_NAMED),
        ),
        twice(
            "family_count",
            "The summary a and the gauge both expose a_count.",
            family("a", SUMMARY),
            family("a_count", GAUGE),
        ),
        twice(
            "family_created",
            "OpenMetrics would read the gauge as the creation time of the counter a.",
            family("a", COUNTER),
            family("a_created", GAUGE),
        ),
    ]
}

fn sizes() -> Vec<Rejected> {
    let limited =
        |limits: Value, rejected| Rejected { context: json!({"limits": limits}), ..rejected };
    let gauges = |n: usize| (0..n).map(|n| family(&format!("m{n}"), GAUGE)).collect::<Vec<_>>();
    let one_each = |n: u32| (0..n).map(|n| column(n, 1, &[], &[])).collect::<Vec<_>>();
    let long = |n: u32| column(n, 1, &[], &[label("abcd", "123456")]);
    vec![
        limited(
            json!({"max_families": 2}),
            reject(
                "families_3",
                Code::TooManyFamilies,
                "Three families; two are allowed.",
                catalog(gauges(3), vec![]),
            ),
        ),
        limited(
            json!({"max_series": 2}),
            reject(
                "columns_3",
                Code::TooManySeries,
                "Three columns; two are allowed.",
                catalog(gauges(3), vec![table("", one_each(3))]),
            ),
        ),
        limited(
            json!({"max_values": 2}),
            reject(
                "values_3",
                Code::TooManyValues,
                "A row has three values; two are allowed.",
                catalog(gauges(3), vec![table("", one_each(3))]),
            ),
        ),
        limited(
            json!({"max_label_bytes": 19}),
            reject(
                "label_bytes_20",
                Code::LabelTooLong,
                "20 bytes of labels; 19 are allowed.",
                catalog(gauges(2), vec![table("", vec![long(0)]), table("", vec![long(1)])]),
            ),
        ),
        limited(
            json!({"max_label_bytes": 15}),
            reject(
                "row_label_bytes_16",
                Code::LabelTooLong,
                "16 bytes of row label names and a column's label; 15 are allowed.",
                catalog(gauges(1), vec![table("abc,def", vec![long(0)])]),
            ),
        ),
    ]
}

fn shapes() -> Vec<Rejected> {
    let with = |name, code, why, kind, one: Column| {
        reject(name, code, why, catalog(vec![family("a", kind)], vec![table("", vec![one])]))
    };
    let width = |name, why, kind, width, parameters: &[f64]| {
        with(name, Code::BadWidth, why, kind, column(0, width, parameters, &[]))
    };
    let parameters = |name, why, kind, parameters: &[f64]| {
        let width = u32::try_from(parameters.len()).expect("few") + 2;
        with(name, Code::BadParameters, why, kind, column(0, width, parameters, &[]))
    };
    let rising = (0..257).map(f64::from).collect::<Vec<_>>();
    vec![
        with(
            "family_1_of_1",
            Code::BadFamilyIndex,
            "The catalog has only family 0.",
            GAUGE,
            column(1, 1, &[], &[]),
        ),
        width("gauge_of_2", "A gauge has one value.", GAUGE, 2, &[]),
        width("gauge_of_0", "A gauge has one value.", GAUGE, 0, &[]),
        width("counter_as_named_of_2", "A counter has one value.", COUNTER_AS_NAMED, 2, &[]),
        width(
            "histogram_of_3",
            "Two bounds, a count and a sum are four values.",
            HISTOGRAM,
            3,
            &[1.0, 2.0],
        ),
        width("later_kind_of_259", "No column has more than 258 values.", 200, 259, &[]),
        with(
            "gauge_with_parameters",
            Code::BadParameters,
            "A gauge has no parameters.",
            GAUGE,
            column(0, 1, &[1.0], &[]),
        ),
        parameters("bounds_falling", "The bounds do not ascend.", HISTOGRAM, &[1.0, 0.5]),
        parameters("bounds_equal", "The bounds do not ascend.", HISTOGRAM, &[1.0, 1.0]),
        parameters(
            "bounds_infinite",
            "The bound +Inf is implicit.",
            HISTOGRAM,
            &[1.0, f64::INFINITY],
        ),
        parameters("bounds_nan", "A bound is NaN.", HISTOGRAM, &[f64::NAN]),
        parameters("bounds_257", "257 bounds, one more than allowed.", HISTOGRAM, &rising),
        parameters("later_kind_257", "257 parameters, one more than allowed.", 200, &rising),
        parameters("quantile_over_1", "A quantile is above 1.", SUMMARY, &[0.5, 1.5]),
        parameters("quantile_negative", "A quantile is below 0.", SUMMARY, &[-0.5]),
        parameters("quantile_nan", "A quantile is NaN.", SUMMARY, &[f64::NAN]),
    ]
}

fn tables() -> Vec<Rejected> {
    let with = |name, code, why, one: Table| {
        reject(name, code, why, catalog(vec![family("a", GAUGE)], vec![one]))
    };
    let gauge = |labels: &[Label]| vec![column(0, 1, &[], labels)];
    let row_labels =
        |name, code, why, row_labels: &str| with(name, code, why, table(row_labels, gauge(&[])));
    let unnamed = Table { row_labels: vec![String::new()], columns: gauge(&[]) };
    let many: Vec<_> = (0..33).map(|n| format!("l{n}")).collect();
    let x = label("x", "1");
    let slot = Catalog { stream: 0, slot: 16, families: vec![], tables: vec![] };
    vec![
        reject("slot_16", Code::BadSlot, "There are slots 0 to 15.", Owned::Catalog(slot).frame()),
        with("table_empty", Code::BadTable, "A table has no columns.", table("device", vec![])),
        reject(
            "family_without_column",
            Code::BadTable,
            "No table has a column of the family.",
            catalog(vec![family("a", GAUGE)], vec![]),
        ),
        reject(
            "table_empty_after_another",
            Code::BadTable,
            "The second table has no columns.",
            catalog(vec![family("a", GAUGE)], vec![table("", gauge(&[])), table("", vec![])]),
        ),
        with(
            "decimals_10",
            Code::BadTable,
            "A column has ten decimal places; nine are allowed.",
            table("", vec![Column { decimals: 10, ..column(0, 1, &[], &[]) }]),
        ),
        with("row_label_empty", Code::BadLabelName, "A row label has no name.", unnamed),
        row_labels("row_label_dash", Code::BadLabelName, "A row label has a dash.", "a-b"),
        row_labels(
            "row_label_client_no",
            Code::ReservedLabel,
            "client_no is reserved.",
            "client_no",
        ),
        row_labels("row_label_agent", Code::ReservedLabel, "agent is reserved.", "x,agent"),
        row_labels("row_label_twice", Code::DuplicateLabel, "A row label occurs twice.", "x,y,x"),
        row_labels("row_labels_33", Code::TooManyLabels, "33 row labels.", &many.join(",")),
        with(
            "label_of_row_and_column",
            Code::DuplicateLabel,
            "A column has the label x, and so have the rows.",
            table("x", gauge(&[x])),
        ),
        with(
            "column_label_underscores",
            Code::ReservedLabel,
            "Labels that begin with two underscores are reserved.",
            table("", gauge(&[label("__x", "1")])),
        ),
    ]
}

/// Labels with the name of one that the collector adds to the samples of a kind.
fn added_labels() -> Vec<Rejected> {
    let with = |name, why, kind, row_labels: &str, labels: &[Label]| {
        let one = column(1, 2, &[], labels);
        let gauge = column(0, 1, &[], &[]);
        let families = vec![family("a", GAUGE), family("b", kind)];
        let tables = vec![table(row_labels, vec![gauge, one])];
        reject(name, Code::ReservedLabel, why, catalog(families, tables))
    };
    let (le, quantile) = ([label("le", "1")], [label("quantile", "0.5")]);
    vec![
        with("row_label_le", "The table has a histogram.", HISTOGRAM, "x,le", &[]),
        with("column_label_le", "The column is of a histogram.", HISTOGRAM, "x", &le),
        with("row_label_quantile", "The table has a summary.", SUMMARY, "quantile", &[]),
        with("column_label_quantile", "The column is of a summary.", SUMMARY, "", &quantile),
    ]
}

fn equal_series() -> Vec<Rejected> {
    let with = |name, why, tables: Vec<Table>| {
        reject(name, Code::DuplicateSeries, why, catalog(vec![family("a", GAUGE)], tables))
    };
    let one = |labels: &[Label]| column(0, 1, &[], labels);
    let (x, y, none) = (label("x", "1"), label("y", "2"), label("z", ""));
    let nine = (0..9).map(|n| one(&[label(&format!("l{n}"), "1")])).collect();
    vec![
        with(
            "column_twice",
            "Two columns have the same labels: order and empty labels do not matter.",
            vec![table("", vec![one(&[x.clone(), y.clone()]), one(&[y, x.clone(), none])])],
        ),
        with(
            "column_of_two_tables",
            "Tables with the same row labels have columns with the same labels.",
            vec![table("p,q", vec![one(&[])]), table("q,p", vec![one(&[])])],
        ),
        with(
            "column_of_empty_row_labels",
            "A row with an empty label has the same series as the table without row labels.",
            vec![table("p", vec![one(&[])]), table("", vec![one(&[])])],
        ),
        with(
            "column_label_of_another_row",
            "A row can have the label that the other column has.",
            vec![table("x", vec![one(&[])]), table("", vec![one(&[x])])],
        ),
        with(
            "column_sets_9",
            "The columns of a family have nine different sets of label names; eight are allowed.",
            vec![table("", nine)],
        ),
    ]
}
