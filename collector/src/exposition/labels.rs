//! The labels that all series of an agent carry, as they stand between the braces: the id first.

use std::sync::Arc;

use fleetgauge_proto::{AgentId, StaticLabels};

use super::head::escape_label_value;

const AGENT: &str = "agent=\"";

/// The labels as text.
#[must_use]
pub fn write_labels(id: &AgentId, labels: &StaticLabels, client_no: Option<u16>) -> Arc<str> {
    let mut text = format!("{AGENT}{id}\"");
    if let Some(port) = client_no {
        text.push_str(&format!(",client_no=\"{port}\""));
    }
    for (name, value) in labels.iter() {
        text.push_str(&format!(",{name}=\"{}\"", escape_label_value(value)));
    }
    text.into()
}

/// The agent's id, from such text. Nothing in an id is escaped.
#[must_use]
pub fn agent_of(labels: &str) -> &str {
    let id = labels.strip_prefix(AGENT).unwrap_or_default();
    id.split('"').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use fleetgauge_proto::message::Label;

    use super::*;

    #[test]
    fn the_id_is_found_again() {
        let id = AgentId::try_new("web-1.example:9").unwrap();
        let labels = StaticLabels::try_new(&[Label { name: "dc", value: "a\"b" }]).unwrap();
        let text = write_labels(&id, &labels, Some(4711));
        assert_eq!(&*text, "agent=\"web-1.example:9\",client_no=\"4711\",dc=\"a\\\"b\"");
        assert_eq!(agent_of(&text), "web-1.example:9");
    }
}
