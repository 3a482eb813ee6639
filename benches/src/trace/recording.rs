//! The text form of a trace: samples of each page. `benches/traces/README.md` describes it.

use std::collections::BTreeMap;

use fleetgauge_page::unescape;

/// A metric family of a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Family {
    pub(super) name: String,
    /// Metric type, as in the text format.
    pub(super) kind: String,
    pub(super) help: String,
}

/// Label names and values, in the order of the page.
pub(super) type LabelSet = Vec<(String, String)>;

/// Values by the numbers of their family and label set.
pub(super) type Samples = BTreeMap<(usize, usize), f64>;

/// A trace as it is recorded.
#[derive(Debug)]
pub(super) struct Recording {
    /// By family number.
    pub(super) families: Vec<Family>,
    /// By number of the label set.
    pub(super) label_sets: Vec<LabelSet>,
    pub(super) pages: Vec<Samples>,
}

/// A line that is not as the format describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadLine {
    /// Line number, from 1.
    pub line: usize,
    /// What is wrong with the line.
    pub problem: &'static str,
}

impl Recording {
    /// Parses a trace and the file with its families.
    pub(super) fn parse(families: &str, trace: &str) -> Result<Self, BadLine> {
        let families = lines(families, family)?;
        let mut recording = Self { families, label_sets: Vec::new(), pages: Vec::new() };
        lines(trace, |line| recording.line(line))?;
        Ok(recording)
    }

    fn line(&mut self, line: &str) -> Result<(), &'static str> {
        if line == "page" {
            self.pages.push(self.pages.last().cloned().unwrap_or_default());
            return Ok(());
        }
        let (set, rest) = line.split_once(' ').ok_or("has no samples")?;
        let set: usize = set.parse().map_err(|_| "has no label set")?;
        let mut samples = rest;
        if let Some(labels) = rest.strip_prefix('{') {
            let (labels, rest) = label_set(labels)?;
            if set != self.label_sets.len() {
                return Err("skips the number of a label set");
            }
            self.label_sets.push(labels);
            samples = rest.strip_prefix(' ').ok_or("has no space after the labels")?;
        }
        if set >= self.label_sets.len() {
            return Err("has an unknown label set");
        }
        let page = self.pages.last_mut().ok_or("belongs to no page")?;
        if samples == "-" {
            page.retain(|(_, own), _| *own != set);
            return Ok(());
        }
        for sample in samples.split(' ') {
            let (family, value) = sample.split_once('=').ok_or("has a sample without a value")?;
            let family: usize = family.parse().map_err(|_| "has a sample without a family")?;
            if family >= self.families.len() {
                return Err("has an unknown family");
            }
            if value == "-" {
                page.remove(&(family, set)).ok_or("ends a series that does not exist")?;
            } else {
                let value = value.parse().map_err(|_| "has a value that is not a number")?;
                page.insert((family, set), value);
            }
        }
        Ok(())
    }
}

/// Parses each line of a text.
fn lines<T>(
    text: &str,
    mut parse: impl FnMut(&str) -> Result<T, &'static str>,
) -> Result<Vec<T>, BadLine> {
    let numbered = text.lines().zip(1..);
    numbered.map(|(text, line)| parse(text).map_err(|problem| BadLine { line, problem })).collect()
}

fn family(line: &str) -> Result<Family, &'static str> {
    let mut parts = line.splitn(3, ' ').map(str::to_owned);
    match (parts.next(), parts.next(), parts.next()) {
        (Some(name), Some(kind), Some(help)) => Ok(Family { name, kind, help }),
        _ => Err("is not a family with type and help text"),
    }
}

/// Parses labels after their opening brace. Returns them and the text after the closing one.
fn label_set(text: &str) -> Result<(LabelSet, &str), &'static str> {
    let mut labels = Vec::new();
    let mut rest = text;
    loop {
        if let Some(after) = rest.strip_prefix('}') {
            return Ok((labels, after));
        }
        let (name, quoted) = rest.split_once("=\"").ok_or("has a label without a value")?;
        let end = closing_quote(quoted).ok_or("has an unterminated label value")?;
        labels.push((name.to_owned(), unescape(&quoted[..end], true)?));
        rest = &quoted[end + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
}

/// Returns the position of the quote that ends a label value.
fn closing_quote(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    text.bytes().position(|byte| {
        let closes = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        closes
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAMILIES: &str = "up gauge Whether it is up.\nread counter Bytes, if any.\n";

    fn parse(trace: &str) -> Result<Recording, BadLine> {
        Recording::parse(FAMILIES, trace)
    }

    #[test]
    fn a_page_has_the_samples_of_the_page_before_unless_they_change() {
        let trace = "page\n0 {} 0=1 1=2\n1 {dev=\"a\"} 0=3\npage\n0 0=- 1=5\npage\n1 -\npage\n";
        let recording = parse(trace).unwrap();
        let pages: Vec<Vec<_>> =
            recording.pages.into_iter().map(|page| page.into_iter().collect()).collect();
        let last = vec![((1, 0), 5.0)];
        assert_eq!(pages[0], [((0, 0), 1.0), ((0, 1), 3.0), ((1, 0), 2.0)]);
        assert_eq!(pages[1], [((0, 1), 3.0), ((1, 0), 5.0)]);
        assert_eq!(pages[2..], [last.clone(), last]);
    }

    #[test]
    fn label_values_may_have_escapes_spaces_and_braces() {
        let trace = "page\n0 {a=\"x \\\"} 0=1\",b=\"\\\\\"} 0=1\n";
        let label_sets = parse(trace).unwrap().label_sets;
        let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(label_sets, [[label("a", "x \"} 0=1"), label("b", "\\")]]);
    }

    #[test]
    fn a_bad_line_is_rejected_with_its_number() {
        let bad = [
            ("0 {} 0=1", 1, "belongs to no page"),
            ("page\n0 0=1", 2, "has an unknown label set"),
            ("page\n1 {} 0=1", 2, "skips the number of a label set"),
            ("page\n0 {} 2=1", 2, "has an unknown family"),
            ("page\n0 {} 0=x", 2, "has a value that is not a number"),
            ("page\n0 {} 0=-", 2, "ends a series that does not exist"),
            ("page\n0 {a=\"} 0=1", 2, "has an unterminated label value"),
        ];
        for (trace, line, problem) in bad {
            assert_eq!(parse(trace).err(), Some(BadLine { line, problem }), "{trace}");
        }
    }
}
