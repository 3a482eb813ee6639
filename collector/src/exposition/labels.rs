//! Text of the labels that all series of an agent have, as written after the opening brace. The
//! agent id comes first.

use std::borrow::Cow;

use fleetgauge_proto::{AgentId, Catalog, StaticLabels};

use super::escape::write_label;

const AGENT: &str = "agent=\"";
const CLIENT_NO: &str = "client_no";
/// Prefix of a static label whose name a label of the series has.
const RENAMED: &str = "agent_";

/// Renders the labels of an agent. `client_no` is the value of the label of that name, if given.
#[must_use]
pub fn write_labels(id: &AgentId, labels: &StaticLabels, client_no: Option<u16>) -> Box<str> {
    let mut text = format!("{AGENT}{id}\"");
    if let Some(port) = client_no {
        text.push_str(&format!(",{CLIENT_NO}=\"{port}\""));
    }
    for (name, value) in labels.iter() {
        write_label(name, value, &mut text);
    }
    text.into()
}

/// Returns the agent id in rendered labels. Ids contain no characters that need escapes.
#[must_use]
pub fn agent_of(labels: &str) -> &str {
    let id = labels.strip_prefix(AGENT).unwrap_or_default();
    id.split('"').next().unwrap_or_default()
}

/// Returns the names and values of the static labels in rendered labels.
pub fn static_labels(labels: &str) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
    escaped_labels(labels).map(|(name, value)| (name, unescape(value)))
}

/// Returns the names and escaped values of the static labels in rendered labels.
fn escaped_labels(labels: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = labels.strip_prefix(AGENT).and_then(after_value).unwrap_or_default();
    std::iter::from_fn(move || {
        let (name, from_value) = rest.strip_prefix(',')?.split_once("=\"")?;
        rest = after_value(from_value)?;
        let value = &from_value[..from_value.len() - rest.len() - 1];
        Some((name, value))
    })
    .filter(|(name, _)| *name != CLIENT_NO)
}

/// A static label whose name a catalog has as well, and its name on series that have both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rename {
    name: Box<str>,
    renamed: Box<str>,
}

impl Rename {
    /// Returns the bytes that the label grows by.
    pub(crate) fn growth(&self) -> usize {
        self.renamed.len() - self.name.len()
    }
}

/// Returns the static labels in rendered labels whose names a catalog has.
///
/// The new names are those of no other static label and of no label of the catalog, whether a
/// series has it or not. Otherwise two series of an agent could become equal.
pub(crate) fn renames(labels: &str, catalog: &Catalog) -> Vec<Rename> {
    let mut renames = Vec::<Rename>::new();
    if catalog.label_names.is_empty() {
        return renames;
    }
    for (name, _) in escaped_labels(labels).filter(|(name, _)| catalog.has_label(name)) {
        let is_taken = |new: &str| {
            catalog.has_label(new)
                || escaped_labels(labels).any(|(other, _)| other == new)
                || renames.iter().any(|other| *other.renamed == *new)
        };
        let mut renamed = format!("{RENAMED}{name}");
        while is_taken(&renamed) {
            renamed.insert_str(0, RENAMED);
        }
        renames.push(Rename { name: name.into(), renamed: renamed.into() });
    }
    renames
}

/// Returns rendered labels in which the static labels have their new names if `is_taken` returns
/// true for the old one.
pub(super) fn renamed_labels(
    labels: &str,
    renames: &[Rename],
    is_taken: impl Fn(&str) -> bool,
) -> String {
    let statics = escaped_labels(labels).next().map_or(labels.len(), |(name, _)| {
        labels.find(&format!(",{name}=\"")).unwrap_or(labels.len())
    });
    let growth = renames.iter().map(Rename::growth).sum::<usize>();
    let mut text = String::with_capacity(labels.len() + growth);
    text.push_str(&labels[..statics]);
    for (name, value) in escaped_labels(labels) {
        let rename = renames.iter().find(|rename| *rename.name == *name && is_taken(name));
        let name = rename.map_or(name, |rename| &rename.renamed);
        for part in [",", name, "=\"", value, "\""] {
            text.push_str(part);
        }
    }
    text
}

/// Returns the text after the closing quote of a label value.
fn after_value(text: &str) -> Option<&str> {
    let mut escaped = false;
    let end = text.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.map(|end| &text[end + 1..])
}

fn unescape(value: &str) -> Cow<'_, str> {
    if !value.contains('\\') {
        return value.into();
    }
    let mut plain = String::with_capacity(value.len());
    let mut rest = value.chars();
    while let Some(char) = rest.next() {
        plain.push(match char {
            '\\' => match rest.next() {
                Some('n') => '\n',
                Some(other) => other,
                None => break,
            },
            other => other,
        });
    }
    plain.into()
}

#[cfg(test)]
mod tests {
    use fleetgauge_proto::message::Label;

    use super::*;

    #[test]
    fn static_labels_survive_rendering() {
        let given = [
            Label { name: "dc", value: "fra" },
            Label { name: "dir", value: "C:\\new\n\"quoted\" – ü, x=\"1\"" },
            Label { name: "zone", value: "\\" },
        ];
        let id = AgentId::try_new("a").unwrap();
        let labels = StaticLabels::try_new(&given).unwrap();
        for client_no in [None, Some(1)] {
            let text = write_labels(&id, &labels, client_no);
            let found: Vec<_> = static_labels(&text).collect();
            let given = given.iter().map(|label| (label.name, Cow::from(label.value)));
            assert_eq!(found, given.collect::<Vec<_>>());
        }
        let none = write_labels(&id, &StaticLabels::try_new(&[]).unwrap(), None);
        assert_eq!(static_labels(&none).count(), 0);
    }

    #[test]
    fn agent_id_survives_rendering() {
        let id = AgentId::try_new("web-1.example:9").unwrap();
        let labels = StaticLabels::try_new(&[Label { name: "dc", value: "a\"b" }]).unwrap();
        let text = write_labels(&id, &labels, Some(4711));
        assert_eq!(&*text, "agent=\"web-1.example:9\",client_no=\"4711\",dc=\"a\\\"b\"");
        assert_eq!(agent_of(&text), "web-1.example:9");
    }
}
