//! Patterns of the names in agents' certificates.

/// Placeholder of the agent id.
const ID: &str = "{id}";

/// A pattern of certificate names: text around `{id}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePattern {
    before: Box<str>,
    after: Box<str>,
}

/// The default is `{id}`: the whole name is the agent id.
impl Default for NamePattern {
    fn default() -> Self {
        Self { before: "".into(), after: "".into() }
    }
}

impl NamePattern {
    /// Parses a pattern such as `{id}.agents.example.com`.
    ///
    /// # Errors
    /// A message that says what would be valid.
    pub fn parse(text: &str) -> Result<Self, String> {
        let valid = "must be a name with one {id} in place of the agent id, such as \
                     {id}.agents.example.com or spiffe://example.com/agent/{id}";
        match text.split_once(ID) {
            Some((before, after)) if !after.contains(ID) && !text.contains(char::is_whitespace) => {
                Ok(Self { before: before.into(), after: after.into() })
            }
            _ => Err(valid.to_owned()),
        }
    }

    /// Returns the agent id in a certificate's name; `None` if the name does not match.
    #[must_use]
    pub fn id<'a>(&self, name: &'a str) -> Option<&'a str> {
        name.strip_prefix(&*self.before)?.strip_suffix(&*self.after).filter(|id| !id.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_pattern_takes_the_whole_name() {
        assert_eq!(NamePattern::default().id("web-01"), Some("web-01"));
        assert_eq!(NamePattern::parse("{id}").unwrap(), NamePattern::default());
    }

    #[test]
    fn pattern_extracts_the_id() {
        let domain = NamePattern::parse("{id}.agents.example.com").unwrap();
        assert_eq!(domain.id("web-01.agents.example.com"), Some("web-01"));
        for other in [
            ".agents.example.com",
            "web-01.example.com",
            "web-01.agents.example.com.evil",
            "web-01",
        ] {
            assert_eq!(domain.id(other), None, "{other}");
        }
        let uri = NamePattern::parse("spiffe://example.com/agent/{id}").unwrap();
        assert_eq!(uri.id("spiffe://example.com/agent/db-2"), Some("db-2"));
        assert_eq!(uri.id("spiffe://example.org/agent/db-2"), None);
    }

    #[test]
    fn overlapping_prefix_and_suffix_do_not_match() {
        let pattern = NamePattern::parse("ab{id}ba").unwrap();
        assert_eq!(pattern.id("aba"), None);
        assert_eq!(pattern.id("abxba"), Some("x"));
    }

    #[test]
    fn invalid_patterns_are_rejected() {
        for text in ["", "web-01", "{id}{id}", "{id}.{id}", "{name}", "{id} "] {
            let problem = NamePattern::parse(text).unwrap_err();
            assert!(problem.contains("{id}.agents.example.com"), "{problem}");
        }
    }
}
