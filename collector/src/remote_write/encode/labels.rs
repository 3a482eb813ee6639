//! The labels of an agent, parsed once per entry.

use crate::exposition::{agent_of, static_labels};

/// Names and unescaped values of an agent's labels, `agent` first.
#[derive(Debug, Default)]
pub(super) struct AgentLabels {
    /// All names, each with a comma after it. Names contain no commas.
    names: String,
    values: String,
    /// End of each label in `names`, before the comma, and in `values`.
    ends: Vec<(usize, usize)>,
}

impl AgentLabels {
    /// Replaces the labels by those in rendered labels.
    pub(super) fn parse(&mut self, labels: &str) {
        self.names.clear();
        self.values.clear();
        self.ends.clear();
        let id = agent_of(labels);
        self.push("agent", id);
        // The port of a classic client follows the id. No static label has its name.
        let rest = labels.get("agent=\"\"".len() + id.len()..).unwrap_or_default();
        let client_no = rest.strip_prefix(",client_no=\"").and_then(|rest| rest.split_once('"'));
        if let Some((client_no, _)) = client_no {
            self.push("client_no", client_no);
        }
        for (name, value) in static_labels(labels) {
            self.push(name, &value);
        }
    }

    fn push(&mut self, name: &str, value: &str) {
        self.names.push_str(name);
        self.values.push_str(value);
        self.ends.push((self.names.len(), self.values.len()));
        self.names.push(',');
    }

    /// Returns all names as one text: equal texts have equal names.
    pub(super) fn names(&self) -> &str {
        &self.names
    }

    /// Returns the value of the label with this index.
    pub(super) fn value(&self, index: usize) -> &str {
        let end = |at: usize| self.ends.get(at).map_or(0, |(_, end)| *end);
        let start = index.checked_sub(1).map_or(0, end);
        self.values.get(start..end(index)).unwrap_or_default()
    }

    /// Iterates over names and values.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let (mut name_start, mut value_start) = (0, 0);
        self.ends.iter().map(move |&(name_end, value_end)| {
            let name = &self.names[name_start..name_end];
            let value = &self.values[value_start..value_end];
            (name_start, value_start) = (name_end + 1, value_end);
            (name, value)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(labels: &str) -> Vec<(String, String)> {
        let mut own = AgentLabels::default();
        own.parse("agent=\"old\",x=\"y\"");
        own.parse(labels);
        own.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn labels_are_parsed_and_unescaped() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(parsed("agent=\"a\""), [pair("agent", "a")]);
        let labels = "agent=\"a\",client_no=\"7\",dc=\"x\\\\,y=\\\"1\\\"\\n\",rack=\"ü\"";
        let expected = [
            pair("agent", "a"),
            pair("client_no", "7"),
            pair("dc", "x\\,y=\"1\"\n"),
            pair("rack", "ü"),
        ];
        assert_eq!(parsed(labels), expected);
    }
}
