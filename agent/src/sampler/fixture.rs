//! Parses fixtures of captured numbers: a header row, then one row for each capture.

use std::collections::HashMap;

/// Returns the rows as maps from column name to number. Lines that start with `#` are comments.
pub(super) fn rows(text: &'static str) -> Vec<HashMap<&'static str, u64>> {
    let mut lines = text.lines().filter(|line| !line.starts_with('#'));
    let names: Vec<_> = lines.next().unwrap().split_whitespace().collect();
    let rows: Vec<HashMap<_, _>> = lines
        .map(|line| {
            let numbers = line.split_whitespace().map(|number| number.parse().unwrap());
            names.iter().copied().zip(numbers).collect()
        })
        .collect();
    assert!(rows.len() > 1 && rows.iter().all(|row| row.len() == names.len()), "{rows:?}");
    rows
}
