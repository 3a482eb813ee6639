//! Lines of numbers in `/proc/net/rpc`, whose numbers are columns of one row.

use std::ops::Range;

use super::SourceError;
use super::files::{KeptFile, bad_line, parse_existing_file};
use super::number::whole;

/// Declares the columns of a collector: those in brackets, then its constant `REQUESTS` for the
/// procedures of each version.
macro_rules! columns {
    ([$($column:expr,)*] $($proto:literal: $($method:literal)*;)*) => {
        [
            $($column,)*
            $($(REQUESTS.labelled(&[("proto", $proto), ("method", $method)]),)*)*
        ]
    };
}

pub(super) use columns;

/// A line, named by its first field.
#[derive(Debug)]
pub(super) struct RpcLine {
    /// First field.
    pub(super) key: &'static str,
    /// Whether the first number is the number of further ones.
    pub(super) is_counted: bool,
    /// Minimum number of numbers, without that one.
    pub(super) min: usize,
    /// Numbers by their index, and the column of the first of them.
    pub(super) columns: &'static [(Range<usize>, usize)],
}

impl RpcLine {
    /// Sets the columns; `None` if the line is broken.
    fn parse<'a>(
        &self,
        mut fields: impl Iterator<Item = &'a str>,
        values: &mut [f64],
    ) -> Option<()> {
        let count = match self.is_counted {
            true => Some(fields.next()?.parse::<usize>().ok()?),
            false => None,
        };
        let mut found = 0;
        for (index, field) in fields.enumerate() {
            found += 1;
            if let Some((numbers, first)) =
                self.columns.iter().find(|(numbers, _)| numbers.contains(&index))
            {
                let value = values.get_mut(first + (index - numbers.start))?;
                *value = whole(field)?;
            }
        }
        (found >= self.min && count.is_none_or(|count| count == found)).then_some(())
    }
}

/// Reads the values of a file. Those of missing lines are 0, as in node_exporter; unknown lines are
/// ignored.
///
/// # Errors
/// A line is broken, or no line is known. [`SourceError::NothingFound`] if there is no such file.
pub(super) fn read(
    file: &mut KeptFile,
    lines: &[RpcLine],
    values: &mut [f64],
) -> Result<(), SourceError> {
    values.fill(0.0);
    parse_existing_file(file, |text| {
        let mut is_known = false;
        for text in text.lines() {
            let mut fields = text.split_ascii_whitespace();
            let key = fields.next();
            let Some(line) = lines.iter().find(|line| Some(line.key) == key) else { continue };
            line.parse(fields, values).ok_or_else(|| bad_line(text))?;
            is_known = true;
        }
        if is_known { Ok(()) } else { Err("no known line".to_owned()) }
    })
}
