use std::sync::Arc;

use fleetgauge_proto::message::{self, Table};
use fleetgauge_proto::report::ABSENT;

use super::*;
use crate::remote_write::encode::tests::fixture::{
    Agent, Rows, TIME, catalog, column, decoded, family, gauges,
};
use crate::remote_write::{Encoder, Points, Rules};

/// Returns the series that end when the first agent becomes the second one.
fn ended(old: &Agent, new: &Agent) -> Vec<String> {
    let (before, now) = (old.present(), new.present());
    let vanished = vanished(&old.labels, old.layout(), &before, new.layout(), &now);
    let Some(vanished) = vanished else { return vec![] };
    let mut out = Vec::new();
    let cells = 0..old.layout().cells() + 1;
    let mut encoder = Encoder::new(Arc::<Rules>::default());
    let markers = Points::markers(&vanished, TIME);
    let written = encoder.series(&old.labels, old.layout(), &[markers], cells, &mut out).total();
    let series: Vec<_> = decoded(&out).into_iter().map(|(labels, _)| labels).collect();
    assert_eq!(series.len(), written);
    series
}

/// Returns another state of an agent.
fn then(
    old: &Agent,
    catalogs: &[message::Catalog<'static>],
    rows: &[Rows],
    values: &[f64],
) -> Agent {
    Agent::in_registry(&old.registry, old.labels.clone(), catalogs, rows, values)
}

fn disks(label: &'static str) -> message::Catalog<'static> {
    let columns = vec![column(0, 1, &[]), column(1, 1, &[])];
    let tables = vec![Table { row_labels: vec![label], columns }];
    catalog(0, &[family("reads", 1), family("writes", 1)], tables)
}

#[test]
fn absent_values_and_removed_rows_end_series() {
    let catalogs = [disks("device")];
    let old = Agent::new(&[], &catalogs, &[(0, 0, vec!["a", "b", "d"])], &[1.0]);
    let same = then(&old, &catalogs, &[(0, 0, vec!["a", "b", "d"])], &[1.0, ABSENT]);
    let writes = |device| format!(r#"__name__="writes",agent="web-1",device="{device}""#);
    assert_eq!(ended(&old, &same), ["a", "b", "d"].map(writes));
    assert_eq!(ended(&same, &old), [""; 0]);
    let moved = [1.0, 1.0, 1.0, ABSENT, 1.0, 1.0, 1.0, 1.0];
    let other = then(&old, &catalogs, &[(0, 0, vec!["0", "b", "c", "d"])], &moved);
    let reads = r#"__name__="reads",agent="web-1",device="a""#.to_owned();
    assert_eq!(ended(&old, &other), [reads, writes("a"), writes("b")]);
    assert_eq!(ended(&old, &then(&old, &catalogs, &[], &[])).len(), 6);
}

#[test]
fn catalogs_are_compared_in_any_slots() {
    let old = Agent::new(&[], &[gauges(0, &["a", "b"]), gauges(1, &["c"])], &[], &[1.0]);
    let swapped =
        then(&old, &[gauges(0, &["c"]), gauges(1, &["a", "b"])], &[], &[1.0, 2.0, ABSENT]);
    // A catalog is identified by its frame without the slot, or else by its series.
    assert_eq!(ended(&old, &swapped), [r#"__name__="b",agent="web-1""#]);
}

#[test]
fn series_continue_in_a_catalog_that_replaces_theirs() {
    let old = Agent::new(&[], &[gauges(0, &["a", "b", "c", "d"])], &[], &[1.0, 1.0, 1.0, ABSENT]);
    let new = then(&old, &[gauges(0, &["new", "a", "b"])], &[], &[1.0, 1.0, ABSENT]);
    let expected = ["b", "c"].map(|name| format!(r#"__name__="{name}",agent="web-1""#));
    assert_eq!(ended(&old, &new), expected);
}

#[test]
fn series_of_another_kind_or_label_end() {
    let kind = |kind| {
        let tables = vec![Table { row_labels: vec![], columns: vec![column(0, kind, &[])] }];
        catalog(0, &[family("a", kind)], tables)
    };
    let old = Agent::new(&[], &[kind(1)], &[], &[1.0]);
    assert_eq!(ended(&old, &then(&old, &[kind(2)], &[], &[1.0])).len(), 1);
    let rows = [(0, 0, vec!["x"])];
    let old = Agent::new(&[], &[disks("device")], &rows, &[1.0]);
    assert_eq!(ended(&old, &then(&old, &[disks("disk")], &rows, &[1.0])).len(), 2);
}

#[test]
fn series_whose_static_label_gets_another_name_ends() {
    let labels = |own: &[&[(&'static str, &'static str)]]| {
        let columns = own.iter().map(|labels| column(0, 1, labels)).collect();
        catalog(0, &[family("a", 1)], vec![Table { row_labels: vec![], columns }])
    };
    // In the second catalog `agent_dc` is taken, so `dc` becomes `agent_agent_dc`.
    let first = labels(&[&[("dc", "1")]]);
    let second = labels(&[&[("dc", "1")], &[("agent_dc", "1"), ("x", "1")]]);
    let statics = [("dc", "fra")];
    let old = Agent::new(&statics, std::slice::from_ref(&first), &[], &[1.0]);
    assert_eq!(ended(&old, &then(&old, &[second], &[], &[1.0])).len(), 1);
    assert_eq!(ended(&old, &then(&old, &[first], &[], &[1.0])), [""; 0]);
}
