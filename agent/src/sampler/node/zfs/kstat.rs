//! Parses the text of kstat files with named values.
//!
//! ```text
//! 12 1 0x01 98 26656 5266997922 97951858082072
//! name                            type data
//! hits                            4    8772612
//! ```

use crate::sampler::node::files::parse;

/// Maximum number of rows that are read of a file. Those of known releases have about 100.
const MAX_ROWS: usize = 1_000;

/// A row: name, type and value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row<'a> {
    pub(super) name: &'a str,
    kind: &'a str,
    /// Text of the value. It may have spaces.
    pub(super) value: &'a str,
}

impl<'a> Row<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (name, rest) = split_word(line)?;
        let (kind, value) = split_word(rest)?;
        Some(Self { name, kind, value })
    }

    /// Returns whether it is an integer of 64 bits, signed or not.
    pub(super) fn is_number(&self) -> bool {
        matches!(self.kind, "3" | "4")
    }

    /// Parses the value of a number.
    pub(super) fn number(&self) -> Result<f64, &'static str> {
        parse(self.value).ok_or("a row without number")
    }
}

/// Returns the rows of a file. Lines that are not rows are skipped.
pub(super) fn rows(text: &str) -> Result<impl Iterator<Item = Row<'_>>, &'static str> {
    let mut lines = text.lines();
    if lines.any(|line| line.split_ascii_whitespace().eq(["name", "type", "data"])) {
        Ok(lines.filter_map(Row::parse).take(MAX_ROWS))
    } else {
        Err("no line \"name type data\"")
    }
}

/// Splits off the first word. The rest has no white space around it.
fn split_word(text: &str) -> Option<(&str, &str)> {
    let (word, rest) = text.trim().split_once([' ', '\t'])?;
    Some((word, rest.trim_start()))
}
