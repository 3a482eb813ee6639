//! Converts the collector's own metrics from OpenMetrics to the text format.
//!
//! prometheus-client writes only OpenMetrics. The text format has other metadata names for
//! counters. It has no UNIT, no types `info` and `unknown`, and no end mark. Prometheus rejects the
//! whole page for some of these.

use std::collections::HashMap;

use super::Format;

/// The last line of an OpenMetrics page.
const END: &str = "# EOF\n";

/// Returns the last line of a page in this format; empty in the text format.
#[must_use]
pub const fn end(format: Format) -> &'static str {
    match format {
        Format::Text => "",
        Format::OpenMetrics => END,
    }
}

/// Converts an OpenMetrics page to the text format. It relies on two properties of
/// prometheus-client: HELP, TYPE and UNIT precede the samples of a family, and HELP texts can be
/// copied unchanged.
#[must_use]
pub fn to_text(openmetrics: &str) -> String {
    let kinds: HashMap<&str, &str> = openmetrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .collect();
    let rename = |name: &str| match kinds.get(name) {
        Some(&"counter") => (format!("{name}_total"), "counter"),
        Some(&"info") => (format!("{name}_info"), "gauge"),
        Some(&"unknown") => (name.to_owned(), "untyped"),
        Some(&"gauge") => (name.to_owned(), "gauge"),
        Some(&"histogram") => (name.to_owned(), "histogram"),
        _ => (name.to_owned(), "untyped"),
    };
    let mut text = String::with_capacity(openmetrics.len());
    for line in openmetrics.lines() {
        if let Some((name, _)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            let (name, kind) = rename(name);
            text.push_str(&format!("# TYPE {name} {kind}\n"));
        } else if let Some((name, help)) =
            line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' '))
        {
            text.push_str(&format!("# HELP {} {help}\n", rename(name).0));
        } else if !line.starts_with("# UNIT ") && line != END.trim_end() {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openmetrics_is_converted_to_the_text_format() {
        let page = "# HELP a_bytes Some.\n# TYPE a_bytes counter\n# UNIT a_bytes bytes\n\
                    a_bytes_total 1\n# HELP b What.\n# TYPE b info\nb_info{version=\"1\"} 1\n\
                    # TYPE c gauge\nc 2\n# EOF\n";
        let expected = "# HELP a_bytes_total Some.\n# TYPE a_bytes_total counter\na_bytes_total 1\n\
                        # HELP b_info What.\n# TYPE b_info gauge\nb_info{version=\"1\"} 1\n\
                        # TYPE c gauge\nc 2\n";
        assert_eq!(to_text(page), expected);
    }
}
