//! Include and exclude patterns of collectors.

use regex_lite::Regex;

/// Selects names by an include and an exclude pattern. Patterns are not anchored.
#[derive(Debug, Clone, Default)]
pub(super) struct Filter {
    include: Option<Regex>,
    exclude: Option<Regex>,
}

impl Filter {
    /// Creates a filter. An empty pattern is no pattern.
    pub(super) const fn new(include: Option<Regex>, exclude: Option<Regex>) -> Self {
        Self { include, exclude }
    }

    /// Returns whether the name is selected: it matches the include pattern, if there is one, and
    /// does not match the exclude pattern.
    pub(super) fn selects(&self, name: &str) -> bool {
        self.include.as_ref().is_none_or(|pattern| pattern.is_match(name))
            && !self.exclude.as_ref().is_some_and(|pattern| pattern.is_match(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_must_match_include_and_not_exclude() {
        let filter = |include: &str, exclude: &str| {
            let pattern = |text: &str| (!text.is_empty()).then(|| Regex::new(text).unwrap());
            Filter::new(pattern(include), pattern(exclude))
        };
        let selected = |filter: Filter| {
            ["eth0", "veth1", "lo"]
                .into_iter()
                .filter(|name| filter.selects(name))
                .collect::<Vec<_>>()
        };
        assert_eq!(selected(filter("", "")), ["eth0", "veth1", "lo"]);
        assert_eq!(selected(filter("eth", "")), ["eth0", "veth1"], "patterns are not anchored");
        assert_eq!(selected(filter("eth", "^veth")), ["eth0"]);
        assert_eq!(selected(filter("", "^lo$")), ["eth0", "veth1"]);
    }
}
