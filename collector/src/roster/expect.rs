//! The list of expected agents: a file of the operator with one id per line and `#` comments.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use fleetgauge_proto::AgentId;

/// Maximum ids in a file.
const MAX_EXPECTED: usize = 1_000_000;
/// Maximum line length in bytes, comments included.
const MAX_LINE_BYTES: u64 = 1024;

/// The expected agents; cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected(Arc<HashSet<AgentId>>);

/// Why a file of expected agents is invalid.
#[derive(Debug, thiserror::Error)]
pub enum BadExpectation {
    /// The file cannot be read.
    #[error("cannot read {file}: {cause}")]
    Unreadable {
        /// The file.
        file: String,
        /// The operating system's error.
        cause: std::io::Error,
    },
    /// An invalid line.
    #[error("{file}, line {line}: {problem}")]
    Line {
        /// The file.
        file: String,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with the line.
        problem: String,
    },
}

impl Expected {
    /// Reads a file.
    ///
    /// # Errors
    /// The file cannot be read, or its first invalid line.
    pub fn read(path: &Path) -> Result<Self, BadExpectation> {
        let file = path.display().to_string();
        match open(path).map_err(|cause| (0, Problem::Unreadable(cause))).and_then(parse) {
            Ok(ids) => Ok(Self(Arc::new(ids))),
            Err((_, Problem::Unreadable(cause))) => Err(BadExpectation::Unreadable { file, cause }),
            Err((line, Problem::Line(problem))) => {
                Err(BadExpectation::Line { file, line, problem })
            }
        }
    }

    /// Whether an agent is expected.
    #[must_use]
    pub fn contains(&self, id: &AgentId) -> bool {
        self.0.contains(id)
    }

    /// Returns all expected agents.
    pub fn iter(&self) -> impl Iterator<Item = &AgentId> {
        self.0.iter()
    }
}

/// Opens a regular file. Opening a FIFO would block until it has a writer.
fn open(path: &Path) -> std::io::Result<File> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("not a regular file"));
    }
    File::open(path)
}

enum Problem {
    Unreadable(std::io::Error),
    Line(String),
}

fn parse(file: impl Read) -> Result<HashSet<AgentId>, (usize, Problem)> {
    let mut file = BufReader::new(file);
    let mut ids = HashSet::new();
    let mut text = String::new();
    for line in 1.. {
        text.clear();
        let read = (&mut file).take(MAX_LINE_BYTES).read_line(&mut text);
        if read.map_err(|cause| (line, Problem::Unreadable(cause)))? == 0 {
            break;
        }
        let wrong = |problem| (line, Problem::Line(problem));
        let invalid = |problem| {
            wrong(format!("{problem}; write one agent id per line, and comments after #"))
        };
        if text.len() as u64 == MAX_LINE_BYTES && !text.ends_with('\n') {
            return Err(invalid(format!("longer than {MAX_LINE_BYTES} bytes")));
        }
        let id = text.split('#').next().unwrap_or_default().trim();
        if id.is_empty() {
            continue;
        }
        ids.insert(AgentId::try_new(id).map_err(|bad| invalid(bad.to_string()))?);
        if ids.len() > MAX_EXPECTED {
            return Err(wrong(format!("more than {MAX_EXPECTED} ids; remove some")));
        }
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> (usize, String) {
        match parse(text.as_bytes()) {
            Err((line, Problem::Line(problem))) => (line, problem),
            Err((line, Problem::Unreadable(cause))) => (line, cause.to_string()),
            Ok(ids) => panic!("{ids:?}"),
        }
    }

    #[test]
    fn comments_and_empty_lines_are_ignored() {
        let ids = parse("# ours\nweb-1\n\n  db-1 # the old one\r\nweb-1\n".as_bytes());
        let Ok(mut ids) = ids.map(|ids| ids.iter().map(AgentId::to_string).collect::<Vec<_>>())
        else {
            panic!("the file is valid")
        };
        ids.sort();
        assert_eq!(ids, ["db-1", "web-1"]);
    }

    #[test]
    fn invalid_ids_are_reported_with_their_line() {
        let (line, message) = problem("web-1\nweb 2\n");
        assert_eq!(line, 2);
        assert!(message.contains("web 2"), "{message}");
        assert_eq!(problem(&format!("a\nb\n{}\n", "x".repeat(129))).0, 3);
    }

    #[test]
    fn endless_line_is_rejected() {
        let (line, message) = problem(&"x".repeat(1 << 20));
        assert_eq!(line, 1);
        assert!(message.starts_with("longer than 1024 bytes; write one agent id"), "{message}");
    }

    #[test]
    fn binary_file_is_rejected() {
        assert!(matches!(parse(&[0xff, 0xfe, b'\n'][..]), Err((1, Problem::Unreadable(_)))));
    }
}
