//! A page as its reader understands it: Prometheus' text format 0.0.4 or OpenMetrics 1.0, parsed as strictly as their
//! specifications allow, without timestamps and exemplars, which are not served. Nothing of the writer is used here.

use std::collections::{BTreeMap, BTreeSet};

/// A family and its samples.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Family {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) unit: Option<String>,
    pub(crate) help: Option<String>,
    pub(crate) samples: Vec<Sample>,
}

/// A line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

/// The families of a page, in its order; or the line that is wrong, and what is wrong with it.
pub(crate) fn parse(text: &str, openmetrics: bool) -> Result<Vec<Family>, String> {
    let mut parser = Parser { openmetrics, ..Parser::default() };
    let mut rest = text;
    while !rest.is_empty() {
        let (line, after) = rest.split_once('\n').ok_or("the last line does not end")?;
        if openmetrics && line == "# EOF" {
            parser.close()?;
            return if after.is_empty() {
                Ok(parser.families)
            } else {
                Err("more after EOF".into())
            };
        }
        parser.line(line).map_err(|problem| format!("{line:?}: {problem}"))?;
        rest = after;
    }
    if openmetrics {
        return Err("no EOF".into());
    }
    parser.close()?;
    Ok(parser.families)
}

#[derive(Debug, Default)]
struct Parser {
    openmetrics: bool,
    families: Vec<Family>,
    open: Option<Family>,
    /// Of all families.
    names: BTreeSet<String>,
    series: BTreeSet<(String, BTreeMap<String, String>)>,
    /// Labels of the metrics of the family, `le` and `quantile` aside, in their order.
    metrics: Vec<BTreeMap<String, String>>,
}

impl Parser {
    fn line(&mut self, line: &str) -> Result<(), String> {
        match line.strip_prefix("# ") {
            Some(comment) => self.metadata(comment),
            None => self.sample(line),
        }
    }

    fn metadata(&mut self, comment: &str) -> Result<(), String> {
        let (what, rest) = comment.split_once(' ').ok_or("no comment that means anything")?;
        let (name, text) = rest.split_once(' ').ok_or("it says nothing")?;
        if self.open.as_ref().is_none_or(|open| open.name != name) {
            self.close()?;
            check_name(name)?;
            self.open = Some(Family { name: name.to_owned(), ..Family::default() });
        }
        let openmetrics = self.openmetrics;
        let Some(family) = &mut self.open else { return Err("no family".into()) };
        if !family.samples.is_empty() {
            return Err("it comes after samples".into());
        }
        match what {
            "TYPE" if family.kind.is_empty() && kinds(openmetrics).contains(&text) => {
                text.clone_into(&mut family.kind);
            }
            "HELP" if family.help.is_none() => {
                family.help = Some(unescape(text, openmetrics)?);
            }
            "UNIT" if openmetrics && family.unit.is_none() => {
                let stem = name.strip_suffix(text).and_then(|stem| stem.strip_suffix('_'));
                stem.filter(|stem| !stem.is_empty()).ok_or("the name does not end in the unit")?;
                family.unit = Some(text.to_owned());
            }
            _ => return Err("twice, or unknown here".into()),
        }
        Ok(())
    }

    fn sample(&mut self, line: &str) -> Result<(), String> {
        let end = line.find(['{', ' ']).ok_or("no value")?;
        let (name, rest) = line.split_at(end);
        check_name(name)?;
        let (labels, value) = match rest.strip_prefix('{') {
            Some(rest) => labels(rest)?,
            None => (BTreeMap::new(), rest),
        };
        let value = number(value.strip_prefix(' ').ok_or("no blank before the value")?)?;
        let family = self.open.as_ref().ok_or("a sample of no family")?;
        let kind = family.kind.clone();
        let suffix = name.strip_prefix(&*family.name).ok_or("a sample of another family")?;
        if !suffixes(&kind, self.openmetrics).contains(&suffix) {
            return Err(format!("no sample of a {kind}"));
        }
        check_bounds(&kind, suffix, &labels, self.openmetrics)?;
        self.in_one_piece(&kind, &labels)?;
        if !self.series.insert((name.to_owned(), labels.clone())) {
            return Err("a series that was there before".into());
        }
        let sample = Sample { name: name.to_owned(), labels, value };
        self.open.get_or_insert_default().samples.push(sample);
        Ok(())
    }

