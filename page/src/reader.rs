//! A page that comes in pieces, cut into lines.

use std::ops::Range;

use crate::Format;
use crate::families::{Families, Family};
use crate::line::{self, Sample};

/// What is on a page.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Item<'a> {
    /// A family: before its first sample, or when it is over and had none.
    Family(&'a Family),
    /// A sample.
    Sample(Sample<'a>),
}

/// A line that cannot be read, or must not be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Its number, from 1.
    pub line: usize,
    /// Its beginning.
    pub text: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// What is read of a page, one item or problem at a time.
pub type Read<'a> = Result<Item<'a>, Unreadable>;

/// How much of an unreadable line is shown, in characters.
const SHOWN: usize = 80;
/// Longest line taken, in bytes: a label may have 1,024, each of which may be escaped, and there may be many.
const MAX_LINE_BYTES: usize = 1024 * 1024;
/// The last line of a page of OpenMetrics.
const EOF: &str = "# EOF";

/// Reads a page as it comes, in pieces of any size. After an error it goes on, to find all there are.
#[derive(Debug, Default)]
pub struct Reader {
    format: Format,
    families: Families,
    /// Scratch memory for the names of a line's labels.
    names: Vec<Range<usize>>,
    /// Lines read.
    lines: usize,
    /// The beginning of a line whose end has not come yet.
    begun: Vec<u8>,
    /// The end mark has come.
    over: bool,
    /// What came was no text: the rest cannot be read either.
    broken: bool,
}

impl Reader {
    /// Begins a page of this format.
    #[must_use]
    pub fn new(format: Format) -> Self {
        Self { format, families: Families::new(format), ..Self::default() }
    }

    /// Reads the next piece; gives `see` whatever is there, and whatever cannot be read. A sample that can be
    /// read but is out of place is given both ways.
    pub fn push(&mut self, piece: &[u8], mut see: impl FnMut(Read<'_>)) {
        let Some(last) = piece.iter().rposition(|byte| *byte == b'\n') else {
            return self.begin(piece, &mut see);
        };
        let (whole, rest) = piece.split_at(last + 1);
        let begun = std::mem::take(&mut self.begun);
        let whole = if begun.is_empty() {
            whole
        } else {
            // The line that was begun is put together; the others stay where they are.
            let (end, others) =
                whole.split_at(whole.iter().take_while(|b| **b != b'\n').count() + 1);
            self.read([&begun, end].concat().as_slice(), &mut see);
            others
        };
        self.read(whole, &mut see);
        self.begin(rest, &mut see);
    }

    /// The page is over.
    pub fn finish(mut self, mut see: impl FnMut(Read<'_>)) {
        if !self.begun.is_empty() {
            self.lines += 1;
            let text = String::from_utf8_lossy(&self.begun);
            let problem = "is cut off: the page does not end with a line's end";
            see(Err(self.unreadable(&text, problem)));
        }
        match self.families.close() {
            Ok(Some(family)) => see(Ok(Item::Family(&family))),
            Ok(None) => {}
            Err(problem) => see(Err(self.unreadable("", problem))),
        }
        if self.format == Format::OpenMetrics && !self.over {
            see(Err(self.unreadable("", "is the last, and is not the end mark")));
        }
    }

    /// Keeps a line's beginning.
    fn begin(&mut self, piece: &[u8], see: &mut impl FnMut(Read<'_>)) {
        if self.broken {
            return;
        }
        self.begun.extend_from_slice(piece);
        if self.begun.len() > MAX_LINE_BYTES {
            self.give_up("is longer than 1 MiB", see);
        }
    }

    /// Reads whole lines.
    fn read(&mut self, lines: &[u8], see: &mut impl FnMut(Read<'_>)) {
        if self.broken {
            return;
        }
        let Ok(text) = std::str::from_utf8(lines) else {
            return self.give_up("is not UTF-8, or one soon after it", see);
        };
        for line in text.split_terminator('\n') {
            self.lines += 1;
            if let Err(problem) = self.line(line, see) {
                see(Err(self.unreadable(line, problem)));
            }
        }
    }

    fn line(&mut self, text: &str, see: &mut impl FnMut(Read<'_>)) -> Result<(), &'static str> {
        if self.over {
            return Err("follows the end mark");
        }
        if let Some(comment) = text.strip_prefix("# ") {
            self.over = self.format == Format::OpenMetrics && text == EOF;
            let before =
                if self.over { self.families.close() } else { self.families.comment(comment) };
            before?.iter().for_each(|family| see(Ok(Item::Family(family))));
            return Ok(());
        }
        let line = line::read(text, &mut self.names)?;
        let in_place = match self.families.sample(&line) {
            Ok(first) => {
                first.into_iter().for_each(|family| see(Ok(Item::Family(family))));
                Ok(())
            }
            Err(problem) => Err(problem),
        };
        see(Ok(Item::Sample(line.sample)));
        in_place
    }

    fn give_up(&mut self, problem: &'static str, see: &mut impl FnMut(Read<'_>)) {
        self.broken = true;
        self.lines += 1;
        let begun = std::mem::take(&mut self.begun);
        see(Err(self.unreadable(&String::from_utf8_lossy(&begun), problem)));
    }

    fn unreadable(&self, line: &str, problem: &'static str) -> Unreadable {
        Unreadable { line: self.lines, text: line.chars().take(SHOWN).collect(), problem }
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
