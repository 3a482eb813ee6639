//! A line that starts with `#`: metadata, a comment or the end of an OpenMetrics page.

use super::cursor::Cursor;
use super::scratch::{Escapes, unescape};
use super::sink::{Kind, Metadata};
use super::{Format, PageLimits, Problem};

/// A line that starts with `#`.
pub(super) enum HashLine<'a> {
    Metadata(Metadata<'a>),
    Comment,
    /// `# EOF` of OpenMetrics.
    End,
}

/// What a line of metadata is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keyword {
    Help,
    Type,
    Unit,
}

/// Parses a line. `plain` is memory for unescaped names and texts.
pub(super) fn parse<'a>(
    line: &'a [u8],
    format: Format,
    limits: &PageLimits,
    plain: &'a mut Plain,
) -> Result<HashLine<'a>, Problem> {
    let mut cursor = Cursor::new(line);
    let Some(keyword) = keyword(&mut cursor, format) else {
        return match format {
            Format::Prometheus => Ok(HashLine::Comment),
            Format::OpenMetrics if line == b"# EOF" => Ok(HashLine::End),
            Format::OpenMetrics => Err("is a comment, which OpenMetrics does not have"),
        };
    };
    let name = family_name(line, &mut cursor, limits, &mut plain.name)?;
    let text = match cursor.rest() {
        [] if format == Format::Prometheus => &[],
        [] => return Err("has no text after the name of the family"),
        [b' ', text @ ..] => text,
        [..] if format == Format::OpenMetrics => {
            return Err("has no space after the name of the family");
        }
        // Prometheus drops any byte here.
        [_, text @ ..] => text,
    };
    let metadata = match keyword {
        Keyword::Type => Metadata::Type { name, kind: kind(text, format)? },
        Keyword::Unit => Metadata::Unit { name, unit: unit(text, name)? },
        Keyword::Help => {
            let text = std::str::from_utf8(text).map_err(|_| "is not valid UTF-8")?;
            Metadata::Help { name, text: help(text, format, &mut plain.help) }
        }
    };
    Ok(HashLine::Metadata(metadata))
}

/// Memory for an unescaped name and help text, reused for all lines.
#[derive(Debug, Default)]
pub(super) struct Plain {
    name: String,
    help: String,
}

/// Takes everything before the name of the family; `None` if the line is no metadata.
fn keyword(cursor: &mut Cursor<'_>, format: Format) -> Option<Keyword> {
    cursor.eat(b'#');
    // Blanks must follow the hash sign and the keyword: exactly a space in OpenMetrics.
    let separator = |cursor: &mut Cursor<'_>| {
        let is_separated = cursor.eat(b' ') || (format == Format::Prometheus && cursor.eat(b'\t'));
        cursor.skip_blanks(format);
        is_separated.then_some(())
    };
    separator(cursor)?;
    let keyword = if cursor.eat_all(b"HELP") {
        Keyword::Help
    } else if cursor.eat_all(b"TYPE") {
        Keyword::Type
    } else if format == Format::OpenMetrics && cursor.eat_all(b"UNIT") {
        Keyword::Unit
    } else {
        return None;
    };
    separator(cursor)?;
    Some(keyword)
}

/// Takes the name of the family, which may be quoted.
fn family_name<'a>(
    line: &'a [u8],
    cursor: &mut Cursor<'_>,
    limits: &PageLimits,
    plain: &'a mut String,
) -> Result<&'a str, Problem> {
    const NO_NAME: Problem = "has no name of a family";
    let (start, end, is_escaped) = if cursor.peek() == Some(b'"') {
        let quoted = cursor.quoted()?;
        (quoted.start, quoted.end, quoted.is_escaped)
    } else {
        let (start, end) = cursor.metric_name().ok_or(NO_NAME)?;
        (start, end, false)
    };
    let name = line.get(start..end).unwrap_or_default();
    let mut name = std::str::from_utf8(name).map_err(|_| "is not valid UTF-8")?;
    if is_escaped {
        plain.clear();
        unescape(name, Escapes::WithQuote, plain);
        name = plain;
    }
    match name.len() {
        0 => Err(NO_NAME),
        len if len > limits.max_name_bytes => Err("has a metric name that is too long"),
        _ => Ok(name),
    }
}

fn kind(text: &[u8], format: Format) -> Result<Kind, Problem> {
    let is_openmetrics = format == Format::OpenMetrics;
    Ok(match text {
        b"counter" => Kind::Counter,
        b"gauge" => Kind::Gauge,
        b"histogram" => Kind::Histogram,
        b"summary" => Kind::Summary,
        b"untyped" if !is_openmetrics => Kind::Unknown,
        b"unknown" if is_openmetrics => Kind::Unknown,
        b"info" if is_openmetrics => Kind::Info,
        b"stateset" if is_openmetrics => Kind::StateSet,
        b"gaugehistogram" if is_openmetrics => Kind::GaugeHistogram,
        [.., b'\r'] => return Err("ends with a carriage return"),
        _ => return Err("has an unknown metric type"),
    })
}

/// Checks that the name of the family ends with the unit.
fn unit<'a>(text: &'a [u8], name: &str) -> Result<&'a str, Problem> {
    let unit = std::str::from_utf8(text).map_err(|_| "is not valid UTF-8")?;
    let is_suffix = name.strip_suffix(unit).is_some_and(|start| start.ends_with('_'));
    if unit.is_empty() || is_suffix { Ok(unit) } else { Err("has a unit that is no suffix") }
}

fn help<'a>(text: &'a str, format: Format, plain: &'a mut String) -> &'a str {
    // Prometheus takes a text of blanks for the separator.
    if format == Format::Prometheus && text.bytes().all(|byte| matches!(byte, b' ' | b'\t')) {
        return "";
    }
    if !text.contains('\\') {
        return text;
    }
    let escapes = match format {
        Format::Prometheus => Escapes::WithoutQuote,
        Format::OpenMetrics => Escapes::WithQuote,
    };
    plain.clear();
    unescape(text, escapes, plain);
    plain
}
