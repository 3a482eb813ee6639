//! Patterns of the names in agents' certificates.

/// Placeholder of the id.
const ID: &str = "{id}";

/// A pattern of certificate names: text around `{id}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePattern {
    before: Box<str>,
    after: Box<str>,
}

/// The name is the id.
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
        let right = "must be a name with {id} once where the agent's id stands, such as \
                     {id}.agents.example.com or spiffe://example.com/agent/{id}";
        match text.split_once(ID) {
            Some((before, after)) if !after.contains(ID) && !text.contains(char::is_whitespace) => {
                Ok(Self { before: before.into(), after: after.into() })
            }
            _ => Err(right.to_owned()),
        }
    }

    /// Returns the agent id in a certificate's name.
    #[must_use]
    pub fn id<'a>(&self, name: &'a str) -> Option<&'a str> {
        name.strip_prefix(&*self.before)?.strip_suffix(&*self.after).filter(|id| !id.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_id_unless_the_operator_says_otherwise() {
        assert_eq!(NamePattern::default().id("web-01"), Some("web-01"));
        assert_eq!(NamePattern::parse("{id}").unwrap(), NamePattern::default());
    }

    #[test]
    fn the_id_is_what_stands_in_its_place() {
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
    fn overlapping_ends_are_no_match() {
        let pattern = NamePattern::parse("ab{id}ba").unwrap();
        assert_eq!(pattern.id("aba"), None);
        assert_eq!(pattern.id("abxba"), Some("x"));
    }

    #[test]
    fn patterns_that_cannot_be() {
        for text in ["", "web-01", "{id}{id}", "{id}.{id}", "{name}", "{id} "] {
            let problem = NamePattern::parse(text).unwrap_err();
            assert!(problem.contains("{id}.agents.example.com"), "{problem}");
        }
    }
}
