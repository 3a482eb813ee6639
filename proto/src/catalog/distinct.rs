//! The rule that no two columns of a family can have equal series, whatever rows there will be.

use std::collections::{HashMap, HashSet};

use super::{Family, Table};
use crate::labels::StaticLabels;
use crate::violation::Violation;

/// Maximum number of different [`Shape`]s of a family. Each pair of them is compared.
const MAX_SHAPES: usize = 8;

/// The label names of a column's series.
#[derive(Clone, Copy)]
struct Shape<'a> {
    /// Names of the row labels, sorted.
    row_labels: &'a [&'a str],
    /// The labels of the column; only their names matter.
    own: &'a StaticLabels,
}

impl Shape<'_> {
    fn is_same(&self, other: &Self) -> bool {
        let names = |shape: &Self| shape.own.iter().map(|(name, _)| name);
        self.row_labels == other.row_labels && names(self).eq(names(other))
    }

    /// Returns whether a label that one of them always has is never in the other.
    fn is_distinct_from(&self, other: &Self) -> bool {
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
    let mut numbers = HashMap::new();
    let mut shapes: Vec<Vec<Shape<'_>>> = vec![Vec::new(); families.len()];
    let mut seen = HashSet::new();
    for (table, row_labels) in tables.iter().zip(&row_labels) {
        let next = numbers.len();
        let number = *numbers.entry(row_labels).or_insert(next);
        for column in &table.columns {
            let known = &mut shapes[column.family];
            let shape = Shape { row_labels, own: &column.labels };
            let mut is_distinct = true;
            if !known.iter().any(|other| other.is_same(&shape)) {
                is_distinct = known.len() < MAX_SHAPES
                    && known.iter().all(|other| other.is_distinct_from(&shape));
                known.push(shape);
            }
            if !is_distinct || !seen.insert((column.family, number, &column.labels)) {
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
