//! Position in a line, and the tokens of both formats.

use super::scratch::Quoted;
use super::{Format, Problem};

/// Whether a byte may be in a name: a table, because every byte of a name is looked up.
const IS_NAME: [bool; 256] = {
    let (mut table, mut byte) = ([false; 256], 0_u8);
    while byte < 0x80 {
        table[byte as usize] = byte.is_ascii_alphanumeric() || byte == b'_';
        byte += 1;
    }
    table
};

/// Position in a line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    line: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(line: &'a [u8]) -> Self {
        Self { line, at: 0 }
    }

    /// Returns the offset in the line.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    /// Returns the rest of the line.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.line.get(self.at..).unwrap_or_default()
    }

    /// Returns the next byte; `None` at the end of the line.
    pub(super) fn peek(&self) -> Option<u8> {
        self.line.get(self.at).copied()
    }

    /// Skips the next byte if it is `byte`.
    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// Skips `prefix` if it is next.
    pub(super) fn eat_all(&mut self, prefix: &[u8]) -> bool {
        let is_next = self.rest().starts_with(prefix);
        if is_next {
            self.at += prefix.len();
        }
        is_next
    }

    /// Skips blanks. The format 0.0.4 allows any number between tokens, OpenMetrics none.
    pub(super) fn skip_blanks(&mut self, format: Format) {
        if format == Format::Prometheus {
            while let Some(b' ' | b'\t') = self.peek() {
                self.at += 1;
            }
        }
    }

    /// Takes a metric name; `None` if none is next.
    pub(super) fn metric_name(&mut self) -> Option<(usize, usize)> {
        self.name(|byte| IS_NAME[usize::from(byte)] || byte == b':')
    }

    /// Takes a label name; `None` if none is next.
    pub(super) fn label_name(&mut self) -> Option<(usize, usize)> {
        self.name(|byte| IS_NAME[usize::from(byte)])
    }

    fn name(&mut self, is_legal: impl Fn(u8) -> bool) -> Option<(usize, usize)> {
        let rest = self.rest();
        let len = rest.iter().position(|byte| !is_legal(*byte)).unwrap_or(rest.len());
        if rest.first().is_none_or(u8::is_ascii_digit) || len == 0 {
            return None;
        }
        let start = self.at;
        self.at += len;
        Some((start, self.at))
    }

    /// Takes the bytes up to the next one that `is_end`, which stays.
    pub(super) fn until(&mut self, is_end: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.rest();
        let len = rest.iter().position(|byte| is_end(*byte)).unwrap_or(rest.len());
        self.at += len;
        rest.get(..len).unwrap_or_default()
    }

    /// Takes a quoted text whose opening quote is next.
    pub(super) fn quoted(&mut self) -> Result<Quoted, Problem> {
        const UNTERMINATED: Problem = "has a quote that is not closed";
        self.at += 1;
        let (start, mut is_escaped) = (self.at, false);
        loop {
            let found = memchr::memchr2(b'"', b'\\', self.rest()).ok_or(UNTERMINATED)?;
            let end = self.at + found;
            if self.line.get(end) == Some(&b'"') {
                self.at = end + 1;
                return Ok(Quoted { start, end, is_escaped });
            }
            is_escaped = true;
            // The escaped byte is skipped. It may be missing: then the quote is not closed.
            self.at = end + 2;
        }
    }
}
