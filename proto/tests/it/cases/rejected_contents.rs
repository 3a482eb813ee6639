//! Well-formed frames with invalid names, labels, schemas or values.

use fleetgauge_proto::Code;
use serde_json::{Value, json};

use super::{Rejected, family, hello, label, le, reject, schema, series};
use crate::owned::{Family, Hello, Label, Owned, Report, Series, Values};

const GAUGE: u8 = 1;
const COUNTER: u8 = 2;
const HISTOGRAM: u8 = 3;
const SUMMARY: u8 = 4;
const INFO: u8 = 5;

pub(super) fn rejected() -> Vec<Rejected> {
    let mut all = hellos();
    all.extend(labels());
    all.extend(families());
    all.extend(sizes());
    all.extend(shapes());
    all.extend(series_labels());
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

fn families() -> Vec<Rejected> {
    let with =
        |name, code, why, families: Vec<Family>| reject(name, code, why, schema(families, vec![]));
    let bad = |name, why, of: Family| with(name, Code::BadMetricName, why, vec![of]);
    let reserved = |name, why, of: Family| with(name, Code::ReservedMetricName, why, vec![of]);
    let unit = |name, why, of: &str, unit: &str| {
        with(name, Code::BadUnit, why, vec![Family { unit: unit.into(), ..family(of, GAUGE) }])
    };
    let twice = |name, why, one, other| with(name, Code::DuplicateFamily, why, vec![one, other]);
    let help = "x".repeat(1025);
    vec![
        bad("metric_empty", "The metric has no name.", family("", GAUGE)),
        bad("metric_colon", "A metric name has a colon.", family("a:b", GAUGE)),
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
        reserved("metric_process", "The prefix is reserved.", family("process_x", GAUGE)),
        reserved(
            "metric_process_sum",
            "The sample name process_sum is reserved.",
            family("process", SUMMARY),
        ),
        reserved("metric_clients", "The name is reserved.", family("clients_connected", GAUGE)),
        unit("unit_not_in_name", "The name does not end in _bytes.", "memory", "bytes"),
        unit("unit_is_name", "The name consists of the unit only.", "bytes", "bytes"),
        unit("unit_illegal", "The unit has a slash.", "speed_m", "m/s"),
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
    let one_each = |n: u32| (0..n).map(|n| series(n, 1, &[], &[])).collect::<Vec<_>>();
    let long = |n: u32| series(n, 1, &[], &[label("abcd", "123456")]);
    vec![
        limited(
            json!({"max_families": 2}),
            reject(
                "families_3",
                Code::TooManyFamilies,
                "Three families; two are allowed.",
                schema(gauges(3), vec![]),
            ),
        ),
        limited(
            json!({"max_series": 2}),
            reject(
                "series_3",
                Code::TooManySeries,
                "Three series; two are allowed.",
                schema(gauges(3), one_each(3)),
            ),
        ),
        limited(
            json!({"max_values": 2}),
            reject(
                "values_3",
                Code::TooManyValues,
                "Three values; two are allowed.",
                schema(gauges(3), one_each(3)),
            ),
        ),
        limited(
            json!({"max_label_bytes": 19}),
            reject(
                "label_bytes_20",
                Code::LabelTooLong,
                "20 bytes of labels; 19 are allowed.",
                schema(gauges(2), vec![long(0), long(1)]),
            ),
        ),
    ]
}

fn shapes() -> Vec<Rejected> {
    let with = |name, code, why, kind, one: Series| {
        reject(name, code, why, schema(vec![family("a", kind)], vec![one]))
    };
    let width = |name, why, kind, width, parameters: &[f64]| {
        with(name, Code::BadWidth, why, kind, series(0, width, parameters, &[]))
    };
    let parameters = |name, why, kind, parameters: &[f64]| {
        let width = u32::try_from(parameters.len()).expect("few") + 2;
        with(name, Code::BadParameters, why, kind, series(0, width, parameters, &[]))
    };
    let rising = (0..257).map(f64::from).collect::<Vec<_>>();
    vec![
        with(
            "family_1_of_1",
            Code::BadFamilyIndex,
            "The schema has only family 0.",
            GAUGE,
            series(1, 1, &[], &[]),
        ),
        width("gauge_of_2", "A gauge has one value.", GAUGE, 2, &[]),
        width("gauge_of_0", "A gauge has one value.", GAUGE, 0, &[]),
        width(
            "histogram_of_3",
            "Two bounds, a count and a sum are four values.",
            HISTOGRAM,
            3,
            &[1.0, 2.0],
        ),
        width("later_kind_of_259", "No series has more than 258 values.", 200, 259, &[]),
        with(
            "gauge_with_parameters",
            Code::BadParameters,
            "A gauge has no parameters.",
            GAUGE,
            series(0, 1, &[1.0], &[]),
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

fn series_labels() -> Vec<Rejected> {
    let with = |name, code, why, all: Vec<Series>| {
        reject(name, code, why, schema(vec![family("a", GAUGE)], all))
    };
    let one = |labels: &[Label]| series(0, 1, &[], labels);
    let (x, y, none) = (label("x", "1"), label("y", "2"), label("z", ""));
    vec![
        with(
            "series_twice",
            Code::DuplicateSeries,
            "Two series have the same labels: order and empty labels do not matter.",
            vec![one(&[x.clone(), y.clone()]), one(&[y, x.clone(), none])],
        ),
        with(
            "series_label_le",
            Code::ReservedLabel,
            "le is reserved.",
            vec![one(&[label("le", "1")])],
        ),
        Rejected {
            context: json!({"agent_labels": [{"name": "x", "value": "0"}]}),
            ..with(
                "label_of_agent_and_series",
                Code::DuplicateLabel,
                "The agent has a label of the same name.",
                vec![one(&[x])],
            )
        },
    ]
}

fn values() -> Vec<Rejected> {
    let report = |name, code, why, width: usize, values: Values| {
        let report = Report { stream: 0, sequence: 1, unix_ms: 0, values };
        let context = json!({"width": width});
        Rejected { context, ..reject(name, code, why, Owned::Report(report).frame()) }
    };
    let all = |name, why, width, bytes: Vec<u8>| {
        report(name, Code::WrongValueCount, why, width, Values::All(bytes))
    };
    let changed = |name, code, why, width, bitmap: &[u8], values: &[f64]| {
        let bitmap = bitmap.to_vec();
        report(name, code, why, width, Values::Changed { bitmap, values: le(values) })
    };
    let (count, bitmap) = (Code::WrongValueCount, Code::BadBitmap);
    vec![
        all("all_too_few", "Five values; six are expected.", 6, le(&[0.0; 5])),
        all("all_too_many", "Seven values; six are expected.", 6, le(&[0.0; 7])),
        all("all_part", "47 bytes; 48 are expected.", 6, le(&[0.0; 6])[..47].to_vec()),
        all("all_part_more", "49 bytes; 48 are expected.", 6, vec![0; 49]),
        changed("changed_too_few", count, "Two bits, one value.", 6, &[0b11], &[0.0]),
        changed("changed_too_many", count, "No bit, one value.", 6, &[0], &[0.0]),
        changed("bitmap_too_short", bitmap, "Nine values need two bytes.", 9, &[0], &[]),
        changed("bitmap_too_long", bitmap, "Eight values need one byte.", 8, &[0, 0], &[]),
        changed("bitmap_empty", bitmap, "Six values need one byte.", 6, &[], &[]),
        changed("bitmap_spare", bitmap, "The seventh bit of six is set.", 6, &[0b100_0000], &[0.0]),
    ]
}
