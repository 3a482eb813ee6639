//! Errors of a scrape.

use std::fmt::Write;

use fleetgauge_common::http_client::HttpError;

/// Maximum length of an excerpt of a line in an error, in characters: one line of a terminal.
pub const MAX_EXCERPT_CHARS: usize = 80;

/// An error that ends a scrape.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScrapeError {
    /// The page is longer than allowed.
    #[error("the page is longer than {max} bytes")]
    TooLarge {
        /// Maximum length of a page, in bytes.
        max: u64,
    },
    /// The page has more samples than allowed.
    #[error("the page has more than {max} samples")]
    TooManySamples {
        /// Maximum number of samples of a page.
        max: usize,
    },
    /// A line violates the format or exceeds a limit.
    #[error("line {line} {problem}: \"{excerpt}\"")]
    BadLine {
        /// Line number, from 1.
        line: u64,
        /// What is wrong with the line, as a predicate.
        problem: &'static str,
        /// Start of the line, escaped: see [`excerpt`].
        excerpt: String,
    },
    /// The page ends before its last line.
    #[error("the page is cut off after {lines} lines: it does not end with # EOF")]
    CutOff {
        /// Number of complete lines.
        lines: u64,
    },
    /// The receiver of the samples does not accept one.
    #[error("the page cannot be used: {0}")]
    Unusable(&'static str),
    /// The connection cannot be established, or breaks.
    #[error("connection failed: {0}")]
    Connect(String),
    /// A file of the exporter's settings is unusable: password, token, certificate.
    #[error("cannot authenticate: {0}")]
    Credentials(String),
    /// The page did not arrive in time.
    #[error("no complete page within {ms} ms")]
    Timeout {
        /// Time allowed for the scrape, in milliseconds.
        ms: u64,
    },
    /// The exporter answered with a status other than 200.
    #[error("the exporter answered with HTTP status {0}")]
    HttpStatus(u16),
    /// The exporter answered with a redirect, which is not followed.
    #[error("the exporter redirects to {location} (HTTP status {status}); set the final URL")]
    Redirect {
        /// HTTP status.
        status: u16,
        /// Host of the new location, escaped: see [`excerpt`]. The rest may have secrets.
        location: String,
    },
    /// The content type of the page is not a known text format.
    #[error("the page has an unsupported content type: {0}")]
    ContentType(String),
    /// The content or transfer coding of the page is unknown, or its data is invalid.
    #[error("the page has an unsupported or broken encoding: {0}")]
    Encoding(String),
}

impl From<HttpError> for ScrapeError {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Connect(problem) => Self::Connect(problem),
            HttpError::Credentials(problem) => Self::Credentials(problem),
        }
    }
}

impl ScrapeError {
    /// Returns the stable name of the error, for logs and metrics.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too_large",
            Self::TooManySamples { .. } => "too_many_samples",
            Self::BadLine { .. } => "bad_line",
            Self::CutOff { .. } => "cut_off",
            Self::Unusable(_) => "unusable",
            Self::Connect(_) => "connect",
            Self::Credentials(_) => "credentials",
            Self::Timeout { .. } => "timeout",
            Self::HttpStatus(_) => "http_status",
            Self::Redirect { .. } => "redirect",
            Self::ContentType(_) => "content_type",
            Self::Encoding(_) => "encoding",
        }
    }
}

/// Returns the start of a line of untrusted bytes for an error: at most [`MAX_EXCERPT_CHARS`]
/// printable characters, and `...` if the line is longer.
#[must_use]
pub fn excerpt(line: &[u8]) -> String {
    // Longer lines are cut before they are decoded, because a line may have many kilobytes.
    let start = line.get(..MAX_EXCERPT_CHARS * 4).unwrap_or(line);
    let (mut text, mut chars, mut escaped) = (String::new(), 0, String::new());
    let mut append = |piece: &str| {
        chars += piece.chars().count();
        if chars <= MAX_EXCERPT_CHARS {
            text.push_str(piece);
        }
        chars <= MAX_EXCERPT_CHARS
    };
    let mut fits = true;
    for chunk in start.utf8_chunks() {
        for character in chunk.valid().chars() {
            escaped.clear();
            escaped.extend(character.escape_debug());
            fits = fits && append(&escaped);
        }
        for byte in chunk.invalid() {
            escaped.clear();
            // Writing to a string cannot fail.
            let _ = write!(escaped, "\\x{byte:02x}");
            fits = fits && append(&escaped);
        }
    }
    if !fits || start.len() < line.len() {
        text.push_str("...");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_are_printable() {
        for (line, expected) in [
            (&b"a{b=\"c\"} 1"[..], r#"a{b=\"c\"} 1"#),
            (b"a\tb\0\x1b[2J\r", r"a\tb\0\u{1b}[2J\r"),
            (b"a\xff\xc3", r"a\xff\xc3"),
            ("größe\u{202e}".as_bytes(), r"größe\u{202e}"),
            (b"", ""),
        ] {
            assert_eq!(excerpt(line), expected);
        }
    }

    #[test]
    fn long_excerpts_are_truncated() {
        for line in ["x".repeat(100_000), "ä".repeat(100_000), "\u{1b}".repeat(100_000)] {
            let text = excerpt(line.as_bytes());
            assert!(text.ends_with("..."), "{text}");
            assert!(text.chars().count() <= MAX_EXCERPT_CHARS + 3, "{text}");
            assert!(text.chars().count() > MAX_EXCERPT_CHARS - 10, "{text}");
        }
        assert_eq!(excerpt(&[0xff; 100_000]).chars().count(), MAX_EXCERPT_CHARS + 3);
        assert_eq!(excerpt("𝄞".repeat(MAX_EXCERPT_CHARS).as_bytes()).chars().count(), 80);
    }

    #[test]
    fn errors_name_the_line_and_the_problem() {
        let error = ScrapeError::BadLine { line: 3, problem: "has no value", excerpt: "a".into() };
        assert_eq!(error.to_string(), "line 3 has no value: \"a\"");
        assert_eq!(error.reason(), "bad_line");
    }
}
