//! Families: their metadata, the samples that belong to them, and the order of all lines.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use crate::Format;
use crate::line::{Line, is_metric_name, number, unescape};

/// Metadata of a metric family.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Family {
    /// Name of the family.
    pub name: String,
    /// Metric type of the family, such as `gauge`.
    pub kind: &'static str,
    /// Unit of the family; only OpenMetrics has units.
    pub unit: Option<String>,
    /// Help text, unescaped.
    pub help: Option<String>,
}

/// The families of a page while it is parsed. Parsing continues after an error.
#[derive(Debug, Default)]
pub(crate) struct Families {
    format: Format,
    /// Names of all families so far, and of all samples that they may have.
    taken: HashSet<String>,
    open: Option<OpenFamily>,
    /// Maximum number of series of a family to remember; `None`: all.
    max_series: Option<usize>,
    /// Hashes of the series of the open family, to find repeated ones.
    series: HashSet<u64, IdentityBuildHasher>,
    /// Hashes of the label sets of the open family's histograms or summaries, without the bound.
    /// `last` is that of the last sample.
    metrics: HashSet<u64, IdentityBuildHasher>,
    last: Option<u64>,
}

/// The family whose lines are being parsed.
#[derive(Debug)]
struct OpenFamily {
    family: Family,
    suffixes: &'static [&'static str],
    /// Whether a metric of the family has several samples, told apart by a bound.
    has_bounds: bool,
    has_samples: bool,
}

impl Families {
    pub(crate) fn new(format: Format) -> Self {
        Self { format, ..Self::default() }
    }

    /// Sets the maximum number of series of a family to remember.
    pub(crate) const fn remember(&mut self, series: usize) {
        self.max_series = Some(series);
    }

    /// Whether [`sample`](Self::sample) needs the hashes of the next line.
    pub(crate) fn needs_hashes(&self) -> bool {
        self.has_room() || self.open.as_ref().is_some_and(|open| open.has_bounds)
    }

    /// Whether the next series is remembered.
    fn has_room(&self) -> bool {
        self.max_series.is_none_or(|max| self.series.len() < max)
    }

    /// Parses a comment; `comment` is the text after `# `. Returns the previous family if it ends
    /// here and had no samples.
    pub(crate) fn comment(&mut self, comment: &str) -> Result<Option<Family>, &'static str> {
        let (what, rest) = comment.split_once(' ').ok_or("is an unknown comment")?;
        if !["TYPE", "HELP", "UNIT"].contains(&what) {
            return Err("is an unknown comment");
        }
        let (name, text) = rest.split_once(' ').ok_or("is a comment without a text")?;
        if !is_metric_name(name) {
            return Err("has an illegal metric name");
        }
        let before = match &self.open {
            Some(open) if open.family.name == name => Ok(None),
            _ => self.open(name),
        };
        self.describe(what, text).and(before)
    }

    /// Opens a family. Returns the previous one if it had no samples.
    fn open(&mut self, name: &str) -> Result<Option<Family>, &'static str> {
        let before = self.close();
        let family = Family { name: name.to_owned(), ..Family::default() };
        self.open =
            Some(OpenFamily { family, suffixes: &[""], has_bounds: false, has_samples: false });
        before
    }

    /// Closes the open family. Returns it if it had no samples.
    pub(crate) fn close(&mut self) -> Result<Option<Family>, &'static str> {
        self.series.clear();
        self.metrics.clear();
        self.last = None;
        match self.open.take() {
            None => Ok(None),
            Some(open) if open.has_samples => Ok(None),
            Some(open) if open.family.kind.is_empty() => Err("ends a family without a type"),
            Some(open) => Ok(Some(open.family)),
        }
    }

    /// Handles a TYPE, HELP or UNIT line of the open family.
    fn describe(&mut self, what: &str, text: &str) -> Result<(), &'static str> {
        let openmetrics = self.format == Format::OpenMetrics;
        let Some(open) = &mut self.open else { return Err("belongs to no family") };
        if open.has_samples {
            return Err("comes after samples of its family");
        }
        let family = &mut open.family;
        match what {
            "TYPE" if family.kind.is_empty() => {
                let kind = kinds(openmetrics).iter().find(|kind| **kind == text);
                family.kind = kind.ok_or("has a type that is unknown in this format")?;
                open.suffixes = suffixes(family.kind, openmetrics);
                open.has_bounds = matches!(family.kind, "histogram" | "summary");
                let names = open.suffixes.iter().map(|suffix| format!("{}{suffix}", family.name));
                let mut names: HashSet<_> = names.collect();
                if openmetrics && matches!(family.kind, "counter" | "histogram" | "summary") {
                    names.insert(format!("{}_created", family.name));
                }
                names.insert(family.name.clone());
                let is_free = self.taken.is_disjoint(&names);
                self.taken.extend(names);
                if is_free { Ok(()) } else { Err("declares a name that an earlier family has") }
            }
            "HELP" if family.help.is_none() => {
                family.help = Some(unescape(text, openmetrics)?);
                Ok(())
            }
            "UNIT" if openmetrics && family.unit.is_none() => {
                family.unit = Some(text.to_owned());
                let stem = family.name.strip_suffix(text).and_then(|stem| stem.strip_suffix('_'));
                let has_unit = stem.is_some_and(|stem| !stem.is_empty() && !text.is_empty());
                if has_unit { Ok(()) } else { Err("has a unit that is not a suffix of its name") }
            }
            "TYPE" | "HELP" => Err("repeats a TYPE or HELP of its family"),
            "UNIT" if openmetrics => Err("repeats the UNIT of its family"),
            _ => Err("has a keyword that this format does not define"),
        }
    }

    /// Checks that a sample is allowed here. Returns the family if this is its first
    /// sample.
    pub(crate) fn sample(&mut self, line: &Line<'_>) -> Result<Option<&Family>, &'static str> {
        let Some(open) = &mut self.open else { return Err("belongs to no family") };
        let name = line.sample.name;
        let suffix = name.strip_prefix(&*open.family.name);
        let suffix = suffix.ok_or("belongs to another family than the preceding lines")?;
        let is_first = !std::mem::replace(&mut open.has_samples, true);
        if open.family.kind.is_empty() {
            open.family.kind = "untyped";
            return Err("is a sample of a family without a type");
        }
        // Most types have samples without a suffix, and a length needs no call to compare.
        let is_bare = suffix.is_empty() && open.suffixes.iter().any(|own| own.is_empty());
        if !is_bare && !open.suffixes.contains(&suffix) {
            return Err("has a suffix that its family's type does not allow");
        }
        if open.has_bounds {
            check_bound(open.family.kind, suffix, line, self.format)?;
            let metric = line.metric_of(open.family.kind);
            if self.last != Some(metric) {
                self.last = Some(metric);
                if !self.metrics.insert(metric) {
                    return Err("is not contiguous with its metric");
                }
            }
        }
        if self.has_room() && !self.series.insert(line.series()) {
            return Err("repeats a series");
        }
        Ok(self.open.as_ref().filter(|_| is_first).map(|open| &open.family))
    }
}

