//! The order of a page: what it contained last time, to recognize it without parsing.

use crate::tables::Output;

/// What a page contains, without values, in its order. Also used for other samples whose order
/// rarely changes.
///
/// A reading goes through the entries of the last one. As long as they are the same, the samples in
/// the [`Output`] repeat those of its last reading, and nothing is copied. From the first
/// difference on, the entries are replaced.
#[derive(Debug, Default)]
pub(super) struct SampleOrder {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    /// Index of the next entry.
    next: usize,
    /// Start of the next entry.
    next_start: usize,
    /// Number of samples of the output before the first one of this order.
    first_sample: usize,
    /// Whether all entries of this reading are those of the last one.
    is_same: bool,
}

/// An entry: what is between two positions of the bytes.
#[derive(Debug, Clone, Copy)]
struct Entry {
    end: usize,
    what: What,
}

/// What an entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// A sample of the output.
    Sample,
    /// A sample that is left out.
    LeftOut,
    /// Text of a help line.
    Help,
    /// Name of the family of a help line.
    HelpName,
    /// Name of the family of a type line, and the type.
    Type(super::text::Kind),
}

impl SampleOrder {
    /// Begins a reading. What follows goes to `output`.
    pub(super) fn begin(&mut self, output: &Output) {
        if self.first_sample != output.samples() {
            self.clear();
        }
        self.first_sample = output.samples();
        (self.next, self.next_start, self.is_same) = (0, 0, true);
    }

    /// Ends a reading.
    pub(super) fn finish(&mut self) {
        self.truncate();
    }

    /// Forgets everything, for example because the output was not finished.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
        (self.next, self.next_start, self.is_same) = (0, 0, false);
    }

    /// Returns whether a reading that begins now could repeat the last one.
    pub(super) fn continues(&self, output: &Output) -> bool {
        self.first_sample == output.samples()
            && (output.can_repeat() || !self.entries.iter().any(|entry| entry.what == What::Sample))
    }

    /// Returns the next entry's length and what it is if `line` starts with a sample's key.
    pub(super) fn known_sample(&self, line: &[u8], output: &Output) -> Option<(usize, What)> {
        let (bytes, what) = self.expected(output)?;
        let is_sample = matches!(what, What::Sample | What::LeftOut);
        (is_sample && line.starts_with(bytes)).then_some((bytes.len(), what))
    }

    /// Goes to the next entry: it is the same as in the last reading.
    pub(super) fn advance(&mut self) {
        if let Some(entry) = self.entries.get(self.next) {
            self.next_start = entry.end;
            self.next += 1;
        }
    }

    /// Adds an entry. Returns whether the last reading had the same one here.
    pub(super) fn add(&mut self, bytes: &[u8], what: What, output: &Output) -> bool {
        if self.expected(output) == Some((bytes, what)) {
            self.advance();
            return true;
        }
        self.truncate();
        self.is_same = false;
        self.bytes.extend_from_slice(bytes);
        self.entries.push(Entry { end: self.bytes.len(), what });
        (self.next, self.next_start) = (self.entries.len(), self.bytes.len());
        false
    }

    /// Returns the entry that the last reading had here; `None` if it had none, or if this reading
    /// is another one.
    fn expected(&self, output: &Output) -> Option<(&[u8], What)> {
        let Entry { end, what } = *self.entries.get(self.next).filter(|_| self.is_same)?;
        let is_usable = what != What::Sample || output.can_repeat();
        Some((self.bytes.get(self.next_start..end)?, what)).filter(|_| is_usable)
    }

    /// Drops the entries that this reading has not had.
    fn truncate(&mut self) {
        self.entries.truncate(self.next);
        self.bytes.truncate(self.next_start);
    }
}
