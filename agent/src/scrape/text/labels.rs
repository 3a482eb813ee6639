//! The text between braces: labels, and a quoted metric name.

use super::cursor::Cursor;
use super::scratch::{LabelSpan, Quoted, Scratch, Span};
use super::{Format, PageLimits, Problem};

/// A name, or the text between its quotes.
enum Name {
    Plain(Span),
    Quoted(Quoted),
}

/// What is done with an item between braces.
trait Items {
    fn name(&mut self, name: Quoted) -> Result<(), Problem>;
    fn label(&mut self, name: Name, value: Quoted) -> Result<(), Problem>;
}

/// Parses the labels of a sample into the scratch memory. The opening brace has been taken.
pub(super) fn sample_labels(
    line: &str,
    cursor: &mut Cursor<'_>,
    format: Format,
    limits: &PageLimits,
    scratch: &mut Scratch,
) -> Result<(), Problem> {
    items(cursor, format, &mut SampleItems { line, limits, scratch })
}

/// Checks the labels of an exemplar. The opening brace has been taken.
pub(super) fn exemplar_labels(cursor: &mut Cursor<'_>) -> Result<(), Problem> {
    items(cursor, Format::OpenMetrics, &mut ExemplarItems)
}

/// Parses up to the closing brace. A comma may follow the last item; the format 0.0.4 also allows
/// labels without commas.
fn items(cursor: &mut Cursor<'_>, format: Format, items: &mut impl Items) -> Result<(), Problem> {
    loop {
        cursor.skip_blanks(format);
        let name = match cursor.peek() {
            Some(b'}') => {
                cursor.eat(b'}');
                return Ok(());
            }
            Some(b'"') => Name::Quoted(cursor.quoted()?),
            Some(_) => {
                let (start, end) = cursor.label_name().ok_or("has an illegal label name")?;
                Name::Plain(Span::of_line(start, end))
            }
            None => return Err("has a brace that is not closed"),
        };
        cursor.skip_blanks(format);
        match name {
            // A quoted text without a value is the metric name.
            Name::Quoted(quoted) if matches!(cursor.peek(), Some(b',' | b'}')) => {
                items.name(quoted)?;
            }
            name => items.label(name, label_value(cursor, format)?)?,
        }
        cursor.skip_blanks(format);
        let is_separated = cursor.eat(b',') || cursor.peek() == Some(b'}');
        if !is_separated && format == Format::OpenMetrics {
            return Err("has no comma or brace after a label");
        }
    }
}

fn label_value(cursor: &mut Cursor<'_>, format: Format) -> Result<Quoted, Problem> {
    if !cursor.eat(b'=') {
        return Err("has a label without a value");
    }
    cursor.skip_blanks(format);
    if cursor.peek() != Some(b'"') {
        return Err("has a label value without quotes");
    }
    cursor.quoted()
}

struct SampleItems<'a> {
    line: &'a str,
    limits: &'a PageLimits,
    scratch: &'a mut Scratch,
}

impl Items for SampleItems<'_> {
    fn name(&mut self, name: Quoted) -> Result<(), Problem> {
        let name = self.scratch.unescape(self.line, &name);
        self.scratch.set_name(name, self.limits)
    }

    fn label(&mut self, name: Name, value: Quoted) -> Result<(), Problem> {
        let name = match name {
            Name::Plain(span) => span,
            Name::Quoted(quoted) => self.scratch.unescape(self.line, &quoted),
        };
        let value = self.scratch.unescape(self.line, &value);
        self.scratch.add_label(self.line, LabelSpan { name, value }, self.limits)
    }
}

/// Exemplars are only checked.
struct ExemplarItems;

impl Items for ExemplarItems {
    fn name(&mut self, _: Quoted) -> Result<(), Problem> {
        Err("has an exemplar label without a value")
    }

    fn label(&mut self, _: Name, _: Quoted) -> Result<(), Problem> {
        Ok(())
    }
}
