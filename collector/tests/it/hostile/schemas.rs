//! Attacks with the content of a schema.

use fleetgauge_proto::message::{Family, Label, Schema, Series};
use fleetgauge_proto::{Code, Message};

use super::{AttackedCollector, Stage};
use crate::support::frames::{
    COUNTER, GAUGE, HISTOGRAM, INFO, LATER, SUMMARY, family, frame, labelled, single, wide,
};

impl AttackedCollector {
    /// Checks that the schema is rejected from an agent without a schema, and from a registered
    /// one.
    fn refuses_schema(&mut self, families: &[Family<'_>], series: &[Series<'_>], code: Code) {
        let schema = Schema { stream: 0, families: families.to_vec(), series: series.to_vec() };
        let bytes = frame(&Message::Schema(schema));
        self.refuses(Stage::Welcomed, &bytes, code);
        self.refuses(Stage::Reporting, &bytes, code);
    }
}

#[test]
fn invalid_metric_name_is_rejected() {
    let mut attacked = AttackedCollector::new();
    let long = "a".repeat(201);
    for name in ["", "1a", "a-b", "a:b", "a b", "a{b=\"c\"}", "\u{e4}", "a\n", long.as_str()] {
        attacked.refuses_schema(&[family(name, GAUGE)], &[], Code::BadMetricName);
    }
    for (name, kind) in
        [("a_total", COUNTER), ("a_bucket", HISTOGRAM), ("a_created", SUMMARY), ("a_info", INFO)]
    {
        attacked.refuses_schema(&[family(name, kind)], &[], Code::BadMetricName);
    }
}

#[test]
fn reserved_metric_name_is_rejected() {
    let mut attacked = AttackedCollector::new();
    for name in ["fleetgauge_agents_connected", "process_cpu_seconds", "clients_connected"] {
        attacked.refuses_schema(&[family(name, GAUGE)], &[single(0)], Code::ReservedMetricName);
    }
    attacked.refuses_schema(&[family("process", HISTOGRAM)], &[], Code::ReservedMetricName);
}

#[test]
fn invalid_unit_is_rejected() {
    let mut attacked = AttackedCollector::new();
    for (name, unit) in [("a_bytes", "seconds"), ("bytes", "bytes"), ("a_b c", "b c")] {
        let code = if name.contains(' ') { Code::BadMetricName } else { Code::BadUnit };
        attacked.refuses_schema(&[Family { unit, ..family(name, GAUGE) }], &[], code);
    }
}

#[test]
fn long_help_is_rejected() {
    let help = "h".repeat(1025);
    let family = Family { help: &help, ..family("a", GAUGE) };
    AttackedCollector::new().refuses_schema(&[family], &[], Code::HelpTooLong);
}

#[test]
fn duplicate_family_is_rejected() {
    let mut attacked = AttackedCollector::new();
    for pair in [
        [family("a", GAUGE), family("a", GAUGE)],
        [family("a", COUNTER), family("a_total", GAUGE)],
        [family("a_count", GAUGE), family("a", HISTOGRAM)],
        [family("a", HISTOGRAM), family("a", GAUGE)],
    ] {
        attacked.refuses_schema(&pair, &[], Code::DuplicateFamily);
    }
}

#[test]
fn too_many_families_are_rejected() {
    let names: Vec<_> = (0..1001).map(|n| format!("f{n}")).collect();
    let families: Vec<_> = names.iter().map(|name| family(name, GAUGE)).collect();
    AttackedCollector::new().refuses_schema(&families, &[], Code::TooManyFamilies);
}

#[test]
fn too_many_series_are_rejected() {
    let values: Vec<_> = (0..10_001).map(|n| n.to_string()).collect();
    let series: Vec<_> =
        values.iter().map(|value| labelled(0, std::slice::from_ref(&("n", value)))).collect();
    AttackedCollector::new().refuses_schema(&[family("a", GAUGE)], &series, Code::TooManySeries);
}

#[test]
fn too_many_values_are_rejected() {
    let values: Vec<_> = (0..200).map(|n| n.to_string()).collect();
    let bounds: Vec<_> = (0..256).map(f64::from).collect();
    let series: Vec<_> = values
        .iter()
        .map(|value| Series { labels: vec![Label { name: "n", value }], ..wide(0, &bounds) })
        .collect();
    AttackedCollector::new().refuses_schema(
        &[family("a", HISTOGRAM)],
        &series,
        Code::TooManyValues,
    );
}

