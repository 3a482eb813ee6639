//! Reads the file of queries.
//!
//! `docs/testing.md` describes its format.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Names the file.
const VARIABLE: &str = "NODE_EXPORTER_QUERIES";
/// First field of the line that names the fields.
const HEADING: &str = "source";

/// The rows of the file.
pub(super) struct Queries(Vec<Row>);

struct Row {
    source: String,
    name: String,
    expression: String,
    selectors: Vec<String>,
    expect: String,
}

/// A query that must return data.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) query: String,
    /// Whether it must on every host, or only where a node_exporter has the data.
    pub(super) always: bool,
    /// Source and name of its row.
    pub(super) row: String,
}

impl Queries {
    pub(super) fn read() -> Self {
        let file = std::env::var_os(VARIABLE);
        let file = file.unwrap_or_else(|| panic!("set {VARIABLE} to a file of queries"));
        let text = std::fs::read_to_string(&file).unwrap();
        Self::parse(&text)
    }

    fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let rows = lines.map(Row::parse).filter(|row| row.source != HEADING);
        let rows = Self(rows.collect());
        assert!(!rows.0.is_empty(), "no queries");
        rows
    }

    /// Returns the queries to run, each once.
    pub(super) fn checks(&self) -> Vec<Check> {
        let mut checks: BTreeMap<String, Check> = BTreeMap::new();
        for check in self.0.iter().flat_map(Row::checks) {
            let always = check.always;
            checks.entry(check.query.clone()).or_insert(check).always |= always;
        }
        checks.into_values().collect()
    }

    /// Returns a file of Prometheus with the recording rules. Of rules that record the same, it has
    /// the first.
    pub(super) fn rules(&self) -> String {
        let mut rules = "groups:\n- name: recorded\n  rules:\n".to_owned();
        let mut names = BTreeSet::new();
        for row in self.0.iter().filter(|row| row.is_rule() && names.insert(&row.name)) {
            let expression = row.expression.replace('\'', "''");
            write!(rules, "  - record: {}\n    expr: '{expression}'\n", row.name).unwrap();
        }
        rules
    }
}

impl Row {
    fn parse(line: &str) -> Self {
        let fields: Vec<_> = line.split('\t').collect();
        let [source, name, expression, _families, selectors, expect, ..] = fields[..] else {
            panic!("{line}: not six fields")
        };
        let [source, name, expression, expect] =
            [source, name, expression, expect].map(str::to_owned);
        let selectors = selectors.split(" ;; ").map(str::to_owned).collect();
        Self { source, name, expression, selectors, expect }
    }

    /// Whether the row is a recording rule, whose names have colons.
    fn is_rule(&self) -> bool {
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        self.name.contains(':') && self.name.chars().all(is_part)
    }

    fn checks(&self) -> Vec<Check> {
        let mut words = self.expect.split('+');
        let always = match words.next() {
            Some("never") => return Vec::new(),
            Some("always" | "recorded" | "self") => true,
            _ => false,
        };
        // A comparison can hide what the selectors find.
        let is_conditional = words.next() == Some("cond");
        let mut queries =
            if is_conditional { self.selectors.clone() } else { vec![self.expression.clone()] };
        if self.is_rule() {
            queries.push(self.name.clone());
        }
        let row = format!("{}: {}", self.source, self.name);
        queries.into_iter().map(|query| Check { query, always, row: row.clone() }).collect()
    }
}

#[test]
fn rows_become_queries_and_rules() {
    let queries = Queries::parse(
        "# comment\nsource\tname\texpr\tfamilies\tselectors\texpect\n\
         one\tpanel\trate(a[1m])\ta\ta\talways\t1\n\
         one\talert\ta > 1 and b\ta,b\ta ;; b\thw:x+cond\t0\n\
         one\talert\tc == 1\tc\tc\tnever\t0\n\
         one\tlevel:a:sum\tsum(a{x='1'})\ta\ta\talways\n\
         two\tlevel:a:sum\tsum(a)\ta\ta\talways\n\
         two\tpanel\ta\ta\ta\talways\n",
    );
    let checks = queries.checks();
    let checks: Vec<_> = checks.iter().map(|check| (check.query.as_str(), check.always)).collect();
    let expected = [
        ("a", true),
        ("b", false),
        ("level:a:sum", true),
        ("rate(a[1m])", true),
        ("sum(a)", true),
        ("sum(a{x='1'})", true),
    ];
    assert_eq!(checks, expected);
    let rules = "groups:\n- name: recorded\n  rules:\n  - record: level:a:sum\n    \
                 expr: 'sum(a{x=''1''})'\n";
    assert_eq!(queries.rules(), rules);
}
