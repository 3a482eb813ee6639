//! Properties of the rows of a table, against a set of rows as the model.

use std::collections::BTreeSet;

use fleetgauge_proto::Code;
use fleetgauge_proto::limits::MAX_LABEL_VALUE_BYTES;
use fleetgauge_proto::message::RowChange;
use fleetgauge_proto::rows::{RowEdit, TableRows};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::sample::{Index, subsequence};

use crate::context::Table;

type Row = Vec<String>;

/// A label value from a small choice, so that rows share values.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[ab]{0,2}", 1 => "[é\u{0}z]{0,2}"]
}

fn rows(labels: usize) -> impl Strategy<Value = BTreeSet<Row>> {
    btree_set(vec(value(), labels), 0..20)
}

/// A number of row labels, rows, positions to remove and rows to add. Rows to add may exist.
fn edit() -> impl Strategy<Value = (usize, BTreeSet<Row>, Vec<usize>, BTreeSet<Row>)> {
    (1..=3usize).prop_flat_map(|labels| {
        (rows(labels), rows(labels)).prop_flat_map(move |(old, added)| {
            let positions = (0..old.len()).collect::<Vec<_>>();
            let removed = subsequence(positions, 0..=old.len());
            (Just(labels), Just(old), removed, Just(added))
        })
    })
}

fn table(labels: usize, rows: &BTreeSet<Row>) -> Table {
    let values: Vec<_> = rows.iter().flatten().map(String::as_str).collect();
    Table::of(labels, &values)
}

fn change<'a>(removed: &[usize], added: impl IntoIterator<Item = &'a Row>) -> RowChange<'a> {
    let removed = removed.iter().map(|at| u32::try_from(*at).expect("few rows")).collect();
    let added = added.into_iter().flatten().map(String::as_str).collect();
    RowChange { slot: 0, table: 3, removed, added }
}

/// Applies edits to the old rows and the added ones.
fn replay(edits: &[RowEdit], old: &[Row], added: &BTreeSet<Row>) -> Vec<Row> {
    let mut added = added.iter().cloned();
    let mut rows = Vec::new();
    for edit in edits {
        match edit {
            RowEdit::Keep(range) => rows.extend_from_slice(&old[range.clone()]),
            RowEdit::Add(count) => rows.extend(added.by_ref().take(*count)),
        }
    }
    assert_eq!(added.next(), None, "an added row is in no edit");
    rows
}

/// Checks that no edit is empty and no two neighbours could be one.
fn assert_shortest(edits: &[RowEdit]) {
    for edit in edits {
        assert!(!matches!(edit, RowEdit::Add(0)), "{edits:?}");
        assert!(!matches!(edit, RowEdit::Keep(range) if range.is_empty()), "{edits:?}");
    }
    for pair in edits.windows(2) {
        let can_join = match (&pair[0], &pair[1]) {
            (RowEdit::Add(_), RowEdit::Add(_)) => true,
            (RowEdit::Keep(one), RowEdit::Keep(two)) => one.end == two.start,
            _ => false,
        };
        assert!(!can_join, "{edits:?}");
    }
}

/// Returns the error of an edit, after checking that it names the slot and the table.
fn refused(rows: &TableRows, labels: usize, change: &RowChange<'_>) -> Option<Code> {
    let violation = rows.edit(labels, change).err()?;
    let place = format!("slot {}, table {}: ", change.slot, change.table);
    assert!(violation.to_string().starts_with(&place), "{violation}");
    Some(violation.code())
}

