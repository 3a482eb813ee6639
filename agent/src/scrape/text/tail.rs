//! What follows the name and labels of a sample: value, timestamp, exemplar.

use super::cursor::Cursor;
use super::{Format, Problem, labels, number};

/// Value and timestamp of a sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Tail {
    pub(super) value: f64,
    /// In milliseconds since 1970.
    pub(super) timestamp: Option<i64>,
}

const NO_VALUE: Problem = "has no value";
const BAD_VALUE: Problem = "has a value that is not a number";
const BAD_TIMESTAMP: Problem = "has an invalid timestamp";
const CARRIAGE_RETURN: Problem = "ends with a carriage return";

/// Parses the rest of a line after the name and labels.
pub(super) fn parse(rest: &[u8], format: Format) -> Result<Tail, Problem> {
    let cursor = Cursor::new(rest);
    match format {
        Format::Prometheus => prometheus(cursor),
        Format::OpenMetrics => openmetrics(cursor),
    }
}

/// Returns whether a known key that `rest` follows may be the complete key of the line. If labels
/// follow after a blank, `rest` does not parse.
pub(super) fn follows_key(rest: &[u8]) -> bool {
    matches!(rest.first(), Some(b' ' | b'\t'))
}

fn prometheus(mut cursor: Cursor<'_>) -> Result<Tail, Problem> {
    let is_blank = |byte| matches!(byte, b' ' | b'\t');
    cursor.skip_blanks(Format::Prometheus);
    let value = value(cursor.until(is_blank))?;
    cursor.skip_blanks(Format::Prometheus);
    let timestamp = match cursor.until(is_blank) {
        [] => None,
        text => Some(number::milliseconds(text).ok_or_else(|| problem(text, BAD_TIMESTAMP))?),
    };
    cursor.skip_blanks(Format::Prometheus);
    if cursor.peek().is_some() {
        return Err("has text after the timestamp");
    }
    Ok(Tail { value, timestamp })
}

fn openmetrics(mut cursor: Cursor<'_>) -> Result<Tail, Problem> {
    let value = spaced(&mut cursor).map_or(Err(NO_VALUE), value)?;
    let mut timestamp = None;
    if !cursor.rest().starts_with(EXEMPLAR) && cursor.peek().is_some() {
        timestamp = Some(openmetrics_timestamp(&mut cursor)?);
    }
    if cursor.eat_all(EXEMPLAR) {
        exemplar(&mut cursor)?;
    }
    if cursor.peek().is_some() {
        return Err("has text after the timestamp");
    }
    Ok(Tail { value, timestamp })
}

/// Start of an exemplar.
const EXEMPLAR: &[u8] = b" # {";

/// Checks an exemplar and skips it.
fn exemplar(cursor: &mut Cursor<'_>) -> Result<(), Problem> {
    std::str::from_utf8(cursor.rest()).map_err(|_| "is not valid UTF-8")?;
    labels::exemplar_labels(cursor)?;
    spaced(cursor).and_then(number::float).ok_or("has an exemplar without a valid value")?;
    if cursor.peek().is_some() {
        openmetrics_timestamp(cursor)?;
    }
    Ok(())
}

fn openmetrics_timestamp(cursor: &mut Cursor<'_>) -> Result<i64, Problem> {
    let text = spaced(cursor).ok_or("has an extra space")?;
    number::seconds(text).ok_or_else(|| problem(text, BAD_TIMESTAMP))
}

/// Takes a space and the text after it.
fn spaced<'a>(cursor: &mut Cursor<'a>) -> Option<&'a [u8]> {
    let is_spaced = cursor.eat(b' ');
    let text = cursor.until(|byte| byte == b' ');
    (is_spaced && !text.is_empty()).then_some(text)
}

fn value(text: &[u8]) -> Result<f64, Problem> {
    if text.is_empty() {
        return Err(NO_VALUE);
    }
    number::float(text).ok_or_else(|| problem(text, BAD_VALUE))
}

/// Returns the likely cause if a token is invalid.
fn problem(token: &[u8], otherwise: Problem) -> Problem {
    if token.last() == Some(&b'\r') { CARRIAGE_RETURN } else { otherwise }
}
