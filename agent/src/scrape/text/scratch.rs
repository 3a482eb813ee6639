//! Memory for the names and labels of one line, reused for all lines.

use super::{PageLimits, Problem};

/// A part of a line: of its bytes, or of their unescaped form.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    start: usize,
    end: usize,
    is_unescaped: bool,
}

impl Span {
    pub(super) const fn of_line(start: usize, end: usize) -> Self {
        Self { start, end, is_unescaped: false }
    }

    const fn len(self) -> usize {
        self.end.saturating_sub(self.start)
    }
}

/// A label of a line.
#[derive(Debug, Clone, Copy)]
pub(super) struct LabelSpan {
    pub(super) name: Span,
    pub(super) value: Span,
}

/// Metric name and labels of a line.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) name: Option<Span>,
    pub(super) labels: Vec<LabelSpan>,
    /// Unescaped names and values.
    unescaped: String,
}

impl Scratch {
    pub(super) fn clear(&mut self) {
        self.name = None;
        self.labels.clear();
        self.unescaped.clear();
    }

    /// Returns the text of a part of the line.
    pub(super) fn get<'a>(&'a self, line: &'a str, span: Span) -> &'a str {
        let text = if span.is_unescaped { &self.unescaped } else { line };
        // Spans are on character boundaries, because they end at ASCII characters.
        text.get(span.start..span.end).unwrap_or_default()
    }

    /// Unescapes the text between two quotes.
    pub(super) fn unescape(&mut self, line: &str, quoted: &Quoted) -> Span {
        if !quoted.is_escaped {
            return Span::of_line(quoted.start, quoted.end);
        }
        let start = self.unescaped.len();
        let text = line.get(quoted.start..quoted.end).unwrap_or_default();
        unescape(text, Escapes::WithQuote, &mut self.unescaped);
        Span { start, end: self.unescaped.len(), is_unescaped: true }
    }

    pub(super) fn set_name(&mut self, span: Span, limits: &PageLimits) -> Result<(), Problem> {
        if self.name.is_some() {
            return Err("has two metric names");
        }
        if span.len() == 0 {
            return Err("has an empty metric name");
        }
        if span.len() > limits.max_name_bytes {
            return Err("has a metric name that is too long");
        }
        self.name = Some(span);
        Ok(())
    }

    pub(super) fn add_label(
        &mut self,
        line: &str,
        label: LabelSpan,
        limits: &PageLimits,
    ) -> Result<(), Problem> {
        if label.name.len() > limits.max_label_name_bytes {
            return Err("has a label name that is too long");
        }
        if label.value.len() > limits.max_label_value_bytes {
            return Err("has a label value that is too long");
        }
        if self.labels.len() >= limits.max_labels {
            return Err("has too many labels");
        }
        let name = self.get(line, label.name);
        if name.is_empty() {
            return Err("has an empty label name");
        }
        // Prometheus's own label for the metric name.
        if name == "__name__" {
            return Err("has the reserved label __name__");
        }
        if self.labels.iter().any(|other| self.get(line, other.name) == name) {
            return Err("has a label twice");
        }
        self.labels.push(label);
        Ok(())
    }
}

/// The text between two quotes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quoted {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) is_escaped: bool,
}

/// Escapes of a text. All have `\\` and `\n`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Escapes {
    /// Help texts of the format 0.0.4.
    WithoutQuote,
    /// Label values and names, and help texts of OpenMetrics: `\"` too.
    WithQuote,
}

/// Appends the unescaped text. Unknown escapes stay as they are, as in Prometheus.
pub(super) fn unescape(text: &str, escapes: Escapes, plain: &mut String) {
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        plain.push_str(before);
        let (character, len) = match after.as_bytes().first() {
            Some(b'n') => ('\n', 1),
            Some(b'\\') => ('\\', 1),
            Some(b'"') if escapes == Escapes::WithQuote => ('"', 1),
            _ => ('\\', 0),
        };
        plain.push(character);
        rest = after.get(len..).unwrap_or_default();
    }
    plain.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_escapes_are_replaced_and_others_stay() {
        for (text, with_quote, without_quote) in [
            (r"a\\b\nc", "a\\b\nc", "a\\b\nc"),
            (r#"\"a\""#, r#""a""#, r#"\"a\""#),
            (r"\\n", r"\n", r"\n"),
            (r"\x\é\", r"\x\é\", r"\x\é\"),
            ("", "", ""),
        ] {
            for (escapes, expected) in
                [(Escapes::WithQuote, with_quote), (Escapes::WithoutQuote, without_quote)]
            {
                let mut plain = String::new();
                unescape(text, escapes, &mut plain);
                assert_eq!(plain, expected, "{text} {escapes:?}");
            }
        }
    }
}