fn kinds(openmetrics: bool) -> &'static [&'static str] {
    if openmetrics {
        &["gauge", "counter", "histogram", "summary", "info", "unknown"]
    } else {
        &["gauge", "counter", "histogram", "summary", "untyped"]
    }
}

/// Returns the suffixes that the sample names of a metric type have.
fn suffixes(kind: &str, openmetrics: bool) -> &'static [&'static str] {
    match (kind, openmetrics) {
        ("counter", true) => &["_total"],
        ("info", true) => &["_info"],
        ("histogram", _) => &["_bucket", "_count", "_sum"],
        ("summary", _) => &["", "_count", "_sum"],
        _ => &[""],
    }
}

/// Checks the bound of a sample of a histogram or summary: of a histogram only buckets have `le`,
/// and of a summary only quantiles have `quantile`. Elsewhere these labels are like any other. The
/// bound must be a number; OpenMetrics requires its canonical form.
fn check_bound(
    kind: &str,
    suffix: &str,
    line: &Line<'_>,
    format: Format,
) -> Result<(), &'static str> {
    let is_histogram = kind == "histogram";
    let (bound, wanted, problem) = if is_histogram {
        (line.le, suffix == "_bucket", "lacks le, or has one where none is allowed")
    } else {
        (line.quantile, suffix.is_empty(), "lacks quantile, or has one where none is allowed")
    };
    if bound.is_some() != wanted {
        return Err(problem);
    }
    let Some(bound) = bound else { return Ok(()) };
    let value = number(bound)?;
    if format == Format::OpenMetrics && value.is_finite() && !bound.contains(['.', 'e']) {
        return Err("has a bound that is not canonical");
    }
    if !is_histogram && !(0.0..=1.0).contains(&value) {
        return Err("has a quantile that is not from 0 to 1");
    }
    Ok(())
}

/// Builds hashers for keys that are hashes already.
type IdentityBuildHasher = BuildHasherDefault<IdentityHasher>;

/// Returns a key as its own hash.
#[derive(Debug, Default)]
struct IdentityHasher(u64);

impl Hasher for IdentityHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0 << 8 | u64::from(*byte));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}
