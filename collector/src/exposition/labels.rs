//! Text of the labels that all series of an agent have, as written after the opening brace. The
//! agent id comes first.

use std::borrow::Cow;
use std::ops::Range;

use fleetgauge_proto::{AgentId, Catalog, StaticLabels};

use super::escape::write_label;

const AGENT: &str = "agent=\"";
const CLIENT_NO: &str = "client_no";
/// Prefix of a static label that has the same name as a label of the series.
pub(crate) const RENAMED: &str = "agent_";

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
    &labels[agent_range(labels)]
}

/// Returns the range of the agent id in rendered labels.
pub(crate) fn agent_range(labels: &str) -> Range<usize> {
    let id = labels.strip_prefix(AGENT).unwrap_or_default();
    let length = id.find('"').unwrap_or(id.len());
    let start = if length > 0 { AGENT.len() } else { 0 };
    start..start + length
}

/// Returns the value of the label `client_no` in rendered labels.
pub(crate) fn client_no(labels: &str) -> Option<u16> {
    let rest = after_value(labels.strip_prefix(AGENT)?)?;
    let value = rest.strip_prefix(',')?.strip_prefix(CLIENT_NO)?.strip_prefix("=\"")?;
    value.split('"').next()?.parse().ok()
}

/// Returns the names and values of the static labels in rendered labels.
pub fn static_labels(labels: &str) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
    escaped_labels(labels).map(|label| (label.name, unescape(label.value)))
}

/// Returns the names and values of a sample's labels, as written between the braces.
pub(crate) fn sample_labels(labels: &str) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
    let mut rest = labels;
    std::iter::from_fn(move || {
        let (name, from_value) = rest.split_once("=\"")?;
        let after = after_value(from_value)?;
        let value = &from_value[..from_value.len() - after.len() - 1];
        rest = after.strip_prefix(',').unwrap_or_default();
        Some((name, unescape(value)))
    })
}

/// A static label in rendered labels.
struct EscapedLabel<'a> {
    /// Index of its name in the text.
    at: usize,
    name: &'a str,
    /// Its value, escaped.
    value: &'a str,
}

/// Returns the static labels in rendered labels.
fn escaped_labels(labels: &str) -> impl Iterator<Item = EscapedLabel<'_>> {
    let mut rest = labels.strip_prefix(AGENT).and_then(after_value).unwrap_or_default();
    std::iter::from_fn(move || {
        let text = rest.strip_prefix(',')?;
        let (name, from_value) = text.split_once("=\"")?;
        rest = after_value(from_value)?;
        let value = &from_value[..from_value.len() - rest.len() - 1];
        Some(EscapedLabel { at: labels.len() - text.len(), name, value })
    })
    .filter(|label| label.name != CLIENT_NO)
}

/// Returns how often a label name repeats the prefix of renamed labels.
pub(crate) fn prefixes(mut name: &str) -> usize {
    let mut prefixes = 0;
    while let Some(rest) = name.strip_prefix(RENAMED) {
        name = rest;
        prefixes += 1;
    }
    prefixes
}

/// The new names of an agent's static labels that collide with labels of a catalog.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Renames {
    /// Number of labels with new names.
    labels: usize,
    /// How often each of them repeats the prefix; 0 without such labels.
    pub(crate) prefixes: usize,
}

impl Renames {
    /// Finds the static labels in `labels` that collide with labels of the catalog, and chooses new
    /// names. `most_prefixes` is the maximum number of [`prefixes`] of the catalog's label names.
    ///
    /// A new name differs from all static labels and from all labels of the catalog, even those
    /// that a series lacks. Otherwise two series of an agent could become equal. If a name with one
    /// prefix is taken, all new names get more prefixes than any taken name has. A search for free
    /// names would take more than linear time, which an attacker could exploit.
    pub(crate) fn of(labels: &str, catalog: &Catalog, most_prefixes: usize) -> Self {
        if catalog.label_names.is_empty() {
            return Self::default();
        }
        let mut names: Vec<_> = escaped_labels(labels).map(|label| label.name).collect();
        names.sort_unstable();
        let in_catalog = |name: &str| contains(&catalog.label_names, name);
        let colliding: Vec<_> = names.iter().filter(|name| in_catalog(name)).collect();
        let mut with_prefix = colliding.iter().map(|name| format!("{RENAMED}{name}"));
        let is_taken = |name: String| in_catalog(&name) || contains(&names, &name);
        let prefixes = if colliding.is_empty() {
            0
        } else if with_prefix.any(is_taken) {
            names.iter().map(|name| prefixes(name)).fold(most_prefixes, usize::max) + 1
        } else {
            1
        };
        Self { labels: colliding.len(), prefixes }
    }

    /// Returns the maximum number of bytes that the labels of a series grow by.
    pub(crate) fn growth(&self) -> usize {
        self.labels * self.prefixes * RENAMED.len()
    }
}

/// Returns rendered labels with this many prefixes before each static label whose name is in
/// `taken`, which must be sorted. Uses `text` if a label is renamed.
pub(super) fn renamed_labels<'a>(
    labels: &'a str,
    prefixes: usize,
    taken: &[&str],
    text: &'a mut String,
) -> &'a str {
    if prefixes == 0 || taken.is_empty() {
        return labels;
    }
    text.clear();
    let mut copied = 0;
    for EscapedLabel { at, name, .. } in escaped_labels(labels) {
        if contains(taken, name) {
            text.push_str(&labels[copied..at]);
            text.extend(std::iter::repeat_n(RENAMED, prefixes));
            copied = at;
        }
    }
    if copied == 0 {
        return labels;
    }
    text.push_str(&labels[copied..]);
    text
}

