//! The rule that no two columns of a family can have equal series, against a search for rows with
//! equal series.

use std::collections::{BTreeMap, HashSet};

use fleetgauge_proto::message::{Catalog as Message, Column, Family, Label, Table};
use fleetgauge_proto::{Catalog, Code, Limits};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use proptest::sample::select;

const NAMES: [&str; 3] = ["a", "b", "c"];

/// Label names and values without empty ones.
type Labels = BTreeMap<&'static str, &'static str>;

/// Row labels of a table, and the labels of its columns.
type Columns = (Vec<&'static str>, Vec<Labels>);

/// Tables of at most eight columns, the number of shapes that a family can have.
fn tables() -> impl Strategy<Value = Vec<Columns>> {
    let row_labels = btree_set(select(NAMES.to_vec()), 0..=2);
    let labels = btree_map(select(NAMES.to_vec()), select(vec!["1", "2"]), 0..=3);
    let row_labels = row_labels.prop_map(Vec::from_iter).prop_shuffle();
    let table = (row_labels, vec(labels, 1..=2)).prop_map(|(row_labels, mut columns)| {
        for labels in &mut columns {
            labels.retain(|name, _| !row_labels.contains(name));
        }
        (row_labels, columns)
    });
    vec(table, 1..=4)
}

fn is_accepted(tables: &[Columns]) -> bool {
    let label = |(name, value): (&&'static str, &&'static str)| Label { name, value };
    let column = |labels: &Labels| Column {
        family: 0,
        width: 1,
        decimals: 0,
        parameters: vec![],
        labels: labels.iter().map(label).collect(),
    };
    let table = |(row_labels, columns): &Columns| Table {
        row_labels: row_labels.clone(),
        columns: columns.iter().map(column).collect(),
    };
    let families = vec![Family { name: "m", kind: 1, unit: "", help: "" }];
    let tables = tables.iter().map(table).collect();
    let message = Message { stream: 0, slot: 0, families, tables };
    let checked = Catalog::try_new(&message, &Limits::default());
    if let Err(violation) = &checked {
        assert_eq!(violation.code(), Code::DuplicateSeries, "{message:?}");
    }
    checked.is_ok()
}

/// Returns the labels of a column's series if each of its row labels can be empty, `1` or `2`.
fn with_any_values(column: &Labels, names: &[&'static str]) -> Vec<Labels> {
    let mut all = vec![column.clone()];
    for name in names {
        let with = |value| {
            move |mut labels: Labels| {
                labels.insert(*name, value);
                labels
            }
        };
        let one = all.clone().into_iter().map(with("1"));
        let two = all.clone().into_iter().map(with("2"));
        all = all.iter().cloned().chain(one).chain(two).collect();
    }
    all
}

/// Returns whether two columns have a series in common.
fn can_collide(tables: &[Columns]) -> bool {
    let mut seen = HashSet::new();
    let columns = tables.iter().flat_map(|(row_labels, columns)| {
        columns.iter().map(move |labels| with_any_values(labels, row_labels))
    });
    columns.flatten().any(|series| !seen.insert(series))
}

/// Like [`can_collide`], but ignores the values of column labels unless both columns have the same
/// label names.
fn can_collide_by_name(tables: &[Columns]) -> bool {
    let columns = tables.iter().flat_map(|(row_labels, columns)| {
        let mut sorted = row_labels.clone();
        sorted.sort_unstable();
        columns.iter().map(move |labels| (sorted.clone(), labels))
    });
    let columns: Vec<_> = columns.collect();
    let same_value = |labels: &Labels| labels.keys().map(|name| (*name, "1")).collect::<Labels>();
    columns.iter().enumerate().any(|(at, (row_labels, labels))| {
        columns[..at].iter().any(|(other_row_labels, other)| {
            let is_same_shape = row_labels == other_row_labels && labels.keys().eq(other.keys());
            let pair = if is_same_shape {
                [(row_labels, (*labels).clone()), (other_row_labels, (*other).clone())]
            } else {
                [(row_labels, same_value(labels)), (other_row_labels, same_value(other))]
            };
            can_collide(&pair.map(|(row_labels, labels)| (row_labels.clone(), vec![labels])))
        })
    })
}

proptest! {
    #[test]
    fn accepted_columns_have_no_series_in_common(tables in tables()) {
        prop_assert!(!(is_accepted(&tables) && can_collide(&tables)));
    }

    #[test]
    fn rejected_columns_have_a_series_in_common_but_for_their_label_values(tables in tables()) {
        prop_assert_eq!(is_accepted(&tables), !can_collide_by_name(&tables));
    }
}
