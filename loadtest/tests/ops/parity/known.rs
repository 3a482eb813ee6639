//! The known differences, from `differences.tsv`.

use std::collections::BTreeSet;

use super::compare::{Differences, Kind, Round};

/// The committed list: a kind, a pattern of series and a reason in each line.
const LIST: &str = include_str!("differences.tsv");

/// Version of node_exporter that the list is for. Another version has other differences.
const VERSION: &str = "1.5.0";

/// Returns why the list is not for this version of node_exporter, if it is not.
pub(super) fn unsuitable(version: &str) -> Option<String> {
    let other = version != VERSION;
    other.then(|| format!("node_exporter is {version}, and differences.tsv is for {VERSION}"))
}

pub(super) struct KnownDifferences(Vec<Entry>);

struct Entry {
    kind: Kind,
    /// A series, with `*` for any characters.
    pattern: &'static str,
    reason: &'static str,
}

impl KnownDifferences {
    pub(super) fn read() -> Self {
        Self::parse(LIST)
    }

    fn parse(list: &'static str) -> Self {
        let lines = list.lines().filter(|line| !line.starts_with('#'));
        Self(lines.map(Entry::read).collect())
    }

    fn entry(&self, kind: Kind, series: &str) -> Option<&Entry> {
        self.0.iter().find(|entry| entry.kind == kind && matches(entry.pattern, series))
    }

    /// Returns a line for each difference that is not listed.
    pub(super) fn unknown(&self, found: &Differences) -> Vec<String> {
        let unknown =
            found.0.iter().filter(|((kind, series), _)| self.entry(*kind, series).is_none());
        unknown.map(|((kind, series), details)| format!("{kind}\t{series}\t{details}")).collect()
    }

    /// Returns a line for each entry that could apply to this host and does not. Values are left
    /// out, because they can be the same by chance.
    pub(super) fn not_needed(&self, found: &Differences, round: &Round) -> Vec<String> {
        let [reference, agent] = round.series();
        let names: BTreeSet<String> =
            round.reference[0].iter().map(|family| family.name.clone()).collect();
        let not_needed = self.0.iter().filter(|entry| {
            let candidates = match entry.kind {
                Kind::Extra => &agent,
                Kind::Type => &names,
                Kind::Missing | Kind::Labels => &reference,
                Kind::Value => return false,
            };
            let applies = candidates.iter().any(|series| matches(entry.pattern, series));
            let is_used = |(kind, series): &(Kind, String)| {
                *kind == entry.kind && matches(entry.pattern, series)
            };
            applies && !found.0.keys().any(is_used)
        });
        not_needed.map(|entry| format!("{}\t{}", entry.kind, entry.pattern)).collect()
    }

    /// Prints the differences with their reasons, and the number of each kind.
    pub(super) fn print(&self, found: &Differences) {
        for ((kind, series), details) in &found.0 {
            let reason = self.entry(*kind, series).map_or("NOT LISTED", |entry| entry.reason);
            println!("{kind:8}{series}: {details} ({reason})");
        }
        for of in Kind::ALL {
            let count = found.0.keys().filter(|(kind, _)| *kind == of).count();
            println!("{of:8}{count}");
        }
    }
}

impl Entry {
    fn read(line: &'static str) -> Self {
        let fields: Vec<_> = line.split('\t').collect();
        let [kind, pattern, reason] = fields[..] else { panic!("{line}: not three fields") };
        let of_name = |of: &Kind| of.to_string() == kind;
        let kind = Kind::ALL.into_iter().find(of_name);
        let kind = kind.unwrap_or_else(|| panic!("{line}: unknown kind"));
        assert!(!reason.is_empty(), "{line}: no reason");
        Self { kind, pattern, reason }
    }
}

/// Returns whether a text matches a pattern, in which `*` stands for any characters.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(start) else { return false };
    let mut parts: Vec<_> = rest.split('*').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = text.find(part) else { return false };
        text = &text[at + part.len()..];
    }
    text.ends_with(end)
}

#[test]
fn list_is_for_one_version() {
    assert!(LIST.starts_with(&format!("# Known differences between node_exporter {VERSION} ")));
    assert_eq!(unsuitable(VERSION), None);
    let why = unsuitable("1.12.1").unwrap();
    assert_eq!(why, "node_exporter is 1.12.1, and differences.tsv is for 1.5.0");
}

#[test]
fn stars_match_any_characters() {
    for (pattern, text, expected) in [
        ("go_*", "go_info{version=\"1\"}", true),
        ("go_*", "node_go_info", false),
        ("a", "ab", false),
        ("a*{x=\"1\"}", "abc{x=\"1\"}", true),
        ("a*{x=\"1\"}", "abc{x=\"12\"}", false),
        ("a*b*b", "ab", false),
        ("a*b*b", "abxb", true),
    ] {
        assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
    }
}

#[test]
fn differences_and_entries_must_match() {
    use fleetgauge_page::Format;

    use crate::families::samples::read;

    let page = |lines| read(&format!("# TYPE a gauge\n{lines}"), Format::Text);
    let reference = "a{x=\"1\"} 1\na{x=\"2\"} 1\na{x=\"3\"} 1\n";
    let round = Round { reference: vec![page(reference)], agent: page("a{x=\"3\"} 2\n") };
    let found = Differences::of(&round);
    let known = KnownDifferences::parse(
        "# comment\nmissing\ta{x=\"1\"}\treason\nmissing\ta{x=\"3\"}\treason\n\
         missing\tb\tnot on this host\nvalue\ta{*\treason\nextra\ta{x=\"3\"}\treason",
    );
    assert_eq!(known.unknown(&found), ["missing\ta{x=\"2\"}\treference 1"]);
    let not_needed = ["missing\ta{x=\"3\"}", "extra\ta{x=\"3\"}"];
    assert_eq!(known.not_needed(&found, &round), not_needed);
}