    /// The lines of one histogram or summary follow each other.
    fn in_one_piece(
        &mut self,
        kind: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<(), String> {
        let own = |name: &String| {
            !matches!((kind, &**name), ("histogram", "le") | ("summary", "quantile"))
        };
        let metric: BTreeMap<_, _> = labels
            .iter()
            .filter(|(name, _)| own(name))
            .map(|(n, v)| (n.clone(), v.clone()))
            .collect();
        if self.metrics.last() == Some(&metric) {
            return Ok(());
        }
        if self.metrics.contains(&metric) {
            return Err("the lines of one metric are torn apart".into());
        }
        self.metrics.push(metric);
        Ok(())
    }

    /// The family is over.
    fn close(&mut self) -> Result<(), String> {
        let Some(family) = self.open.take() else { return Ok(()) };
        if family.kind.is_empty() {
            return Err(format!("{} has no type", family.name));
        }
        self.metrics.clear();
        let sample = |suffix: &&str| format!("{}{suffix}", family.name);
        let mut names: BTreeSet<_> =
            suffixes(&family.kind, self.openmetrics).iter().map(sample).collect();
        if matches!(&*family.kind, "counter" | "histogram" | "summary") && self.openmetrics {
            names.insert(format!("{}_created", family.name));
        }
        names.insert(family.name.clone());
        if let Some(twice) = names.intersection(&self.names).next() {
            return Err(format!("{twice} means two things"));
        }
        self.names.append(&mut names);
        self.families.push(family);
        Ok(())
    }
}

fn kinds(openmetrics: bool) -> &'static [&'static str] {
    if openmetrics {
        &["gauge", "counter", "histogram", "summary", "info", "unknown"]
    } else {
        &["gauge", "counter", "histogram", "summary", "untyped"]
    }
}

/// What sample names add to the family's.
fn suffixes(kind: &str, openmetrics: bool) -> &'static [&'static str] {
    match (kind, openmetrics) {
        ("counter", true) => &["_total"],
        ("info", true) => &["_info"],
        ("histogram", _) => &["_bucket", "_count", "_sum"],
        ("summary", _) => &["", "_count", "_sum"],
        _ => &[""],
    }
}

fn check_name(name: &str) -> Result<(), String> {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
    let legal = name.starts_with(first) && name.chars().all(|c| first(c) || c.is_ascii_digit());
    if legal { Ok(()) } else { Err(format!("{name:?} is no metric name")) }
}

/// `name="value",…} ` and what follows it.
fn labels(mut rest: &str) -> Result<(BTreeMap<String, String>, &str), String> {
    let mut labels = BTreeMap::new();
    loop {
        let (name, value) = rest.split_once("=\"").ok_or("a label without a value")?;
        let first = |c: char| c.is_ascii_alphabetic() || c == '_';
        if !name.starts_with(first) || !name.chars().all(|c| first(c) || c.is_ascii_digit()) {
            return Err(format!("{name:?} is no label name"));
        }
        let end = closing_quote(value).ok_or("a value that does not end")?;
        if labels.insert(name.to_owned(), unescape(&value[..end], true)?).is_some() {
            return Err(format!("label {name} twice"));
        }
        rest = &value[end + 1..];
        match rest.strip_prefix(',') {
            Some(next) => rest = next,
            None => {
                return Ok((labels, rest.strip_prefix('}').ok_or("labels that do not end")?));
            }
        }
    }
}

fn closing_quote(value: &str) -> Option<usize> {
    let mut escaped = false;
    value.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })
}

/// Where quotes end the text they are escaped in it, too.
fn unescape(text: &str, quotes: bool) -> Result<String, String> {
    let mut plain = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        plain.push(match c {
            '\\' => match rest.next() {
                Some('n') => '\n',
                Some('\\') => '\\',
                Some('"') if quotes => '"',
                other => return Err(format!("{other:?} needs no escape")),
            },
            '"' if quotes => return Err("a quote that is not escaped".into()),
            other => other,
        });
    }
    Ok(plain)
}

fn number(text: &str) -> Result<f64, String> {
    match text {
        "NaN" => Ok(f64::NAN),
        "+Inf" => Ok(f64::INFINITY),
        "-Inf" => Ok(f64::NEG_INFINITY),
        _ if text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b)) => {
            text.parse().map_err(|_| format!("{text:?} is no number"))
        }
        _ => Err(format!("{text:?} is no number")),
    }
}

