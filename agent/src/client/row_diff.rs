//! Differences between two sets of rows of a table.

use fleetgauge_proto::rows::{RowEdit, TableRows};

/// The change that turns one set of rows into another, and where the values move.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct RowDiff<'a> {
    /// Positions of the removed rows in the old set.
    pub(super) removed: Vec<u32>,
    /// Label values of the added rows.
    pub(super) added: Vec<&'a str>,
    /// The new set: old rows that stay and added ones.
    pub(super) edits: Vec<RowEdit>,
}

impl<'a> RowDiff<'a> {
    /// Compares the rows of a table with this many row labels, at least one.
    pub(super) fn new(labels: usize, old: &TableRows, new: &'a TableRows) -> Self {
        let (old, new) = (texts(labels, old), texts(labels, new));
        let mut old = (0..).zip(old.chunks(labels)).peekable();
        let mut diff = Self::default();
        for row in new.chunks(labels) {
            while let Some((at, _)) = old.next_if(|(_, earlier)| *earlier < row) {
                diff.removed.push(at);
            }
            match old.next_if(|(_, same)| *same == row) {
                Some((at, _)) => diff.keep(at as usize),
                None => diff.add(row),
            }
        }
        diff.removed.extend(old.map(|(at, _)| at));
        diff
    }

    fn keep(&mut self, at: usize) {
        match self.edits.last_mut() {
            Some(RowEdit::Keep(rows)) if rows.end == at => rows.end += 1,
            _ => self.edits.push(RowEdit::Keep(at..at + 1)),
        }
    }

    fn add(&mut self, row: &[&'a str]) {
        self.added.extend(row);
        match self.edits.last_mut() {
            Some(RowEdit::Add(rows)) => *rows += 1,
            _ => self.edits.push(RowEdit::Add(1)),
        }
    }
}

/// Returns the label values of all rows, row after row.
fn texts(labels: usize, rows: &TableRows) -> Vec<&str> {
    rows.iter(labels).flatten().collect()
}

#[cfg(test)]
mod tests {
    use fleetgauge_proto::message::RowChange;

    use super::*;

    fn rows(texts: &[&str]) -> TableRows {
        let add = RowChange { slot: 0, table: 0, removed: vec![], added: texts.to_vec() };
        TableRows::default().edit(2, &add).unwrap().0
    }

    #[test]
    fn change_of_a_diff_makes_the_new_rows() {
        let all = ["a", "1", "a", "2", "aa", "0", "b", "1", "c", ""];
        let rows_of = |set: usize| {
            let chosen = all.chunks(2).enumerate().filter(|(at, _)| set & (1 << at) != 0);
            rows(&chosen.flat_map(|(_, row)| row).copied().collect::<Vec<_>>())
        };
        for (before, after) in (0..32).flat_map(|old| (0..32).map(move |new| (old, new))) {
            let (old, new) = (rows_of(before), rows_of(after));
            let RowDiff { removed, added, edits } = RowDiff::new(2, &old, &new);
            let change = RowChange { slot: 0, table: 0, removed, added };
            assert_eq!(old.edit(2, &change), Ok((new.clone(), edits)), "{old:?} to {new:?}");
        }
    }

    #[test]
    fn equal_rows_have_no_change() {
        let same = rows(&["a", "1", "b", "2"]);
        let diff = RowDiff::new(2, &same, &same);
        assert_eq!(diff, RowDiff { edits: vec![RowEdit::Keep(0..2)], ..RowDiff::default() });
    }
}
