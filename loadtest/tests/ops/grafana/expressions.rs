//! Finds the metrics and variables that an expression uses.

use std::collections::BTreeSet;

/// Operators and modifiers of PromQL that are written like names of metrics.
const WORDS: [&str; 8] = ["and", "atan2", "bool", "inf", "nan", "offset", "or", "unless"];
/// Modifiers that labels in parentheses follow.
const GROUPINGS: [&str; 6] = ["by", "group_left", "group_right", "ignoring", "on", "without"];
/// What follows the name of an aggregation that has its labels first.
const AGGREGATIONS: [&str; 4] = ["by (", "by(", "without (", "without("];

fn is_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

/// Returns the names of the metrics in an expression of PromQL. Metrics must be selected by name,
/// not by a matcher of `__name__`.
pub(super) fn metrics(expression: &str) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        if !is_part(first) {
            rest = match first {
                '{' => after(rest, '}'),
                '[' => after(rest, ']'),
                '"' => after(&rest[1..], '"'),
                _ => &rest[first.len_utf8()..],
            };
            continue;
        }
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let (word, tail) = rest.split_at(end);
        let next = tail.trim_start();
        let is_grouping = GROUPINGS.contains(&word) && next.starts_with('(');
        rest = if is_grouping { after(tail, ')') } else { tail };
        // An aggregation can have its labels before its argument.
        let is_call = next.starts_with('(') || AGGREGATIONS.iter().any(|by| next.starts_with(by));
        let is_other = is_call || WORDS.contains(&word) || GROUPINGS.contains(&word);
        if !is_other && !first.is_ascii_digit() {
            names.insert(word);
        }
    }
    names
}

/// Returns what follows the next `end` outside of quotes.
fn after(text: &str, end: char) -> &str {
    let mut is_quoted = false;
    let mut previous = ' ';
    for (at, c) in text.char_indices() {
        if c == end && (!is_quoted || end == '"') && previous != '\\' {
            return &text[at + c.len_utf8()..];
        }
        is_quoted ^= c == '"' && previous != '\\';
        previous = c;
    }
    panic!("no {end} in {text}")
}

/// Returns the names of Grafana's variables in a text: `$name`, `${name}` or `${name:format}`.
pub(super) fn variables(text: &str) -> BTreeSet<&str> {
    let found = text.split('$').skip(1).filter_map(|rest| {
        let rest = rest.strip_prefix('{').unwrap_or(rest);
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let name = &rest[..end.unwrap_or(rest.len())];
        (!name.is_empty()).then_some(name)
    });
    found.collect()
}

#[test]
fn metrics_are_told_from_functions_labels_and_operators() {
    for (expression, expected) in [
        ("up", vec!["up"]),
        ("sum(max by (agent) (a_up{x=\"}\\\"\"}) == bool 0) or vector(0)", vec!["a_up"]),
        ("a and on (agent, b) c unless d offset 5m", vec!["a", "c", "d"]),
        ("x * on (i) group_left (l) y{z=~\"$z\"}", vec!["x", "y"]),
        ("avg without (job, instance) (rate(n_total[$__rate_interval])) > 1e6", vec!["n_total"]),
        ("topk(10, changes(u[1h])) > 4", vec!["u"]),
        ("count by (${group:raw}) (m{${filter:raw}})", vec!["m"]),
        ("label_replace(a, \"b\", \"c\", \"d\", \"e\")", vec!["a"]),
    ] {
        let expected: BTreeSet<_> = expected.into_iter().collect();
        assert_eq!(metrics(expression), expected, "{expression}");
    }
}

#[test]
fn variables_are_found_in_all_notations() {
    let found = variables("a{b=\"$one\", ${two:raw}}[$__rate_interval] ${three.labels.x} 5$");
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["__rate_interval", "one", "three", "two"]);
}
