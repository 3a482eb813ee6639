//! One sample line: name, labels and value, without regard to preceding lines.

use std::ops::Range;

/// A sample of a metrics page.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample<'a> {
    /// Name of the sample, suffix included.
    pub name: &'a str,
    /// Labels of the sample.
    pub labels: Labels<'a>,
    /// Value of the sample.
    pub value: f64,
}

/// Valid labels of a sample, as the text between the braces.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Labels<'a>(&'a str);

impl<'a> Labels<'a> {
    /// Iterates over the names and escaped values, in the order of the page.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            // The first `=` ends a name, because names are valid. A search for `="` is ten times
            // slower.
            let (name, assigned) = rest.split_at(rest.bytes().position(|byte| byte == b'=')?);
            let opened = assigned.strip_prefix("=\"")?;
            let end = closing_quote(opened)?.at;
            rest = opened[end + 1..].strip_prefix(',').unwrap_or_default();
            Some((name, &opened[..end]))
        })
    }

    /// Returns the escaped value of a label; `None` if the sample has no such label.
    #[must_use]
    pub fn get(self, name: &str) -> Option<&'a str> {
        self.iter().find(|(own, _)| *own == name).map(|(_, value)| value)
    }

    /// Returns the text between the braces.
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        self.0
    }
}

/// A parsed line, with what the checks of its family need.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    pub(crate) sample: Sample<'a>,
    /// Escaped value of the label `le`.
    pub(crate) le: Option<&'a str>,
    /// Escaped value of the label `quantile`.
    pub(crate) quantile: Option<&'a str>,
    /// Hash of all labels except `le` and `quantile`, independent of their order; 0 if it was not
    /// asked for.
    metric: u64,
}

impl Line<'_> {
    /// Returns the hash of the name and all labels, independent of their order.
    pub(crate) fn series(&self) -> u64 {
        let bounds = [("le", self.le), ("quantile", self.quantile)];
        let bounds = bounds.into_iter().filter_map(|(name, value)| Some(hash_label(name, value?)));
        let labels = bounds.fold(self.metric, u64::wrapping_add);
        labels.wrapping_add(mixed(hashed(SERIES, self.sample.name.as_bytes())))
    }

    /// Returns the hash of the labels that all samples of a histogram or summary share. Only one of
    /// `le` and `quantile` has another value on each of them.
    pub(crate) fn metric_of(&self, kind: &str) -> u64 {
        let (name, value) =
            if kind == "histogram" { ("quantile", self.quantile) } else { ("le", self.le) };
        self.metric.wrapping_add(value.map_or(0, |value| hash_label(name, value)))
    }
}

/// Parses a line. `hashed`: whether to hash its labels. `names` is scratch memory for the ranges of
/// the label names.
pub(crate) fn read<'a>(
    text: &'a str,
    hashed: bool,
    names: &mut Vec<Range<usize>>,
) -> Result<Line<'a>, &'static str> {
    let (name, rest) = text.split_at(name_len(text, b':'));
    if !rest.starts_with(['{', ' ']) {
        let has_value = text.contains(['{', ' ']);
        return Err(if has_value { ILLEGAL_NAME } else { "has no value" });
    }
    if !begins_as_name(name) {
        return Err(ILLEGAL_NAME);
    }
    let (mut le, mut quantile, mut metric) = (None, None, 0_u64);
    let (labels, rest) = match rest.strip_prefix('{') {
        None => (Labels::default(), rest),
        Some(opened) => read_labels(opened, names, |name, value| match name {
            "le" => le = Some(value),
            "quantile" => quantile = Some(value),
            _ if hashed => metric = metric.wrapping_add(hash_label(name, value)),
            _ => {}
        })?,
    };
    let value = number(rest.strip_prefix(' ').ok_or("has no space before the value")?)?;
    Ok(Line { sample: Sample { name, labels, value }, le, quantile, metric })
}

const ILLEGAL_NAME: &str = "has an illegal metric name";

/// Parses labels up to the closing brace, and passes each to `take`. Returns the labels and the
/// text after the brace.
fn read_labels<'a>(
    text: &'a str,
    names: &mut Vec<Range<usize>>,
    mut take: impl FnMut(&'a str, &'a str),
) -> Result<(Labels<'a>, &'a str), &'static str> {
    names.clear();
    let mut at = 0;
    loop {
        let rest = &text[at..];
        let len = name_len(rest, b'_');
        let (name, assigned) = rest.split_at(len);
        if !assigned.starts_with('=') && !assigned.contains('=') {
            return Err("has a label without a value");
        }
        if !assigned.starts_with('=') || !begins_as_name(name) {
            return Err("has an illegal label name");
        }
        if names.iter().any(|other| is_same_name(&text[other.clone()], name)) {
            return Err("has a label twice");
        }
        names.push(at..at + len);
        let opened = assigned.strip_prefix("=\"").ok_or("has a label value without quotes")?;
        let end = closing_quote(opened).ok_or("has an unterminated label value")?;
        let value = &opened[..end.at];
        if end.is_escaped {
            check_escapes(value)?;
        }
        take(name, value);
        at += len + "=\"".len() + end.at + "\"".len();
        match text.as_bytes().get(at) {
            Some(b',') => at += 1,
            Some(b'}') => return Ok((Labels(&text[..at]), &text[at + 1..])),
            _ => return Err("has unterminated labels"),
        }
    }
}

