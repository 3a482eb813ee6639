//! The rows of a table: the label values of every row.
//!
//! Rows are a set in ascending order, so that equal sets have one form and a duplicate cannot
//! occur. Adding or removing rows makes a new set; [`RowEdit`] tells which rows are old.

use std::cmp::Ordering;
use std::ops::Range;

use crate::limits::MAX_LABEL_VALUE_BYTES;
use crate::message::RowChange;
use crate::violation::Violation;

/// Flag in a length's first byte: a second length byte follows. Lengths below 0x80 take one byte.
const LONG: u8 = 0x80;

/// The rows of a table that has row labels, in ascending order of their label values.
///
/// ```
/// use fleetgauge_proto::message::RowChange;
/// use fleetgauge_proto::rows::TableRows;
///
/// let add = RowChange { slot: 0, table: 0, removed: vec![], added: vec!["sda", "sdb"] };
/// let (rows, _) = TableRows::default().edit(1, &add)?;
/// let swap = RowChange { slot: 0, table: 0, removed: vec![0], added: vec!["sdc"] };
/// let (rows, _) = rows.edit(1, &swap)?;
/// let devices: Vec<_> = rows.iter(1).map(|mut values| values.next().unwrap()).collect();
/// assert_eq!(devices, ["sdb", "sdc"]);
/// # Ok::<(), fleetgauge_proto::Violation>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct TableRows {
    len: usize,
    /// The label values of all rows, each after its length.
    texts: Box<[u8]>,
}

/// A run of consecutive new rows: where the values of a table come from when its rows change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowEdit {
    /// The old rows at these positions.
    Keep(Range<usize>),
    /// This many added rows.
    Add(usize),
}

impl TableRows {
    /// Returns the number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the size of its heap memory, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.texts.len()
    }

    /// Returns the size of all label values, in bytes.
    #[must_use]
    pub fn label_bytes(&self) -> usize {
        let mut rest = &*self.texts;
        let mut bytes = 0;
        while let Some((len, after)) = split_len(rest) {
            bytes += len;
            rest = after.get(len..).unwrap_or_default();
        }
        bytes
    }

    /// Iterates over the rows of a table with this many row labels: the label values of each.
    pub fn iter(&self, labels: usize) -> impl Iterator<Item = impl Iterator<Item = &str>> {
        let mut rest = &*self.texts;
        (0..self.len).map(move |_| {
            let (row, after) = rest.split_at(row_bytes(rest, labels));
            rest = after;
            LabelValues(row)
        })
    }

    /// Applies a change to the rows of a table with this many row labels. Returns the new rows, and
    /// in their order, which are kept and which are added. A row that is removed and
    /// added again counts as added.
    ///
    /// # Errors
    /// [`Violation::RowLabelTooLong`], or [`Violation::BadRow`] if
    /// - the table has no row labels,
    /// - a position to remove is not above the one before, or out of range,
    /// - a row to add is incomplete, not above the one before, or exists.
    pub fn edit(
        &self,
        labels: usize,
        change: &RowChange<'_>,
    ) -> Result<(Self, Vec<RowEdit>), Violation> {
        let (slot, table) = (change.slot, change.table);
        let bad = |what: String| Violation::BadRow { slot, table, what: what.into() };
        if labels == 0 {
            return Err(bad("the table has no row labels".into()));
        }
        if !change.added.len().is_multiple_of(labels) {
            let values = change.added.len();
            let what = format!("{values} label values are not a multiple of {labels} row labels");
            return Err(bad(what));
        }
        let is_long = |value: &&str| value.len() > MAX_LABEL_VALUE_BYTES;
        if change.added.iter().any(is_long) {
            return Err(Violation::RowLabelTooLong { slot, table });
        }
        if !change.removed.is_sorted_by(|a, b| a < b) {
            return Err(bad("the rows to remove are not in strictly ascending order".into()));
        }
        if let Some(last) = change.removed.last().filter(|last| **last as usize >= self.len) {
            let rows = self.len;
            let what =
                format!("no row {last} to remove: the table has {rows} rows, counted from 0");
            return Err(bad(what));
        }
        self.merge(labels, change).map_err(|what| bad(what.into()))
    }

    /// Merges the remaining rows and the added ones. Returns an error if they are not ascending.
    fn merge(
        &self,
        labels: usize,
        change: &RowChange<'_>,
    ) -> Result<(Self, Vec<RowEdit>), &'static str> {
        let added_bytes = change.added.iter().map(|value| 2 + value.len()).sum::<usize>();
        let mut merge = Merge {
            texts: Vec::with_capacity(self.texts.len() + added_bytes),
            last: 0..0,
            len: 0,
            edits: Vec::new(),
        };
        let mut added = change.added.chunks(labels).peekable();
        let mut removed = change.removed.iter().peekable();
        let mut rest = &*self.texts;
        for at in 0..self.len {
            let (row, after) = rest.split_at(row_bytes(rest, labels));
            rest = after;
            if removed.next_if(|position| **position as usize == at).is_some() {
                continue;
            }
            while let Some(values) = added.next_if(|values| compare(row, values).is_gt()) {
                merge.add(values)?;
            }
            merge.keep(at, row)?;
        }
        for values in added {
            merge.add(values)?;
        }
        Ok((Self { len: merge.len, texts: merge.texts.into() }, merge.edits))
    }
}

