//! Reading a page of the text format 0.0.4, line by line, as strictly as Prometheus and a little more: no
//! timestamps, which a page of newest values must not have.

use std::collections::HashSet;

/// One sample line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample<'a> {
    /// Metric name.
    pub name: &'a str,
    /// The value of the label `agent`, as it stands there, which for a legal id is as it is.
    pub agent: Option<&'a str>,
    /// The value.
    pub value: f64,
}

/// A line that cannot be read, or must not be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Its number, from 1.
    pub line: usize,
    /// Its beginning.
    pub text: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// How much of an unreadable line is shown, in characters.
const SHOWN: usize = 80;

/// Calls `sample` for every sample of the page; what cannot be read is returned.
pub fn read<'a>(page: &'a str, mut sample: impl FnMut(Sample<'a>)) -> Vec<Unreadable> {
    let mut unreadable = Vec::new();
    let mut families = Families::default();
    for (number, line) in page.lines().enumerate() {
        let read = if let Some(declared) = line.strip_prefix("# TYPE ") {
            families.declare(declared)
        } else if line.is_empty() || line.starts_with('#') {
            Ok(())
        } else {
            parse(line).map(&mut sample)
        };
        if let Err(problem) = read {
            let text = line.chars().take(SHOWN).collect();
            unreadable.push(Unreadable { line: number + 1, text, problem });
        }
    }
    if !page.is_empty() && !page.ends_with('\n') {
        let text = page.lines().next_back().unwrap_or_default().chars().take(SHOWN).collect();
        let problem = "is cut off: the page does not end with a line's end";
        unreadable.push(Unreadable { line: page.lines().count(), text, problem });
    }
    unreadable
}

/// The families seen so far: each is declared once.
#[derive(Default)]
struct Families<'a>(HashSet<&'a str>);

impl<'a> Families<'a> {
    fn declare(&mut self, declared: &'a str) -> Result<(), &'static str> {
        let Some((name, kind)) = declared.split_once(' ') else {
            return Err("declares a family without a type");
        };
        if !["counter", "gauge", "histogram", "summary", "untyped"].contains(&kind) {
            return Err("has a type that this format does not know");
        }
        if self.0.insert(name) { Ok(()) } else { Err("declares a family for the second time") }
    }
}

fn parse(line: &str) -> Result<Sample<'_>, &'static str> {
    let name_len = line.find(['{', ' ']).ok_or("has no value")?;
    let (name, rest) = line.split_at(name_len);
    if name.is_empty() {
        return Err("has no name");
    }
    let (agent, rest) = match rest.strip_prefix('{') {
        Some(labels) => parse_labels(labels)?,
        None => (None, rest),
    };
    let value = rest.strip_prefix(' ').ok_or("has no value")?;
    if value.contains(' ') {
        return Err("has a timestamp");
    }
    let value = value.parse().map_err(|_| "has a value that is no number")?;
    Ok(Sample { name, agent, value })
}

/// Reads labels up to the closing brace: the agent, and what follows the brace.
fn parse_labels(mut rest: &str) -> Result<(Option<&str>, &str), &'static str> {
    let mut agent = None;
    loop {
        if let Some(after) = rest.strip_prefix('}') {
            return Ok((agent, after));
        }
        let (name, opened) = rest.split_once("=\"").ok_or("has a label without a value")?;
        let len = quoted_len(opened).ok_or("has a label value without an end")?;
        if name == "agent" && agent.replace(&opened[..len]).is_some() {
            return Err("has two agents");
        }
        rest = &opened[len + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
}

/// Bytes before the closing quote.
fn quoted_len(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let end = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        end
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(page: &str) -> Vec<&'static str> {
        read(page, |_| {}).into_iter().map(|unreadable| unreadable.problem).collect()
    }

    #[test]
    fn samples_are_read() {
        let page = "# HELP a Some.\n# TYPE a gauge\na{agent=\"web-1\"} 1.5\n\
                    a{agent=\"web-2\",rack=\"a \\\"b\\\\\",zone=\"{,}\"} +Inf\nb 3\nc{} NaN\n";
        let mut samples = Vec::new();
        assert_eq!(read(page, |sample| samples.push(sample)), []);
        let seen: Vec<_> = samples.iter().map(|s| (s.name, s.agent)).collect();
        let expected = [("a", Some("web-1")), ("a", Some("web-2")), ("b", None), ("c", None)];
        assert_eq!(seen, expected);
        assert_eq!(samples[0].value, 1.5);
        assert_eq!(samples[1].value, f64::INFINITY);
        assert!(samples[3].value.is_nan());
    }

    #[test]
    fn what_must_not_be_there_is_found() {
        for (page, problem) in [
            ("a 1 1700000000000\n", "has a timestamp"),
            ("a\n", "has no value"),
            ("a{agent=\"b\"}\n", "has no value"),
            ("a{agent=\"b} 1\n", "has a label value without an end"),
            ("a{agent} 1\n", "has a label without a value"),
            ("a{agent=\"b\",agent=\"c\"} 1\n", "has two agents"),
            ("a one\n", "has a value that is no number"),
            ("{} 1\n", "has no name"),
            ("# TYPE a info\n", "has a type that this format does not know"),
            ("# TYPE a gauge\na 1\n# TYPE a gauge\n", "declares a family for the second time"),
            ("a 1\nb 17", "is cut off: the page does not end with a line's end"),
        ] {
            assert_eq!(problems(page), [problem], "{page:?}");
        }
    }

    #[test]
    fn an_empty_page_is_a_page() {
        assert_eq!(problems(""), [] as [&str; 0]);
    }
}
