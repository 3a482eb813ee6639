//! The rule that no two columns of a family can have equal series, whatever rows there will be.
//!
//! Two columns with the same row labels and the same label names need different label values.
//! Of any other two, one must have a column label whose name is neither a column label nor a row
//! label of the other. The second rule compares names only, so it also rejects some columns that
//! cannot have equal series: those whose shared labels have different values.

use std::collections::HashSet;

use super::{Family, Table};
use crate::labels::StaticLabels;
use crate::violation::Violation;

/// Maximum number of different [`LabelNames`] of a family, so that comparing each pair of them
/// takes time linear in the number of columns.
const MAX_NAME_SETS: usize = 8;

/// The label names of a column's series.
#[derive(Clone, Copy)]
struct LabelNames<'a> {
    /// Names of the row labels, sorted.
    row_labels: &'a [&'a str],
    /// The labels of the column; only their names matter.
    own: &'a StaticLabels,
}

impl LabelNames<'_> {
    fn is_same(&self, other: &Self) -> bool {
        #[cfg(test)]
        tests::count_comparison();
        let names = |label_names: &Self| label_names.own.iter().map(|(name, _)| name);
        self.row_labels == other.row_labels && names(self).eq(names(other))
    }

    /// Returns whether one of them always has a label that the other never has.
    fn is_distinct_from(&self, other: &Self) -> bool {
        #[cfg(test)]
        tests::count_comparison();
        self.has_label_beyond(other) || other.has_label_beyond(self)
    }

    fn has_label_beyond(&self, other: &Self) -> bool {
        let lacks = |name| !other.own.contains(name) && !other.row_labels.contains(&name);
        self.own.iter().any(|(name, _)| lacks(name))
    }
}

/// Checks all columns of a catalog.
pub(super) fn check(families: &[Family], tables: &[Table]) -> Result<(), Violation> {
    let row_labels: Vec<Vec<&str>> = tables.iter().map(sorted_row_labels).collect();
    let mut name_sets: Vec<Vec<LabelNames<'_>>> = vec![Vec::new(); families.len()];
    // Columns with equal labels are not distinct whatever their label names.
    let mut seen = HashSet::new();
    for (table, row_labels) in tables.iter().zip(&row_labels) {
        for column in &table.columns {
            let known = &mut name_sets[column.family];
            let label_names = LabelNames { row_labels, own: &column.labels };
            let mut is_distinct = true;
            if !known.iter().any(|other| other.is_same(&label_names)) {
                if known.len() == MAX_NAME_SETS {
                    let name = families[column.family].name.clone();
                    return Err(Violation::TooManyNameSets(name));
                }
                is_distinct = known.iter().all(|other| other.is_distinct_from(&label_names));
                known.push(label_names);
            }
            if !is_distinct || !seen.insert((column.family, &column.labels)) {
                return Err(Violation::DuplicateSeries(families[column.family].name.clone()));
            }
        }
    }
    Ok(())
}

