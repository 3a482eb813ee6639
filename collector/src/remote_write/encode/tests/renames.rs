//! Rules for metrics and labels.

use std::collections::BTreeMap;

use super::*;

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(old, new)| ((*old).to_owned(), (*new).to_owned())).collect()
}

fn list(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn metrics_are_kept_and_dropped_by_sample_name() {
    let agent = small_agent();
    let names = |keep: &[&str], drop: &[&str]| {
        let rules = rules(|rules| {
            (rules.keep_metrics, rules.drop_metrics) = (list(keep), list(drop));
        });
        let name = |labels: String| labels.split('"').nth(1).map(str::to_owned);
        agent.names(&rules).into_iter().filter_map(name).collect::<Vec<_>>()
    };
    assert_eq!(names(&["load"], &[]), ["load"]);
    assert_eq!(names(&["disk_bytes"], &[]), [""; 0]);
    assert_eq!(names(&["disk_bytes_*"], &[]), ["disk_bytes_total"]);
    assert_eq!(names(&["*"], &["*_bucket", "load"]).len(), 3);
    assert_eq!(names(&["wait_*"], &["*_bucket"]), ["wait_seconds_count", "wait_seconds_sum"]);
    assert_eq!(names(&[], &["*"]), [""; 0]);
}

#[test]
fn agent_up_is_kept_whatever_metrics_are_kept() {
    let rules = rules(|rules| (rules.agent_up, rules.keep_metrics) = (true, list(&["load"])));
    assert_eq!(small_agent().names(&rules).len(), 2);
}

#[test]
fn external_labels_are_added_unless_the_series_has_them() {
    let tables =
        vec![Table { row_labels: vec!["x"], columns: vec![column(0, 1, &[("mode", "m")])] }];
    let rows = [(0, 0, vec!["", "1"])];
    let agent =
        Agent::new(&[("dc", "d")], &[catalog(0, &[family("load", 1)], tables)], &rows, &[1.0]);
    let external = pairs(&[("dc", "e"), ("mode", "e"), ("x", "e"), ("region", "eu")]);
    let expected = [
        r#"__name__="load",agent="web-1",dc="d",mode="m",region="eu",x="e""#,
        r#"__name__="load",agent="web-1",dc="d",mode="m",region="eu",x="1""#,
    ];
    assert_eq!(agent.names(&rules(|rules| rules.external_labels = external)), expected);
}

#[test]
fn labels_are_dropped_and_renamed() {
    let agent = small_agent();
    let rules = rules(|rules| {
        rules.drop_labels = list(&["mo*"]);
        rules.rename_labels = pairs(&[("device", "Device"), ("dc", "zone"), ("le", "zz")]);
    });
    let names = agent.names(&rules);
    assert_eq!(names[0], r#"__name__="load",agent="web-1",zone="fra""#);
    assert_eq!(names[1], r#"__name__="wait_seconds_bucket",agent="web-1",zone="fra",zz="-1""#);
    let last = r#"Device="sda",__name__="disk_bytes_total",agent="web-1",zone="fra""#;
    assert_eq!(names[7], last);
}

#[test]
fn label_is_not_renamed_to_a_name_in_use() {
    let columns = vec![column(0, 1, &[("a", "1")]), column(0, 1, &[("a", "2"), ("b", "1")])];
    let tables = vec![Table { row_labels: vec![], columns }];
    let agent = Agent::new(&[("c", "1")], &[catalog(0, &[family("load", 1)], tables)], &[], &[1.0]);
    let renamed = |new: &str, drop: &[&str]| {
        let rules = rules(|rules| {
            (rules.rename_labels, rules.drop_labels) = (pairs(&[("a", new)]), list(drop));
        });
        agent.names(&rules).remove(0)
    };
    let unchanged = r#"__name__="load",a="1",agent="web-1",c="1""#;
    assert_eq!(renamed("b", &[]), unchanged);
    assert_eq!(renamed("c", &[]), unchanged);
    assert_eq!(renamed("b", &["b"]), r#"__name__="load",agent="web-1",b="1",c="1""#);
    assert_eq!(renamed("d", &[]), r#"__name__="load",agent="web-1",c="1",d="1""#);
}

#[test]
fn metric_is_not_renamed_to_a_name_in_use_in_any_catalog() {
    let both = [gauges(0, &["a", "x"]), gauges(1, &["b"])];
    let one = [gauges(0, &["a", "x"])];
    let names = |catalogs: &[_], drop: &[&str]| {
        let rules = rules(|rules| {
            (rules.rename_metrics, rules.drop_metrics) = (pairs(&[("a", "b")]), list(drop));
        });
        let names = Agent::new(&[], catalogs, &[], &[1.0]).names(&rules);
        names.iter().map(|labels| labels.split('"').nth(1).unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&one, &[]), ["b", "x"]);
    assert_eq!(names(&both, &[]), ["a", "x", "b"]);
    assert_eq!(names(&[gauges(0, &["b"]), gauges(1, &["a", "x"])], &[]), ["b", "a", "x"]);
    assert_eq!(names(&both, &["b"]), ["b", "x"]);
}

#[test]
fn agent_up_is_not_renamed_to_a_metric_of_the_agent() {
    let rules = rules(|rules| {
        rules.agent_up = true;
        rules.rename_metrics = pairs(&[("fleetgauge_agent_up", "load")]);
    });
    assert!(small_agent().names(&rules).last().unwrap().contains("fleetgauge_agent_up"));
    let other = Agent::new(&[], &[gauges(0, &["other"])], &[], &[1.0]);
    assert!(other.names(&rules).last().unwrap().contains("\"load\""));
}