/// Returns whether a sorted list contains a name.
fn contains(names: &[impl AsRef<str>], name: &str) -> bool {
    #[cfg(test)]
    tests::count_lookup();
    names.binary_search_by(|own| own.as_ref().cmp(name)).is_ok()
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
    use std::cell::Cell;
    use std::collections::BTreeSet;

    use fleetgauge_proto::Limits;
    use fleetgauge_proto::message::{Catalog as Declared, Column, Family, Label, Table};

    use super::*;

    thread_local! {
        static LOOKUPS: Cell<usize> = const { Cell::new(0) };
    }

    /// Counts a lookup of a label name.
    pub(super) fn count_lookup() {
        LOOKUPS.set(LOOKUPS.get() + 1);
    }

    /// Returns a catalog with these column labels: a column for each.
    fn catalog(names: &[&str]) -> Catalog {
        let column = |(family, name)| {
            let labels = vec![Label { name, value: "x" }];
            Column { family, width: 1, decimals: 0, parameters: vec![], labels }
        };
        let texts: Vec<_> = (0..names.len()).map(|n| format!("m{n}")).collect();
        let family = |name| Family { name, kind: 1, unit: "", help: "" };
        let families = texts.iter().map(|name| family(name.as_str())).collect();
        let columns = (0..).zip(names.iter().copied()).map(column).collect();
        let tables = vec![Table { row_labels: vec![], columns }];
        let declared = Declared { stream: 0, slot: 0, families, tables };
        Catalog::try_new(&declared, &Limits::default()).unwrap()
    }

    fn rendered(names: &[&str]) -> Box<str> {
        let labels: Vec<_> = names.iter().map(|name| Label { name, value: "\"\\," }).collect();
        let id = AgentId::try_new("a").unwrap();
        write_labels(&id, &StaticLabels::try_new(&labels).unwrap(), None)
    }

    fn renames(statics: &[&str], in_catalog: &[&str]) -> Renames {
        let most = in_catalog.iter().map(|name| prefixes(name)).max().unwrap_or(0);
        Renames::of(&rendered(statics), &catalog(in_catalog), most)
    }

    /// Every static label collides. The first names are `x`, `agent_x`, `agent_agent_x` and so on:
    /// a search for each free name would visit all of them. One prefix makes the second names free.
    #[test]
    fn many_colliding_static_labels_take_linear_time() {
        let chain = (0..32).map(|n| RENAMED.repeat(n) + "x").collect::<Vec<_>>();
        let apart = (0..32).map(|n| format!("x{n}")).collect::<Vec<_>>();
        for (names, prefixes) in [(chain, 32), (apart, 1)] {
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            for labels in [8, 16, 32] {
                LOOKUPS.set(0);
                assert_eq!(renames(&names[..labels], &names), Renames { labels, prefixes });
                let lookups = LOOKUPS.get();
                assert!(lookups <= 3 * labels, "{lookups} lookups for {labels} labels");
            }
        }
    }

    #[test]
    fn new_names_are_free_and_have_one_prefix_if_possible() {
        const NAMES: [&str; 6] = ["x", "agent_x", "agent_agent_x", "y", "agent_y", "agent_"];
        let subset = |bits: usize| -> Vec<&str> {
            NAMES.into_iter().enumerate().filter(|(n, _)| bits >> n & 1 == 1).map(|n| n.1).collect()
        };
        for statics in (0..64).map(subset) {
            for in_catalog in (1..64).map(subset) {
                let taken: BTreeSet<_> = statics.iter().chain(&in_catalog).copied().collect();
                let colliding: Vec<_> =
                    statics.iter().filter(|name| in_catalog.contains(name)).collect();
                let Renames { labels, prefixes } = renames(&statics, &in_catalog);
                assert_eq!(labels, colliding.len());
                let with = |prefixes: usize| {
                    colliding.iter().map(move |name| RENAMED.repeat(prefixes) + name)
                };
                let is_free = |name: String| !taken.contains(&*name);
                assert!(with(prefixes).all(is_free), "{statics:?} {in_catalog:?}");
                let one_is_enough = with(1).all(is_free);
                assert_eq!(prefixes <= 1, one_is_enough, "{statics:?} {in_catalog:?}");
            }
        }
    }

    #[test]
    fn renamed_labels_keep_their_values_and_order() {
        let labels = rendered(&["a", "b", "c"]);
        let mut text = String::new();
        let mut renamed = |prefixes, taken: &[&str]| {
            let labels = renamed_labels(&labels, prefixes, taken, &mut text);
            static_labels(labels).map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>()
        };
        let plain = ["a=\"\\,", "b=\"\\,", "c=\"\\,"];
        assert_eq!(renamed(0, &["a"]), plain);
        assert_eq!(renamed(1, &[]), plain);
        assert_eq!(renamed(1, &["d"]), plain);
        let [a, b, c] = plain;
        assert_eq!(renamed(1, &["b", "d"]), [a, &format!("agent_{b}"), c]);
        let both = [format!("agent_agent_{a}"), b.into(), format!("agent_agent_{c}")];
        assert_eq!(renamed(2, &["a", "c"]), both);
    }

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
