//! Patterns of file names, with `*` and `?`.

use std::ffi::OsStr;

/// A pattern of file names: `*` stands for any bytes, `?` for one character. As in a shell, only a
/// pattern that starts with a dot matches names that do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePattern(Box<str>);

impl FilePattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// It is empty, has a slash, or has a class such as `[ab]`, which is not supported.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.contains(['/', '\0']) {
            return Err("must be the name of a file, or a pattern such as *.prom".to_owned());
        }
        if text.contains('[') {
            return Err("has a [; only * and ? are supported in a pattern".to_owned());
        }
        Ok(Self(text.into()))
    }

    /// Returns the pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether the name of a file matches. The time is at most proportional to the product
    /// of both lengths.
    #[must_use]
    pub fn matches(&self, name: &OsStr) -> bool {
        let (pattern, name) = (self.0.as_bytes(), name.as_encoded_bytes());
        if name.starts_with(b".") && !pattern.starts_with(b".") {
            return false;
        }
        let (mut pattern, mut name) = (pattern, name);
        // Pattern after the last `*`, and the part of the name that it is tried on next.
        let mut retry: Option<(&[u8], &[u8])> = None;
        loop {
            match (pattern, name) {
                ([b'*', rest @ ..], _) => {
                    retry = Some((rest, name));
                    pattern = rest;
                }
                ([b'?', rest @ ..], [_, ..]) => (pattern, name) = (rest, after_character(name)),
                ([a, rest @ ..], [b, after @ ..]) if a == b => (pattern, name) = (rest, after),
                ([], []) => return true,
                // Let the last `*` stand for one byte more.
                _ => match retry {
                    Some((after_star, [_, shorter @ ..])) => {
                        retry = Some((after_star, shorter));
                        (pattern, name) = (after_star, shorter);
                    }
                    _ => return false,
                },
            }
        }
    }
}

/// Returns the rest of a name after its first character, or after its first byte if that is not
/// UTF-8.
fn after_character(name: &[u8]) -> &[u8] {
    let start = name.get(..4).unwrap_or(name);
    let valid = start.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    let length = valid.chars().next().map_or(1, char::len_utf8);
    name.get(length..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        FilePattern::parse(pattern).unwrap().matches(OsStr::new(name))
    }

    #[test]
    fn stars_and_question_marks_match_as_in_a_shell() {
        for (pattern, name) in [
            ("*.prom", "a.prom"),
            ("*.prom", "a.prom.prom"),
            ("*", "a b\n\"c\""),
            ("a*b*c", "a-b-b-c-c"),
            ("**a**", "bab"),
            ("a?c", "abc"),
            ("a?c", "a\u{20ac}c"),
            ("a?", "a\u{1f600}"),
            ("exact.prom", "exact.prom"),
            (".*", ".hidden"),
            ("*\u{e4}", "x\u{e4}"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("*.prom", "a.prom.tmp"),
            ("*.prom", ".hidden.prom"),
            ("?hidden", ".hidden"),
            ("*.prom", "aprom"),
            ("a*b*c", "a-c-b"),
            ("a?c", "ac"),
            ("a?", "a\u{20ac}c"),
            ("exact.prom", "exact.promx"),
            ("a", ""),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn names_that_are_not_utf8_are_matched() {
        use std::os::unix::ffi::OsStrExt;
        let matches =
            |pattern, name| FilePattern::parse(pattern).unwrap().matches(OsStr::from_bytes(name));
        assert!(matches("*.prom", b"\xff\xfe.prom"));
        assert!(matches("??.prom", b"\xff\xe2.prom"));
        assert!(!matches("?.prom", b"\xff\xe2.prom"));
    }

    /// Exponential backtracking would not finish.
    #[test]
    fn many_stars_do_not_multiply_the_work() {
        assert!(!matches(&"*a".repeat(100), &"a".repeat(99)));
        assert!(!matches(&format!("{}b", "a*".repeat(100)), &"a".repeat(250)));
    }

    #[test]
    fn other_patterns_are_errors() {
        for text in ["", "a/b", "a\0", "[ab].prom"] {
            FilePattern::parse(text).unwrap_err();
        }
    }
}