/// `le` is there in buckets alone, `quantile` in a summary's own lines; both are numbers, canonical in OpenMetrics.
fn check_bounds(
    kind: &str,
    suffix: &str,
    labels: &BTreeMap<String, String>,
    openmetrics: bool,
) -> Result<(), String> {
    let wanted =
        [("le", suffix == "_bucket"), ("quantile", kind == "summary" && suffix.is_empty())];
    for (name, wanted) in wanted {
        let bound = labels.get(name);
        if bound.is_some() != wanted {
            return Err(format!("{name} is missing, or not wanted"));
        }
        let Some(bound) = bound else { continue };
        let value = number(bound)?;
        if openmetrics && value.is_finite() && !bound.contains(['.', 'e']) {
            return Err(format!("{bound} is not canonical"));
        }
        if name == "quantile" && !(0.0..=1.0).contains(&value) {
            return Err(format!("there is no quantile {bound}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# HELP a_total Some \\\\ text\\n.\n# TYPE a_total counter\n\
        a_total{agent=\"x\",b=\"\\\"\\\\\\n\"} 3\n# TYPE h histogram\nh_bucket{agent=\"x\",le=\"0.5\"} 1\n\
        h_bucket{agent=\"x\",le=\"+Inf\"} 2\nh_count{agent=\"x\"} 2\nh_sum{agent=\"x\"} NaN\n";

    #[test]
    fn a_page_is_read() {
        let page = parse(PAGE, false).unwrap();
        assert_eq!(page.len(), 2);
        assert_eq!(page[0].help.as_deref(), Some("Some \\ text\n."));
        assert_eq!(page[0].samples[0].labels["b"], "\"\\\n");
        assert_eq!(page[1].samples.len(), 4);
        let openmetrics =
            PAGE.replace("# TYPE a_total", "# TYPE a").replace("HELP a_total", "HELP a");
        assert_eq!(parse(&format!("{openmetrics}# EOF\n"), true).unwrap()[0].name, "a");
    }

    #[test]
    fn whatever_breaks_a_scrape_is_refused() {
        for broken in [
            "a 1\n",
            "# TYPE a gauge\na 1",
            "# TYPE a gauge\na{} 1\n",
            "# TYPE a gauge\na 1 2\n",
            "# TYPE a gauge\na  1\n",
            "# TYPE a gauge\na inf\n",
            "# TYPE a gauge\na{b=\"c} 1\n",
            "# TYPE a gauge\na{b=\"\\t\"} 1\n",
            "# TYPE a gauge\na{b=\"c\",b=\"c\"} 1\n",
            "# TYPE a gauge\na{b=\"c\",} 1\n",
            "# TYPE a gauge\na{0=\"c\"} 1\n",
            "# TYPE a gauge\na 1\na 1\n",
            "# TYPE a gauge\n# TYPE a gauge\n",
            "# TYPE a gauge\n# TYPE b gauge\n# TYPE a gauge\n",
            "# TYPE a summary\n# TYPE a_sum gauge\n",
            "# TYPE a info\n",
            "# TYPE a gauge\nb 1\n",
            "# TYPE a gauge\n# EOF\n",
            "# TYPE a histogram\na_bucket 1\n",
            "# TYPE a gauge\na 1\n# HELP a b\n",
            "# HELP a b\n",
            "# TYPE h histogram\nh_sum{a=\"1\"} 1\nh_sum{a=\"2\"} 1\nh_count{a=\"1\"} 1\n",
        ] {
            assert!(parse(broken, false).is_err(), "{broken}");
        }
        for broken in [
            "# TYPE a gauge\n",
            "# EOF\n# EOF\n",
            "# TYPE a untyped\n# EOF\n",
            "# TYPE a_total counter\na_total 1\n# EOF\n",
            "# TYPE a gauge\n# UNIT a a\n# EOF\n",
            "# TYPE a gauge\n# HELP a \"\n# EOF\n",
            "# TYPE h histogram\nh_bucket{le=\"1\"} 1\n# EOF\n",
        ] {
            assert!(parse(broken, true).is_err(), "{broken}");
        }
    }
}