proptest! {
    #[test]
    fn an_edit_gives_the_rows_of_the_model((labels, old, removed, added) in edit()) {
        let before: Vec<Row> = old.iter().cloned().collect();
        let kept = before.iter().enumerate().filter(|(at, _)| !removed.contains(at));
        let kept: BTreeSet<Row> = kept.map(|(_, row)| row.clone()).collect();
        let rows = table(labels, &old).rows;
        let edited = rows.edit(labels, &change(&removed, &added));
        if !kept.is_disjoint(&added) {
            let expected = "slot 0, table 3: a row to add exists; to replace it, remove it in the \
                            same change";
            prop_assert_eq!(edited.unwrap_err().to_string(), expected);
            return Ok(());
        }
        let (now, edits) = edited.expect("legal");
        let expected: BTreeSet<Row> = kept.union(&added).cloned().collect();
        let expected: Vec<Row> = expected.into_iter().collect();
        let found: Vec<Row> = now.iter(labels).map(|row| row.map(Into::into).collect()).collect();
        prop_assert_eq!(&found, &expected);
        prop_assert_eq!((now.len(), now.is_empty()), (expected.len(), expected.is_empty()));
        prop_assert_eq!(replay(&edits, &before, &added), expected);
        assert_shortest(&edits);
    }

    #[test]
    fn equal_sets_are_equal_however_they_were_made((labels, old, removed, added) in edit()) {
        if let Ok((now, _)) = table(labels, &old).rows.edit(labels, &change(&removed, &added)) {
            let values: Vec<_> = now.iter(labels).flatten().collect();
            let again = Table::of(labels, &values).rows;
            prop_assert_eq!(&again, &now);
            let label_bytes = values.iter().map(|value| value.len()).sum::<usize>();
            prop_assert_eq!(again.label_bytes(), label_bytes);
            prop_assert_eq!(again.bytes(), values.len() + label_bytes);
        }
    }

    #[test]
    fn positions_that_are_not_ascending_or_do_not_exist_are_refused(
        (labels, old, _, _) in edit(),
        removed in vec(0..25usize, 0..5),
    ) {
        let is_legal = removed.windows(2).all(|pair| pair[0] < pair[1])
            && removed.iter().all(|at| *at < old.len());
        let code = refused(&table(labels, &old).rows, labels, &change(&removed, []));
        prop_assert_eq!(code, (!is_legal).then_some(Code::BadRow));
    }

    #[test]
    fn added_rows_that_are_not_ascending_are_refused(
        labels in 1..=3usize,
        added in vec(vec(value(), 3), 0..5),
    ) {
        let added: Vec<Row> = added.into_iter().map(|row| row[..labels].to_vec()).collect();
        let is_legal = added.windows(2).all(|pair| pair[0] < pair[1]);
        let code = refused(&TableRows::default(), labels, &change(&[], &added));
        prop_assert_eq!(code, (!is_legal).then_some(Code::BadRow));
    }

    #[test]
    fn an_incomplete_row_is_refused(
        (labels, old, removed, added) in edit(),
        cut in any::<Index>(),
    ) {
        let mut change = change(&removed, &added);
        change.added.truncate(cut.index(change.added.len() + 1));
        if !change.added.len().is_multiple_of(labels) {
            let code = refused(&table(labels, &old).rows, labels, &change);
            prop_assert_eq!(code, Some(Code::BadRow));
        }
    }
}

#[test]
fn a_table_without_row_labels_has_no_rows_to_change() {
    for added in [vec![], vec!["a"]] {
        let change = RowChange { slot: 0, table: 3, removed: vec![], added };
        assert_eq!(refused(&TableRows::default(), 0, &change), Some(Code::BadRow));
    }
}

#[test]
fn a_label_value_of_1025_bytes_is_refused() {
    let value = "x".repeat(MAX_LABEL_VALUE_BYTES + 1);
    for (value, code) in [(&value[1..], None), (&value[..], Some(Code::LabelTooLong))] {
        let change = RowChange { slot: 0, table: 3, removed: vec![], added: vec![value] };
        assert_eq!(refused(&TableRows::default(), 1, &change), code);
    }
}

#[test]
fn the_length_of_a_label_value_is_not_part_of_the_label_bytes() {
    let values: Vec<_> =
        [0, 127, 128, 255, 256, MAX_LABEL_VALUE_BYTES].map(|len| "x".repeat(len)).into();
    let values: Vec<_> = values.iter().map(String::as_str).collect();
    let rows = Table::of(2, &values).rows;
    let label_bytes = values.iter().map(|value| value.len()).sum::<usize>();
    assert_eq!(rows.label_bytes(), label_bytes);
    assert_eq!(rows.bytes(), label_bytes + 2 + 4 * 2);
}

#[test]
fn a_row_that_is_removed_and_added_again_starts_anew() {
    let rows = Table::of(1, &["a", "b"]).rows;
    let change = RowChange { slot: 0, table: 0, removed: vec![1], added: vec!["b"] };
    let (now, edits) = rows.edit(1, &change).expect("legal");
    assert_eq!(now, rows);
    assert_eq!(edits, [RowEdit::Keep(0..1), RowEdit::Add(1)]);
}
