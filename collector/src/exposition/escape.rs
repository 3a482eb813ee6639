//! Escaping of text, and the length of escaped text.

use std::fmt::Write;

/// Bytes that are escaped in label values, and in HELP lines of OpenMetrics.
pub(super) const LABEL: &[u8] = b"\\\"\n";
/// Bytes that are escaped in HELP lines of the text format.
pub(super) const HELP: &[u8] = b"\\\n";

/// Escapes a label value for either format.
#[must_use]
pub fn escape_label_value(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    write_escaped(value, LABEL, &mut text);
    text
}

/// Writes `,name="value"`, with the value escaped.
pub(super) fn write_label(name: &str, value: &str, out: &mut impl Write) {
    let _ = write!(out, ",{name}=\"");
    write_escaped(value, LABEL, out);
    let _ = out.write_str("\"");
}

/// Appends `,name="value"`, faster than [`write_label`].
pub(super) fn push_label(name: &str, value: &str, out: &mut String) {
    out.push(',');
    out.push_str(name);
    out.push_str("=\"");
    write_escaped(value, LABEL, out);
    out.push('"');
}

/// Returns the size of a rendered label; 0 without a value.
pub(crate) fn label_bytes(name: &str, value: &str) -> usize {
    if value.is_empty() { 0 } else { counted(|out| write_label(name, value, out)) }
}

/// Writes text and escapes the bytes in `special`, which are ASCII.
pub(super) fn write_escaped(text: &str, special: &[u8], out: &mut impl Write) {
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| special.contains(&byte)) {
        let escaped = match rest.as_bytes()[at] {
            b'\n' => "\\n",
            b'"' => "\\\"",
            _ => "\\\\",
        };
        let _ = out.write_str(&rest[..at]).and_then(|()| out.write_str(escaped));
        rest = &rest[at + 1..];
    }
    let _ = out.write_str(rest);
}

/// A writer that only counts bytes.
#[derive(Debug, Default)]
pub(super) struct Count(usize);

impl Write for Count {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

/// Returns the number of bytes that a function writes.
pub(super) fn counted(write: impl FnOnce(&mut Count)) -> usize {
    let mut count = Count::default();
    write(&mut count);
    count.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_bytes_are_escaped_and_counted() {
        let text = "\"a\\b\nü\"";
        assert_eq!(escape_label_value(text), "\\\"a\\\\b\\nü\\\"");
        let mut help = String::new();
        write_escaped(text, HELP, &mut help);
        assert_eq!(help, "\"a\\\\b\\nü\"");
        assert_eq!(counted(|out| write_escaped(text, HELP, out)), help.len());
    }
}
