//! Tests of the profile `node`.

use std::sync::Arc;

use fleetgauge_proto::message::{Label, RowChange};

use super::super::clock::DemoTime;
use super::super::roster::Roster;
use super::*;

const ROSTER: Roster = Roster { count: 10 };

/// Returns the rows of a table with these labels.
fn rows(labels: usize, added: &[&str]) -> Arc<TableRows> {
    let change = RowChange { slot: 0, table: 0, removed: Vec::new(), added: added.to_vec() };
    Arc::new(TableRows::default().edit(labels, &change).unwrap().0)
}

fn source_of(name: &str, kind: FamilyKind, labels: Vec<Label<'_>>) -> Source {
    let family = Family { name, kind: kind as u8, unit: "", help: "" };
    let column = Column { family: 0, width: 1, decimals: 0, parameters: Vec::new(), labels };
    let table = TemplateTable::new(vec!["device", "mountpoint"], &rows(2, &["sda1", "/"]));
    source(&family, &column, &table, 0)
}

#[test]
fn values_that_tell_the_state_of_a_host_are_its_own() {
    let gauge = |name| source_of(name, FamilyKind::Gauge, Vec::new());
    assert_eq!(gauge("host_cpu_usage_ratio"), Source::Basic(0));
    assert_eq!(gauge("node_filesystem_avail_bytes"), Source::DiskAvailable);
    assert_eq!(gauge("node_entropy_available_bits"), Source::ThisHost);
    let mode = |value| vec![Label { name: "mode", value }];
    let cpu = |value| source_of("node_cpu_seconds", FamilyKind::Counter, mode(value));
    assert_eq!((cpu("idle"), cpu("steal")), (Source::IdleSeconds, Source::ThisHost));
}

#[test]
fn only_the_name_of_the_host_is_replaced_in_rows() {
    let table = TemplateTable::new(vec!["machine", HOST_NAME], &rows(2, &["x86_64", "laptop"]));
    assert_eq!(table.texts_of("web-01.demo"), ["x86_64", "web-01.demo"]);
}

#[tokio::test]
async fn reports_have_a_value_for_every_series_and_counters_rise() {
    let template = NodeTemplate::read().await;
    let (mut host, mut values) = (SimHost::new(0, ROSTER, 7), template.start(7));
    let mut before: Vec<f64> = Vec::new();
    for report in 0..50 {
        host.advance(DemoTime::after(DEMO_INTERVAL * report));
        let mut out = ReportValues::default();
        template.write_rows("web-01.demo", report == 0, &mut out);
        template.write_values(&host, &mut values, &mut out);
        assert_eq!(out.values.len(), template.cells.len());
        assert_eq!(out.changed.is_empty(), report > 0 || template.tables.len() == 1);
        for ((cell, old), new) in template.cells.iter().zip(&before).zip(&out.values) {
            let rises = matches!(
                cell.source,
                Source::Counter { .. } | Source::BusySeconds(_) | Source::IdleSeconds
            );
            assert!(!rises || new >= old, "{cell:?} {old} {new}");
        }
        before = out.values;
    }
}