/// A set of rows under construction.
struct Merge {
    texts: Vec<u8>,
    /// Place of the last row in the texts.
    last: Range<usize>,
    len: usize,
    edits: Vec<RowEdit>,
}

impl Merge {
    fn keep(&mut self, at: usize, row: &[u8]) -> Result<(), &'static str> {
        let start = self.texts.len();
        self.texts.extend_from_slice(row);
        self.end_row(start)?;
        match self.edits.last_mut() {
            Some(RowEdit::Keep(rows)) if rows.end == at => rows.end += 1,
            _ => self.edits.push(RowEdit::Keep(at..at + 1)),
        }
        Ok(())
    }

    fn add(&mut self, values: &[&str]) -> Result<(), &'static str> {
        let start = self.texts.len();
        for value in values {
            push_len(value.len(), &mut self.texts);
            self.texts.extend_from_slice(value.as_bytes());
        }
        self.end_row(start)?;
        match self.edits.last_mut() {
            Some(RowEdit::Add(rows)) => *rows += 1,
            _ => self.edits.push(RowEdit::Add(1)),
        }
        Ok(())
    }

    /// Ends the row that begins at `start`. Returns an error unless it is greater than the one
    /// before.
    fn end_row(&mut self, start: usize) -> Result<(), &'static str> {
        let row = start..self.texts.len();
        let (last, now) = (&self.texts[self.last.clone()], &self.texts[row.clone()]);
        match LabelValues(last).cmp(LabelValues(now)) {
            _ if self.len == 0 => {}
            Ordering::Less => {}
            Ordering::Equal => {
                return Err("a row to add exists; to replace it, remove it in the same change");
            }
            Ordering::Greater => return Err("the rows to add are not ascending"),
        }
        self.last = row;
        self.len += 1;
        Ok(())
    }
}

/// Compares a row's label values with these.
fn compare(row: &[u8], values: &[&str]) -> Ordering {
    LabelValues(row).cmp(values.iter().copied())
}

/// Returns the length of the first row with this many labels.
fn row_bytes(texts: &[u8], labels: usize) -> usize {
    let mut rest = LabelValues(texts);
    for _ in 0..labels {
        rest.next();
    }
    texts.len() - rest.0.len()
}

/// Appends the length of a label value, at most [`MAX_LABEL_VALUE_BYTES`].
fn push_len(len: usize, out: &mut Vec<u8>) {
    match len.to_le_bytes() {
        [low, 0, ..] if low < LONG => out.push(low),
        [low, high, ..] => out.extend_from_slice(&[high | LONG, low]),
    }
}

/// Splits a length from what follows it.
fn split_len(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match bytes {
        [high, low, rest @ ..] if *high >= LONG => {
            Some((usize::from(u16::from_le_bytes([*low, high - LONG])), rest))
        }
        [len, rest @ ..] => Some((usize::from(*len), rest)),
        [] => None,
    }
}

/// Iterates over label values, each after its length.
struct LabelValues<'a>(&'a [u8]);

impl<'a> Iterator for LabelValues<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let (len, rest) = split_len(self.0)?;
        let (value, rest) = rest.split_at_checked(len)?;
        self.0 = rest;
        // Always UTF-8: the texts were made from strings.
        std::str::from_utf8(value).ok()
    }
}