#[test]
fn too_many_label_bytes_are_rejected() {
    let values: Vec<_> = (0..520).map(|n| format!("{n:01020}")).collect();
    let series: Vec<_> =
        values.iter().map(|value| labelled(0, std::slice::from_ref(&("n", value)))).collect();
    AttackedCollector::new().refuses_schema(&[family("a", GAUGE)], &series, Code::LabelTooLong);
}

#[test]
fn duplicate_series_are_rejected() {
    let mut attacked = AttackedCollector::new();
    attacked.refuses_schema(&[family("a", GAUGE)], &[single(0), single(0)], Code::DuplicateSeries);
    let (one, other) = ([("x", "1"), ("y", "2")], [("y", "2"), ("x", "1")]);
    let series = [labelled(0, &one), labelled(0, &other)];
    attacked.refuses_schema(&[family("a", GAUGE)], &series, Code::DuplicateSeries);
    // A label with an empty value is no label.
    let series = [single(0), labelled(0, &[("x", "")])];
    attacked.refuses_schema(&[family("a", GAUGE)], &series, Code::DuplicateSeries);
}

#[test]
fn series_without_family_is_rejected() {
    AttackedCollector::new().refuses_schema(
        &[family("a", GAUGE)],
        &[single(1)],
        Code::BadFamilyIndex,
    );
}

#[test]
fn wrong_width_is_rejected() {
    let mut attacked = AttackedCollector::new();
    let gauge = Series { width: 2, ..single(0) };
    attacked.refuses_schema(&[family("a", GAUGE)], &[gauge], Code::BadWidth);
    let none = Series { width: 0, ..single(0) };
    attacked.refuses_schema(&[family("a", GAUGE)], &[none], Code::BadWidth);
    let histogram = Series { width: 4, ..wide(0, &[1.0]) };
    attacked.refuses_schema(&[family("a", HISTOGRAM)], &[histogram], Code::BadWidth);
    let later = Series { width: u32::MAX, ..single(0) };
    attacked.refuses_schema(&[family("a", LATER)], &[later], Code::BadWidth);
}

#[test]
fn non_finite_or_unsorted_bounds_are_rejected() {
    let mut attacked = AttackedCollector::new();
    for bounds in
        [[1.0, f64::NAN], [1.0, f64::INFINITY], [f64::NEG_INFINITY, 1.0], [2.0, 1.0], [1.0, 1.0]]
    {
        let series = [wide(0, &bounds)];
        attacked.refuses_schema(&[family("a", HISTOGRAM)], &series, Code::BadParameters);
    }
    for quantiles in [[0.5, 1.1], [-0.1, 0.5], [0.9, 0.5], [0.5, f64::NAN]] {
        let series = [wide(0, &quantiles)];
        attacked.refuses_schema(&[family("a", SUMMARY)], &series, Code::BadParameters);
    }
    let series = [Series { parameters: vec![1.0], ..single(0) }];
    attacked.refuses_schema(&[family("a", GAUGE)], &series, Code::BadParameters);
}

#[test]
fn series_label_that_the_agent_has_is_rejected() {
    let series = [labelled(0, &[("dc", "of the series")])];
    AttackedCollector::new().refuses_schema(&[family("a", GAUGE)], &series, Code::DuplicateLabel);
}

#[test]
fn agent_label_of_a_known_series_is_rejected() {
    let mut attacked = AttackedCollector::new();
    let series = [labelled(0, &[("dc", "of the series")])];
    let schema = crate::support::frames::schema_of(&[family("peace", GAUGE)], &series);
    attacked.neighbour.send(&schema.bytes);
    attacked.neighbour.report(&[1.0]);
    let hello = super::attacker().hello(&schema);
    let mut attacker = attacked.attacker(Stage::Connected);
    attacker.send(&hello);
    attacker.expect_reject(Code::DuplicateLabel);
    assert_eq!(attacked.collector.page().samples().count(), 1);
}

#[test]
fn invalid_series_label_is_rejected() {
    let mut attacked = AttackedCollector::new();
    for (name, code) in
        [("a-b", Code::BadLabelName), ("le", Code::ReservedLabel), ("__a", Code::ReservedLabel)]
    {
        let series = [labelled(0, &[(name, "x")])];
        attacked.refuses_schema(&[family("a", GAUGE)], &series, code);
    }
}
