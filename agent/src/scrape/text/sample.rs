//! A sample line: name, labels, value, timestamp.

use super::cursor::Cursor;
use super::scratch::{Scratch, Span};
use super::sink::{Labels, Sample};
use super::{Format, PageLimits, Problem, labels, tail};

/// Parses a line. `scratch` gets its names and labels.
pub(super) fn parse<'a>(
    line: &'a [u8],
    format: Format,
    limits: &PageLimits,
    scratch: &'a mut Scratch,
) -> Result<Sample<'a>, Problem> {
    let text = std::str::from_utf8(line).map_err(|_| "is not valid UTF-8")?;
    scratch.clear();
    let mut cursor = Cursor::new(line);
    if let Some((start, end)) = cursor.metric_name() {
        scratch.set_name(Span::of_line(start, end), limits)?;
    } else if cursor.peek() != Some(b'{') {
        return Err("does not start with a metric name");
    }
    let mut key_len = cursor.at();
    cursor.skip_blanks(format);
    if cursor.eat(b'{') {
        labels::sample_labels(text, &mut cursor, format, limits, scratch)?;
        key_len = cursor.at();
    }
    let name = scratch.name.ok_or("has no metric name")?;
    let (key, rest) = line.split_at_checked(key_len).ok_or("has no value")?;
    let tail = tail::parse(rest, format)?;
    let scratch = &*scratch;
    Ok(Sample {
        key,
        name: scratch.get(text, name),
        labels: Labels { line: text, scratch },
        value: tail.value,
        timestamp: tail.timestamp,
    })
}
