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
/// Longest line taken, in bytes.
const MAX_LINE_BYTES: usize = 64 * 1024;

/// Reads a page as it comes, in pieces of any size.
#[derive(Debug, Default)]
pub struct Reader {
    /// Names of the families seen so far: each is declared once.
    families: HashSet<String>,
    /// Lines read.
    lines: usize,
    /// The beginning of a line whose end has not come yet.
    begun: Vec<u8>,
    /// What came was no text: the rest cannot be read either.
    broken: bool,
}

impl Reader {
    /// Reads the next piece; gives `see` every sample and whatever cannot be read.
    pub fn push(&mut self, piece: &[u8], mut see: impl FnMut(Result<Sample<'_>, Unreadable>)) {
        let Some(last) = piece.iter().rposition(|byte| *byte == b'\n') else {
            return self.begin(piece, &mut see);
        };
        let (whole, rest) = piece.split_at(last + 1);
        let begun = std::mem::take(&mut self.begun);
        let whole = if begun.is_empty() {
            whole
        } else {
            // The line that was begun is put together; the others stay where they are.
            let (end, others) =
                whole.split_at(whole.iter().take_while(|b| **b != b'\n').count() + 1);
            self.read([&begun, end].concat().as_slice(), &mut see);
            others
        };
        self.read(whole, &mut see);
        self.begin(rest, &mut see);
    }

    /// The page is over.
    pub fn finish(mut self, mut see: impl FnMut(Result<Sample<'_>, Unreadable>)) {
        if !self.begun.is_empty() {
            self.lines += 1;
            let text = String::from_utf8_lossy(&self.begun);
            let problem = "is cut off: the page does not end with a line's end";
            see(Err(self.unreadable(&text, problem)));
        }
    }

    /// Keeps a line's beginning.
    fn begin(&mut self, piece: &[u8], see: &mut impl FnMut(Result<Sample<'_>, Unreadable>)) {
        if self.broken {
            return;
        }
        self.begun.extend_from_slice(piece);
        if self.begun.len() > MAX_LINE_BYTES {
            self.give_up("is longer than 64 KiB", see);
        }
    }

    /// Reads whole lines.
    fn read(&mut self, lines: &[u8], see: &mut impl FnMut(Result<Sample<'_>, Unreadable>)) {
        if self.broken {
            return;
        }
        let Ok(text) = std::str::from_utf8(lines) else {
            return self.give_up("is not UTF-8, or one soon after it", see);
        };
        for line in text.lines() {
            self.lines += 1;
            let read = if let Some(declared) = line.strip_prefix("# TYPE ") {
                self.declare(declared)
            } else if line.is_empty() || line.starts_with('#') {
                Ok(())
            } else {
                parse(line).map(|sample| see(Ok(sample)))
            };
            if let Err(problem) = read {
                see(Err(self.unreadable(line, problem)));
            }
        }
    }

    fn give_up(
        &mut self,
        problem: &'static str,
        see: &mut impl FnMut(Result<Sample<'_>, Unreadable>),
    ) {
        self.broken = true;
        self.lines += 1;
        let begun = std::mem::take(&mut self.begun);
        see(Err(self.unreadable(&String::from_utf8_lossy(&begun), problem)));
    }

    fn unreadable(&self, line: &str, problem: &'static str) -> Unreadable {
        Unreadable { line: self.lines, text: line.chars().take(SHOWN).collect(), problem }
    }

    fn declare(&mut self, declared: &str) -> Result<(), &'static str> {
        let Some((name, kind)) = declared.split_once(' ') else {
            return Err("declares a family without a type");
        };
        if !["counter", "gauge", "histogram", "summary", "untyped"].contains(&kind) {
            return Err("has a type that this format does not know");
        }
        if self.families.insert(name.to_owned()) {
            Ok(())
        } else {
            Err("declares a family for the second time")
        }
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

    /// A sample's name, agent and value.
    type Owned = (String, Option<String>, f64);

    /// What is seen of a page that comes in pieces of this size.
    fn seen(page: &[u8], size: usize) -> Vec<Result<Owned, Unreadable>> {
        let (mut reader, mut seen) = (Reader::default(), Vec::new());
        let mut see = |read: Result<Sample<'_>, Unreadable>| {
            seen.push(read.map(|s| (s.name.to_owned(), s.agent.map(ToOwned::to_owned), s.value)));
        };
        page.chunks(size).for_each(|piece| reader.push(piece, &mut see));
        reader.finish(&mut see);
        seen
    }

    fn problems(page: &[u8]) -> Vec<&'static str> {
        let problems = |size| -> Vec<_> {
            seen(page, size).into_iter().filter_map(|read| Some(read.err()?.problem)).collect()
        };
        let whole = problems(usize::MAX);
        assert_eq!(problems(1), whole, "byte by byte");
        whole
    }

    #[test]
    fn samples_are_read() {
        let page = "# HELP a Some.\n# TYPE a gauge\na{agent=\"web-1\"} 1.5\n\
                    a{agent=\"web-2\",rack=\"a \\\"b\\\\\",zone=\"{,}\"} +Inf\nb 3\nc{} NaN\n";
        for size in [1, 2, 7, usize::MAX] {
            let samples: Vec<_> =
                seen(page.as_bytes(), size).into_iter().map(Result::unwrap).collect();
            let names: Vec<_> = samples.iter().map(|(name, ..)| name.as_str()).collect();
            assert_eq!(names, ["a", "a", "b", "c"], "in pieces of {size}");
            let agents: Vec<_> = samples.iter().map(|(_, agent, _)| agent.as_deref()).collect();
            assert_eq!(agents, [Some("web-1"), Some("web-2"), None, None]);
            assert_eq!((samples[0].2, samples[1].2), (1.5, f64::INFINITY));
            assert!(samples[3].2.is_nan());
        }
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
            assert_eq!(problems(page.as_bytes()), [problem], "{page:?}");
        }
    }

    #[test]
    fn an_empty_page_is_a_page() {
        assert_eq!(problems(b""), [] as [&str; 0]);
    }

    #[test]
    fn what_is_no_text_is_given_up() {
        assert_eq!(problems(b"a 1\n\xff 2\nb 3\n"), ["is not UTF-8, or one soon after it"]);
    }

    #[test]
    fn a_line_without_an_end_takes_no_memory() {
        let mut reader = Reader::default();
        let mut problems = Vec::new();
        for _ in 0..1_000 {
            reader.push(&[b'a'; 1_024], |read| problems.extend(read.err().map(|no| no.problem)));
            assert!(reader.begun.capacity() <= 4 * MAX_LINE_BYTES);
        }
        assert_eq!(problems, ["is longer than 64 KiB"]);
    }
}