/// Position of the quote that ends a label value, and whether the value has escapes.
struct ValueEnd {
    at: usize,
    is_escaped: bool,
}

/// Finds the closing quote of a label value; `None` if there is none.
fn closing_quote(text: &str) -> Option<ValueEnd> {
    let at = text.bytes().position(|byte| matches!(byte, b'"' | b'\\'))?;
    // Fast path: hardly any value has an escape.
    if text.as_bytes()[at] == b'"' {
        return Some(ValueEnd { at, is_escaped: false });
    }
    let at = escaped_closing_quote(text)?;
    Some(ValueEnd { at, is_escaped: true })
}

fn escaped_closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })
}

/// Checks that a label value has only the three valid escapes.
fn check_escapes(value: &str) -> Result<(), &'static str> {
    let mut bytes = value.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'\\' && !matches!(bytes.next(), Some(b'\\' | b'"' | b'n')) {
            return Err("has an unknown escape");
        }
    }
    Ok(())
}

/// Unescapes a label value or a help text. `quotes`: whether quotes must be escaped.
///
/// # Errors
/// An invalid escape, or a quote that is not escaped; the error says which.
pub fn unescape(text: &str, quotes: bool) -> Result<String, &'static str> {
    let mut plain = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        plain.push(match c {
            '\\' => match rest.next() {
                Some('n') => '\n',
                Some('\\') => '\\',
                Some('"') if quotes => '"',
                _ => return Err("has an unknown escape"),
            },
            '"' if quotes => return Err("has a quote that is not escaped"),
            other => other,
        });
    }
    Ok(plain)
}

pub(crate) fn is_metric_name(name: &str) -> bool {
    name_len(name, b':') == name.len() && begins_as_name(name)
}

/// Compares two names that are not empty. Most names differ in their first byte, and comparing it
/// takes less time than a call to compare all.
fn is_same_name(one: &str, other: &str) -> bool {
    one.as_bytes().first() == other.as_bytes().first() && one == other
}

/// Whether a byte is a letter, a digit or `_`: a table, because every byte of a name is looked up.
const IS_WORD: [bool; 256] = {
    let (mut table, mut byte) = ([false; 256], 0_u8);
    while byte < 0x80 {
        table[byte as usize] = byte.is_ascii_alphanumeric() || byte == b'_';
        byte += 1;
    }
    table
};

/// Returns the number of leading bytes that are legal in a name: letters, digits, `_` and `also`.
fn name_len(text: &str, also: u8) -> usize {
    let is_legal = |byte: u8| IS_WORD[usize::from(byte)] || byte == also;
    text.bytes().position(|byte| !is_legal(byte)).unwrap_or(text.len())
}

/// Returns whether a name is not empty and does not start with a digit.
fn begins_as_name(name: &str) -> bool {
    name.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}

/// Parses the value of a sample, or the bound in `le` or `quantile`.
pub(crate) fn number(text: &str) -> Result<f64, &'static str> {
    let is_part =
        |byte: u8| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E');
    match text.parse() {
        Ok(number) if text.bytes().all(is_part) => Ok(number),
        Ok(_) if text == "NaN" => Ok(f64::NAN),
        Ok(_) if text == "+Inf" => Ok(f64::INFINITY),
        Ok(_) if text == "-Inf" => Ok(f64::NEG_INFINITY),
        _ if text.contains(' ') => Err("has a timestamp or an extra space"),
        _ => Err("has a value that is not a number"),
    }
}

/// Seeds of the hashes of labels and of series; any two different numbers.
const LABEL: u64 = 0x243f_6a88_85a3_08d3;
const SERIES: u64 = 0x1319_8a2e_0370_7344;

fn hash_label(name: &str, value: &str) -> u64 {
    mixed(hashed(hashed(LABEL, name.as_bytes()), value.as_bytes()))
}

/// Hashes a text and its length, eight bytes at a time. Does not resist crafted collisions.
fn hashed(seed: u64, bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut hash = seed ^ bytes.len() as u64;
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    for word in words.iter().chain([&last]) {
        hash = (hash.rotate_left(29) ^ u64::from_le_bytes(*word)).wrapping_mul(FACTOR);
    }
    hash
}

/// The finalizer of `MurmurHash3`: every bit of the result depends on all bits of the hash.
const fn mixed(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ hash >> 33
}
