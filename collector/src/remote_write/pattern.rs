//! Patterns for names: `*` matches any text, also none.

/// A pattern such as `node_cpu_*`: the texts around each `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    /// The text before the first `*`; the whole name if there is none.
    prefix: Box<str>,
    /// The texts between two `*`.
    middle: Box<[Box<str>]>,
    /// The text after the last `*`; `None` without one.
    suffix: Option<Box<str>>,
}

impl Pattern {
    pub(super) fn new(text: &str) -> Self {
        let mut parts = text.split('*');
        let prefix = parts.next().unwrap_or_default().into();
        let suffix = parts.next_back().map(Box::from);
        let middle = parts.filter(|part| !part.is_empty()).map(Box::from).collect();
        Self { prefix, middle, suffix }
    }

    /// Whether the pattern matches the whole name. Takes linear time: the first occurrence of each
    /// text between two `*` is always the best, so there is no backtracking.
    pub(super) fn matches(&self, name: &str) -> bool {
        let Some(suffix) = &self.suffix else { return name == &*self.prefix };
        let inner = name.strip_prefix(&*self.prefix).and_then(|rest| rest.strip_suffix(&**suffix));
        let Some(mut inner) = inner else { return false };
        self.middle.iter().all(|part| match inner.split_once(&**part) {
            Some((_, after)) => {
                inner = after;
                true
            }
            None => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn star_matches_any_text() {
        let cases = [
            ("up", "up", true),
            ("up", "ups", false),
            ("", "", true),
            ("*", "", true),
            ("*", "anything", true),
            ("node_*", "node_", true),
            ("node_*", "node", false),
            ("*_total", "a_total", true),
            ("*_total", "a_total_b", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "a1b2b3c", true),
            ("a*b*c", "acb", false),
            ("a*b*c", "ac", false),
            ("a**b", "ab", true),
            ("ab*ba", "aba", false),
            ("*aab", "aaab", true),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(Pattern::new(pattern).matches(name), expected, "{pattern} {name}");
        }
    }
}