fn sorted_row_labels(table: &Table) -> Vec<&str> {
    let mut names: Vec<_> = table.row_labels.iter().map(|name| &**name).collect();
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use crate::message::{Catalog as Message, Column, Family, Label, Table};
    use crate::{Catalog, Code, Limits};

    use super::MAX_NAME_SETS;

    thread_local! {
        static COMPARISONS: Cell<usize> = const { Cell::new(0) };
    }

    /// Counts a comparison of two sets of label names.
    pub(super) fn count_comparison() {
        COMPARISONS.set(COMPARISONS.get() + 1);
    }

    fn family(name: &str) -> Family<'_> {
        Family { name, kind: 1, unit: "", help: "" }
    }

    /// Returns a column of family 0 with labels written as `a=1,b=2`.
    fn column(labels: &str) -> Column<'_> {
        let pairs = labels.split(',').filter_map(|label| label.split_once('='));
        let labels = pairs.map(|(name, value)| Label { name, value }).collect();
        Column { family: 0, width: 1, decimals: 0, parameters: vec![], labels }
    }

    /// Returns a table with row labels written as `a,b`.
    fn table<'a>(row_labels: &'a str, columns: &[&'a str]) -> Table<'a> {
        let row_labels = row_labels.split(',').filter(|name| !name.is_empty()).collect();
        Table { row_labels, columns: columns.iter().map(|labels| column(labels)).collect() }
    }

    fn check(families: Vec<Family<'_>>, tables: Vec<Table<'_>>) -> Result<(), Code> {
        let message = Message { stream: 0, slot: 0, families, tables };
        Catalog::try_new(&message, &Limits::default())
            .map(drop)
            .map_err(|violation| violation.code())
    }

    /// Checks tables with columns of one family.
    fn check_tables<'a>(tables: &[(&'a str, &[&'a str])]) -> Result<(), Code> {
        let tables = tables.iter().map(|(row_labels, columns)| table(row_labels, columns));
        check(vec![family("m")], tables.collect())
    }

    #[test]
    fn columns_that_can_have_equal_series_are_rejected() {
        let collisions: &[&[(&str, &[&str])]] = &[
            // The same labels, in one table and in two.
            &[("", &["", ""])],
            &[("", &["a=1,b=2", "b=2,a=1"])],
            &[("", &["a=1"]), ("", &["a=1"])],
            &[("dev", &["a=1"]), ("dev", &["a=1"])],
            // The order of row labels does not matter.
            &[("x,y", &[""]), ("y,x", &[""])],
            // A row whose label is empty has no label.
            &[("dev", &[""]), ("", &[""])],
            &[("x", &[""]), ("y", &[""])],
            &[("x,y", &[""]), ("x", &[""])],
            &[("dev", &["a=1"]), ("", &["a=1"])],
            // A row can have the label of the other column.
            &[("a", &[""]), ("", &["a=1"])],
            &[("a,b", &[""]), ("b", &["a=1"])],
            &[("b", &["a=1"]), ("a", &["b=1"])],
            // An empty label is no label.
            &[("", &["a=", ""])],
        ];
        for tables in collisions {
            assert_eq!(check_tables(tables), Err(Code::DuplicateSeries), "{tables:?}");
            let reversed: Vec<_> = tables.iter().rev().copied().collect();
            assert_eq!(check_tables(&reversed), Err(Code::DuplicateSeries), "{reversed:?}");
        }
    }

    #[test]
    fn columns_that_cannot_have_equal_series_are_accepted() {
        let distinct: &[&[(&str, &[&str])]] = &[
            &[("", &["a=1", "a=2"])],
            &[("dev", &["a=1"]), ("dev", &["a=2"])],
            &[("x,y", &["a=1"]), ("y,x", &["a=2"])],
            &[("", &["a=1", ""])],
            &[("", &["a=1", "b=1"])],
            &[("dev", &["a=1"]), ("", &[""])],
            &[("dev", &[""]), ("", &["a=1"])],
            &[("x", &["a=1"]), ("y", &["b=1"])],
            &[("a", &["b=1"]), ("", &["a=1"])],
        ];
        for tables in distinct {
            assert_eq!(check_tables(tables), Ok(()), "{tables:?}");
        }
    }

    #[test]
    fn columns_of_different_families_may_have_equal_labels() {
        let mut both = table("dev", &["a=1", "a=1"]);
        both.columns[1].family = 1;
        assert_eq!(check(vec![family("m"), family("n")], vec![both]), Ok(()));
    }

    #[test]
    fn different_values_of_a_shared_label_do_not_tell_columns_with_different_label_names_apart() {
        let tables: &[(&str, &[&str])] = &[("dev", &["mode=a"]), ("", &["mode=b"])];
        assert_eq!(check_tables(tables), Err(Code::DuplicateSeries));
    }

    #[test]
    fn a_family_has_at_most_eight_sets_of_label_names() {
        let labels: Vec<_> = (0..=MAX_NAME_SETS).map(|n| format!("l{n}=x")).collect();
        let labels: Vec<_> = labels.iter().map(String::as_str).collect();
        assert_eq!(check_tables(&[("", &labels[..MAX_NAME_SETS])]), Ok(()));
        assert_eq!(check_tables(&[("", &labels)]), Err(Code::DuplicateSeries));
    }

    #[test]
    fn the_number_of_comparisons_is_linear_in_the_number_of_columns() {
        let comparisons = |columns: usize| {
            // Every column has one of eight sets of label names, the worst case.
            let labels = (0..columns).map(|n| format!("l{}={n}", n % MAX_NAME_SETS));
            let labels: Vec<_> = labels.collect();
            let labels: Vec<_> = labels.iter().map(String::as_str).collect();
            let tables: Vec<_> = labels.chunks(3).map(|labels| ("", labels)).collect();
            COMPARISONS.set(0);
            assert_eq!(check_tables(&tables), Ok(()));
            COMPARISONS.get()
        };
        for columns in [100, 1_000, 40_000] {
            let found = comparisons(columns);
            let most = columns * MAX_NAME_SETS + MAX_NAME_SETS * MAX_NAME_SETS;
            assert!(found <= most, "{found} comparisons of {columns} columns");
        }
    }
}
