//! Attacks with the content of a catalog.

use std::io::Write;

use fleetgauge_proto::message::{Catalog, Column, Family, Label, Table};
use fleetgauge_proto::{Code, Message};

use super::{AttackedCollector, Stage};
use crate::support::agent::{Agent, identity};
use crate::support::collector::config;
use crate::support::driven::Rig;
use crate::support::frames::{
    COUNTER, GAUGE, HISTOGRAM, INFO, LATER, SUMMARY, catalog_of, disks, family, frame, gauges,
    gauges_in, labelled, report, single, table, wide,
};

impl AttackedCollector {
    /// Checks that a catalog of one table without row labels is rejected.
    fn refuses_catalog(&mut self, families: &[Family<'_>], columns: &[Column<'_>], code: Code) {
        let tables = if columns.is_empty() { vec![] } else { vec![table(&[], columns)] };
        self.refuses_tables(families, &tables, code);
    }

    /// Checks that the catalog is rejected from an agent without a catalog, and from a registered
    /// one.
    fn refuses_tables(&mut self, families: &[Family<'_>], tables: &[Table<'_>], code: Code) {
        self.refuses_slot(0, families, tables, code);
    }

    fn refuses_slot(
        &mut self,
        slot: u8,
        families: &[Family<'_>],
        tables: &[Table<'_>],
        code: Code,
    ) {
        let (families, tables) = (families.to_vec(), tables.to_vec());
        let bytes = frame(&Message::Catalog(Catalog { stream: 0, slot, families, tables }));
        self.refuses(Stage::Welcomed, &bytes, code);
        self.refuses(Stage::Reporting, &bytes, code);
    }
}

#[test]
fn invalid_metric_name_is_rejected() {
    let mut attacked = AttackedCollector::new();
    let long = "a".repeat(201);
    for name in ["", "1a", "a-b", "a b", "a{b=\"c\"}", "\u{e4}", "a\n", long.as_str()] {
        attacked.refuses_catalog(&[family(name, GAUGE)], &[], Code::BadMetricName);
    }
    for (name, kind) in
        [("a_total", COUNTER), ("a_bucket", HISTOGRAM), ("a_created", SUMMARY), ("a_info", INFO)]
    {
        attacked.refuses_catalog(&[family(name, kind)], &[], Code::BadMetricName);
    }
}

#[test]
fn reserved_metric_name_is_rejected() {
    let mut attacked = AttackedCollector::new();
    for name in ["fleetgauge_agents_connected", "clients_connected"] {
        attacked.refuses_catalog(&[family(name, GAUGE)], &[single(0)], Code::ReservedMetricName);
    }
    attacked.refuses_catalog(&[family("fleetgauge", HISTOGRAM)], &[], Code::ReservedMetricName);
}

#[test]
fn invalid_unit_is_rejected() {
    let mut attacked = AttackedCollector::new();
    for (name, unit) in [("a_bytes", "seconds"), ("bytes", "bytes"), ("a_b c", "b c")] {
        let code = if name.contains(' ') { Code::BadMetricName } else { Code::BadUnit };
        attacked.refuses_catalog(&[Family { unit, ..family(name, GAUGE) }], &[], code);
    }
}

#[test]
fn long_help_is_rejected() {
    let help = "h".repeat(1025);
    let family = Family { help: &help, ..family("a", GAUGE) };
    AttackedCollector::new().refuses_catalog(&[family], &[], Code::HelpTooLong);
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
        attacked.refuses_catalog(&pair, &[], Code::DuplicateFamily);
    }
}

#[test]
fn too_many_families_are_rejected() {
    let names: Vec<_> = (0..1001).map(|n| format!("f{n}")).collect();
    let families: Vec<_> = names.iter().map(|name| family(name, GAUGE)).collect();
    AttackedCollector::new().refuses_catalog(&families, &[], Code::TooManyFamilies);
}

#[test]
fn catalog_of_65536_families_is_rejected() {
    let names: Vec<_> = (0..65_536).map(|n| format!("f{n}")).collect();
    let families: Vec<_> = names.iter().map(|name| family(name, GAUGE)).collect();
    let columns: Vec<_> = (0..10).map(single).collect();
    AttackedCollector::new().refuses_catalog(&families, &columns, Code::TooManyFamilies);
}

#[test]
fn too_many_series_are_rejected() {
    let values: Vec<_> = (0..50_001).map(|n| n.to_string()).collect();
    let series: Vec<_> =
        values.iter().map(|value| labelled(0, std::slice::from_ref(&("n", value)))).collect();
    AttackedCollector::new().refuses_catalog(&[family("a", GAUGE)], &series, Code::TooManySeries);
}

#[test]
fn too_many_values_are_rejected() {
    let values: Vec<_> = (0..400).map(|n| n.to_string()).collect();
    let bounds: Vec<_> = (0..256).map(f64::from).collect();
    let series: Vec<_> = values
        .iter()
        .map(|value| Column { labels: vec![Label { name: "n", value }], ..wide(0, &bounds) })
        .collect();
    AttackedCollector::new().refuses_catalog(
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
    AttackedCollector::new().refuses_catalog(&[family("a", GAUGE)], &series, Code::LabelTooLong);
}

#[test]
fn family_twice_with_the_same_labels_is_rejected() {
    let mut attacked = AttackedCollector::new();
    let columns = [labelled(0, &[("x", "1")]), labelled(0, &[("x", "1")])];
    let tables = [table(&["device"], &columns)];
    attacked.refuses_tables(&[family("a", GAUGE)], &tables, Code::DuplicateSeries);
    attacked.refuses_catalog(&[family("a", GAUGE)], &[single(0), single(0)], Code::DuplicateSeries);
    let (one, other) = ([("x", "1"), ("y", "2")], [("y", "2"), ("x", "1")]);
    let series = [labelled(0, &one), labelled(0, &other)];
    attacked.refuses_catalog(&[family("a", GAUGE)], &series, Code::DuplicateSeries);
    // A label with an empty value is no label.
    let series = [single(0), labelled(0, &[("x", "")])];
    attacked.refuses_catalog(&[family("a", GAUGE)], &series, Code::DuplicateSeries);
}

#[test]
fn series_without_family_is_rejected() {
    AttackedCollector::new().refuses_catalog(
        &[family("a", GAUGE)],
        &[single(1)],
        Code::BadFamilyIndex,
    );
}

#[test]
fn wrong_width_is_rejected() {
    let mut attacked = AttackedCollector::new();
    let gauge = Column { width: 2, ..single(0) };
    attacked.refuses_catalog(&[family("a", GAUGE)], &[gauge], Code::BadWidth);
    let none = Column { width: 0, ..single(0) };
    attacked.refuses_catalog(&[family("a", GAUGE)], &[none], Code::BadWidth);
    let histogram = Column { width: 4, ..wide(0, &[1.0]) };
    attacked.refuses_catalog(&[family("a", HISTOGRAM)], &[histogram], Code::BadWidth);
    let later = Column { width: u32::MAX, ..single(0) };
    attacked.refuses_catalog(&[family("a", LATER)], &[later], Code::BadWidth);
}

#[test]
fn non_finite_or_unsorted_bounds_are_rejected() {
    let mut attacked = AttackedCollector::new();
    for bounds in
        [[1.0, f64::NAN], [1.0, f64::INFINITY], [f64::NEG_INFINITY, 1.0], [2.0, 1.0], [1.0, 1.0]]
    {
        let series = [wide(0, &bounds)];
        attacked.refuses_catalog(&[family("a", HISTOGRAM)], &series, Code::BadParameters);
    }
    for quantiles in [[0.5, 1.1], [-0.1, 0.5], [0.9, 0.5], [0.5, f64::NAN]] {
        let series = [wide(0, &quantiles)];
        attacked.refuses_catalog(&[family("a", SUMMARY)], &series, Code::BadParameters);
    }
    let series = [Column { parameters: vec![1.0], ..single(0) }];
    attacked.refuses_catalog(&[family("a", GAUGE)], &series, Code::BadParameters);
}

#[test]
fn label_name_twice_is_rejected() {
    let mut attacked = AttackedCollector::new();
    let columns = [labelled(0, &[("device", "x"), ("device", "y")])];
    attacked.refuses_catalog(&[family("a", GAUGE)], &columns, Code::DuplicateLabel);
    let columns = [labelled(0, &[("device", "x")])];
    let both = [table(&["device"], &columns)];
    attacked.refuses_tables(&[family("a", GAUGE)], &both, Code::DuplicateLabel);
    let twice = [table(&["device", "device"], &[single(0)])];
    attacked.refuses_tables(&[family("a", GAUGE)], &twice, Code::DuplicateLabel);
}

#[test]
fn invalid_row_label_is_rejected() {
    let mut attacked = AttackedCollector::new();
    for (name, code) in
        [("", Code::BadLabelName), ("a-b", Code::BadLabelName), ("agent", Code::ReservedLabel)]
    {
        let tables = [table(&[name], &[single(0)])];
        attacked.refuses_tables(&[family("a", GAUGE)], &tables, code);
    }
    let names: Vec<_> = (0..33).map(|n| format!("l{n}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let tables = [table(&names, &[single(0)])];
    attacked.refuses_tables(&[family("a", GAUGE)], &tables, Code::TooManyLabels);
}

#[test]
fn invalid_table_is_rejected() {
    let mut attacked = AttackedCollector::new();
    let families = [family("a", GAUGE)];
    attacked.refuses_tables(&families, &[table(&["x"], &[])], Code::BadTable);
    attacked.refuses_tables(&families, &[], Code::BadTable);
    let digits = Column { decimals: 10, ..single(0) };
    attacked.refuses_tables(&families, &[table(&[], &[digits])], Code::BadTable);
}

#[test]
fn columns_whose_series_can_be_equal_are_rejected() {
    let tables = [table(&["x"], &[single(0)]), table(&["y"], &[single(0)])];
    let families = [family("a", GAUGE)];
    AttackedCollector::new().refuses_tables(&families, &tables, Code::DuplicateSeries);
}

#[test]
fn slot_out_of_range_is_rejected() {
    let mut attacked = AttackedCollector::new();
    for slot in [16, 255] {
        let tables = [table(&[], &[single(0)])];
        attacked.refuses_slot(slot, &[family("a", GAUGE)], &tables, Code::BadSlot);
    }
}

#[test]
fn catalogs_with_the_same_family_are_rejected() {
    AttackedCollector::new().refuses_after(Stage::Reporting, Code::DuplicateFamily, |attacker| {
        attacker.send(&gauges_in(1, &["three", "two"]).bytes);
    });
}

#[test]
fn catalogs_with_too_many_values_together_are_rejected() {
    let bounds: Vec<_> = (0..256).map(f64::from).collect();
    let values: Vec<_> = (0..130).map(|n| n.to_string()).collect();
    let columns = values
        .iter()
        .map(|value| Column { labels: vec![Label { name: "n", value }], ..wide(0, &bounds) });
    let columns: Vec<_> = columns.collect();
    AttackedCollector::new().refuses_after(Stage::Reporting, Code::TooManyValues, |attacker| {
        for (slot, name) in (0..3).zip(["x", "y", "z"]) {
            let (families, tables) = (vec![family(name, HISTOGRAM)], vec![table(&[], &columns)]);
            let catalog = Catalog { stream: 0, slot, families, tables };
            attacker.send(&frame(&Message::Catalog(catalog)));
        }
    });
}

/// The agent's label is renamed, so that a peer's catalog cannot keep another agent from reporting.
#[test]
fn label_of_a_known_catalog_and_the_agent_is_renamed() {
    let mut attacked = AttackedCollector::new();
    let columns = [labelled(0, &[("dc", "of the series")])];
    let catalog = catalog_of(&[family("speed", GAUGE)], &columns);
    let _known = Agent::join(attacked.collector.agents, &identity("known"), &catalog, &[1.0]);
    let collector = attacked.collector.agents;
    let _renamed = Agent::join(collector, &super::attacker(), &catalog, &[2.0]);
    let page = attacked.collector.page();
    let renamed = "speed{agent=\"attacker\",agent_dc=\"ams\",dc=\"of the series\"}";
    assert_eq!(page.value(renamed), Some(2.0), "{}", page.0);
    attacked.neighbour.report(&[7.0]);
    assert_eq!(attacked.collector.page().samples().count(), 3);
}

#[test]
fn known_catalogs_in_hello_that_do_not_fit_together_are_rejected() {
    let mut attacked = AttackedCollector::new();
    let catalog = disks();
    let known = Agent::join(attacked.collector.agents, &identity("known"), &catalog, &[1.0]);
    drop(known);
    crate::support::eventually("it has left", || !attacked.collector.page().shows("known"));
    let mut hello = crate::support::frames::hello("attacker", 66, catalog.fingerprint);
    hello.catalogs.push(catalog.fingerprint);
    let bytes = frame(&Message::Hello(hello));
    attacked.refuses(Stage::Connected, &bytes, Code::DuplicateFamily);
}

#[test]
fn label_value_of_a_megabyte_is_rejected() {
    let mut attacked = AttackedCollector::new();
    let long = "x".repeat(1_000_000);
    let columns = [labelled(0, &[("x", &long)])];
    attacked.refuses_catalog(&[family("a", GAUGE)], &columns, Code::LabelTooLong);
}

#[test]
fn flood_of_catalogs_that_replace_each_other_is_rejected() {
    let mut attacked = AttackedCollector::new();
    attacked.refuses_after(Stage::Reporting, Code::TooManyReports, |attacker| {
        for number in 0..1_000 {
            // A rejected agent continues to send until the connection ends.
            let catalog = gauges(&[&format!("g{number}")]);
            if attacker.stream.write_all(&catalog.bytes).is_err() {
                break;
            }
        }
    });
    // The burst of twenty, and those of the attacker and its neighbour.
    assert!(attacked.held().catalogs <= 23.0, "{:?}", attacked.held());
}

/// An agent that keeps to the rate limit may replace its catalog for ever.
#[test]
fn catalogs_replaced_without_end_evict_only_unused_ones() {
    let mut config = config();
    config.bounds.catalogs.catalogs = 5;
    let mut rig = Rig::new(config);
    let mut neighbour = rig.connect();
    neighbour.receives(&rig, &identity("neighbour").hello(&gauges(&["peace"])));
    neighbour.receives(&rig, &gauges(&["peace"]).bytes);
    neighbour.receives(&rig, &report(1, &[1.0]));
    let mut attacker = rig.connect();
    attacker.receives(&rig, &identity("attacker").hello(&gauges(&["g0"])));
    let mut held = Vec::new();
    for number in 0..1_000 {
        // Names of equal length, so that the catalogs have equal sizes.
        attacker.receives(&rig, &gauges(&[&format!("g{number:03}")]).bytes);
        attacker.receives(&rig, &report(number, &[2.0]));
        neighbour.receives(&rig, &report(2 + number, &[1.0]));
        assert_eq!((attacker.close_reason(), neighbour.close_reason()), (None, None));
        let registry = &rig.collector.registry;
        assert!(registry.catalogs().len() <= 5);
        held.push(registry.budget().taken());
        let page = rig.page();
        assert_eq!(page.samples().count(), 2);
        assert_eq!(page.value("peace{agent=\"neighbour\"}"), Some(1.0));
        assert_eq!(page.value(&format!("g{number:03}{{agent=\"attacker\"}}")), Some(2.0));
        rig.now += 30_000;
    }
    assert_eq!(held[10..].iter().max(), held[10..].iter().min(), "memory does not grow");
}

#[test]
fn invalid_series_label_is_rejected() {
    let mut attacked = AttackedCollector::new();
    for (name, code) in [
        ("a-b", Code::BadLabelName),
        ("agent", Code::ReservedLabel),
        ("client_no", Code::ReservedLabel),
        ("__a", Code::ReservedLabel),
    ] {
        let series = [labelled(0, &[(name, "x")])];
        attacked.refuses_catalog(&[family("a", GAUGE)], &series, code);
    }
}

/// Its buckets would have the label twice.
#[test]
fn agent_that_uses_label_le_on_a_histogram_is_rejected() {
    agent_that_uses_label_is_rejected("le", HISTOGRAM);
}

#[test]
fn agent_that_uses_label_quantile_on_a_summary_is_rejected() {
    agent_that_uses_label_is_rejected("quantile", SUMMARY);
}

/// Checks that a label is rejected on a column of this kind, and on the rows of a table that has
/// such a column.
fn agent_that_uses_label_is_rejected(label: &str, kind: u8) {
    let mut attacked = AttackedCollector::new();
    let families = [family("a", GAUGE), family("b", kind)];
    for value in ["", "1"] {
        let wide = Column { labels: vec![Label { name: label, value }], ..wide(1, &[0.5]) };
        attacked.refuses_catalog(&families, &[single(0), wide], Code::ReservedLabel);
    }
    let tables = [table(&["x", label], &[single(0), wide(1, &[0.5])])];
    attacked.refuses_tables(&families, &tables, Code::ReservedLabel);
}
