//! Splits a page that arrives in pieces into lines.

use std::ops::Range;

use crate::Format;
use crate::families::{Families, Family};
use crate::line::{self, Sample};

/// A valid item of a page: a family or a sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Item<'a> {
    /// A family: before its first sample, or at its end if it has none.
    Family(&'a Family),
    /// A sample.
    Sample(Sample<'a>),
}

/// A line that is invalid, or valid but in a wrong place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidLine {
    /// Line number, from 1.
    pub line: usize,
    /// Beginning of the line.
    pub text: String,
    /// What is wrong with the line.
    pub problem: &'static str,
}

/// An item or an invalid line.
pub type ReadResult<'a> = Result<Item<'a>, InvalidLine>;

/// Maximum characters of an invalid line to keep.
const SHOWN: usize = 80;
/// Maximum length of a line, in bytes. A line may have many labels, each with a value of up to
/// 1,024 bytes before escaping.
const MAX_LINE_BYTES: usize = 1024 * 1024;
/// Last line of an OpenMetrics page.
const EOF: &str = "# EOF";

/// Parses a page in pieces of any size. Continues after an error, to find all errors.
#[derive(Debug, Default)]
pub struct Reader {
    format: Format,
    families: Families,
    /// Scratch memory for the names of a line's labels.
    names: Vec<Range<usize>>,
    /// Number of lines so far.
    lines: usize,
    /// A line whose end has not arrived yet.
    partial_line: Vec<u8>,
    /// Whether the last line of an OpenMetrics page has been read.
    ended: bool,
    /// Whether the rest of the page cannot be parsed.
    broken: bool,
}

impl Reader {
    /// Creates a reader for a page of this format.
    #[must_use]
    pub fn new(format: Format) -> Self {
        Self { format, families: Families::new(format), ..Self::default() }
    }

    /// Bounds the memory: only the first `series` series of each family are remembered, so repeated
    /// ones after them are not found. By default all are, in about 16 bytes per series of the
    /// largest family.
    #[must_use]
    pub fn remembering(mut self, series: usize) -> Self {
        self.families.remember(series);
        self
    }

    /// Parses the next piece, and passes items and invalid lines to `on_read`. A valid sample in a
    /// wrong place is passed twice: as an item and as an invalid line.
    pub fn push(&mut self, piece: &[u8], mut on_read: impl FnMut(ReadResult<'_>)) {
        let Some(last) = piece.iter().rposition(|byte| *byte == b'\n') else {
            return self.keep_partial(piece, &mut on_read);
        };
        let (whole, rest) = piece.split_at(last + 1);
        let partial_line = std::mem::take(&mut self.partial_line);
        let whole = if partial_line.is_empty() {
            whole
        } else {
            // Only the partial line is copied; the others stay in place.
            let (end, others) =
                whole.split_at(whole.iter().take_while(|b| **b != b'\n').count() + 1);
            self.read([&partial_line, end].concat().as_slice(), &mut on_read);
            others
        };
        self.read(whole, &mut on_read);
        self.keep_partial(rest, &mut on_read);
    }

    /// Ends the page. Reports errors that show only at its end, such as a missing `# EOF`.
    pub fn finish(mut self, mut on_read: impl FnMut(ReadResult<'_>)) {
        if !self.partial_line.is_empty() {
            self.lines += 1;
            let text = String::from_utf8_lossy(&self.partial_line);
            let problem = "is truncated: the page does not end with a line feed";
            on_read(Err(self.invalid_line(&text, problem)));
        }
        match self.families.close() {
            Ok(Some(family)) => on_read(Ok(Item::Family(&family))),
            Ok(None) => {}
            Err(problem) => on_read(Err(self.invalid_line("", problem))),
        }
        if self.format == Format::OpenMetrics && !self.ended {
            on_read(Err(self.invalid_line("", "is the last one, but not # EOF")));
        }
    }

    /// Keeps the start of a line until the rest arrives.
    fn keep_partial(&mut self, piece: &[u8], on_read: &mut impl FnMut(ReadResult<'_>)) {
        if self.broken {
            return;
        }
        self.partial_line.extend_from_slice(piece);
        if self.partial_line.len() > MAX_LINE_BYTES {
            self.give_up("is longer than 1 MiB", on_read);
        }
    }

    /// Parses complete lines.
    fn read(&mut self, lines: &[u8], on_read: &mut impl FnMut(ReadResult<'_>)) {
        if self.broken {
            return;
        }
        let Ok(text) = std::str::from_utf8(lines) else {
            return self.give_up("or one of the next is not UTF-8", on_read);
        };
        for line in text.split_terminator('\n') {
            self.lines += 1;
            if let Err(problem) = self.line(line, on_read) {
                on_read(Err(self.invalid_line(line, problem)));
            }
        }
    }

    fn line(
        &mut self,
        text: &str,
        on_read: &mut impl FnMut(ReadResult<'_>),
    ) -> Result<(), &'static str> {
        if self.ended {
            return Err("follows # EOF");
        }
        if let Some(comment) = text.strip_prefix("# ") {
            self.ended = self.format == Format::OpenMetrics && text == EOF;
            let before =
                if self.ended { self.families.close() } else { self.families.comment(comment) };
            before?.iter().for_each(|family| on_read(Ok(Item::Family(family))));
            return Ok(());
        }
        let line = line::read(text, self.families.needs_hashes(), &mut self.names)?;
        let placement = match self.families.sample(&line) {
            Ok(first) => {
                first.into_iter().for_each(|family| on_read(Ok(Item::Family(family))));
                Ok(())
            }
            Err(problem) => Err(problem),
        };
        on_read(Ok(Item::Sample(line.sample)));
        placement
    }

    fn give_up(&mut self, problem: &'static str, on_read: &mut impl FnMut(ReadResult<'_>)) {
        self.broken = true;
        self.lines += 1;
        let partial_line = std::mem::take(&mut self.partial_line);
        on_read(Err(self.invalid_line(&String::from_utf8_lossy(&partial_line), problem)));
    }

    fn invalid_line(&self, line: &str, problem: &'static str) -> InvalidLine {
        InvalidLine { line: self.lines, text: line.chars().take(SHOWN).collect(), problem }
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
