//! Checks of the text format of Prometheus, and of the additional rules of OpenMetrics.

use std::collections::HashSet;

/// Checks a page line by line.
pub(crate) fn check(page: &str, openmetrics: bool) {
    let mut page_families = HashSet::new();
    let mut series = HashSet::new();
    let mut family = (String::new(), String::new());
    let mut lines = page.lines().peekable();
    assert!(page.is_empty() || page.ends_with('\n'));
    while let Some(line) = lines.next() {
        if line == "# EOF" {
            assert!(openmetrics && lines.peek().is_none(), "the end mark must be last");
            return;
        }
        if let Some(rest) = line.strip_prefix("# ") {
            let mut words = rest.splitn(3, ' ');
            let (what, name) = (words.next().unwrap(), words.next().unwrap());
            let text = words.next().unwrap_or_default();
            if family.0 != name {
                assert!(page_families.insert(name.to_owned()), "{name} is not in one piece");
                family = (name.to_owned(), String::new());
            }
            match what {
                "TYPE" => {
                    assert!(family.1.is_empty(), "{name} has one type");
                    family.1 = text.to_owned();
                    assert!(kinds(openmetrics).contains(&text), "{line}");
                }
                "HELP" => assert_escaped(text, openmetrics),
                "UNIT" => assert!(openmetrics && name.ends_with(text), "{line}"),
                _ => panic!("{line}"),
            }
            continue;
        }
        let (identity, value) = line.rsplit_once(' ').unwrap();
        assert!(series.insert(identity), "{identity} twice");
        let parsed = value.parse::<f64>();
        assert!(
            parsed.is_ok() && !value.contains(['i', 'n'])
                || ["+Inf", "-Inf", "NaN"].contains(&value),
            "{line}"
        );
        let name = identity.split('{').next().unwrap();
        let suffix =
            name.strip_prefix(&family.0).unwrap_or_else(|| panic!("{line} under {}", family.0));
        let suffixes: &[&str] = match (family.1.as_str(), openmetrics) {
            ("counter", true) => &["_total"],
            ("info", true) => &["_info"],
            ("histogram", _) => &["_bucket", "_count", "_sum"],
            ("summary", _) => &["", "_count", "_sum"],
            _ => &[""],
        };
        assert!(suffixes.contains(&suffix), "{line} of a {}", family.1);
        // Other families can have the label `le` as well, passed on from another exporter.
        let bounded = identity.contains(",le=\"") || identity.contains("{le=\"");
        assert!(family.1 != "histogram" || (suffix == "_bucket") == bounded, "{line}");
        if let Some(labels) = identity.strip_prefix(name).filter(|labels| !labels.is_empty()) {
            check_labels(labels);
        }
    }
    assert!(!openmetrics, "OpenMetrics ends with its end mark");
}

fn kinds(openmetrics: bool) -> &'static [&'static str] {
    if openmetrics {
        &["gauge", "counter", "histogram", "summary", "info", "unknown"]
    } else {
        &["gauge", "counter", "histogram", "summary", "untyped"]
    }
}

fn assert_escaped(text: &str, quotes: bool) {
    let bare = text.replace("\\\\", "").replace("\\n", "").replace("\\\"", "");
    assert!(!bare.contains('\\'), "{text}");
    assert!(!quotes || !bare.contains('"'), "{text}");
}

/// Checks labels `{name="value",…}`: every name occurs once, and every value is escaped.
fn check_labels(labels: &str) {
    let mut rest = labels.strip_prefix('{').and_then(|l| l.strip_suffix('}')).unwrap();
    let mut names = HashSet::new();
    while !rest.is_empty() {
        let (name, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("{labels}"));
        assert!(names.insert(name), "{name} twice in {labels}");
        assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'), "{labels}");
        let mut escaped = false;
        let end = after.find(|c| {
            let closing = c == '"' && !escaped;
            assert!(!escaped || matches!(c, '"' | '\\' | 'n'), "{labels}");
            escaped = c == '\\' && !escaped;
            closing
        });
        rest = &after[end.unwrap_or_else(|| panic!("{labels}")) + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
}
