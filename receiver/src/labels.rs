//! Labels of a series as a sender encodes them, and the checks on them.

use std::fmt;

use prost::Message;

use crate::findings::{FindingKind, Findings};
use crate::scan::{self, Fields, Undecodable, Value};
use crate::wire;

/// Name of the label whose value is the metric name.
const METRIC_NAME: &str = "__name__";

/// Labels of a series. Two bytes of a request can claim a label that takes 32 in memory.
pub(crate) const MAX_LABELS: usize = 1000;

/// Labels of a series, sorted by name.
#[derive(Clone, Copy)]
pub struct Labels<'a> {
    /// Label fields of a `TimeSeries`, checked.
    encoded: &'a [u8],
}

impl<'a> Labels<'a> {
    pub(crate) fn new(encoded: &'a [u8]) -> Self {
        Self { encoded }
    }

    /// Names and values in the order of the names.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        Fields::new(self.encoded).filter_map(|field| match field {
            Ok((1, Value::Bytes(label))) => scan::label(label).ok(),
            _ => None,
        })
    }

    /// Value of a label.
    #[must_use]
    pub fn get(self, name: &str) -> Option<&'a str> {
        self.iter().find(|(own, _)| *own == name).map(|(_, value)| value)
    }

    /// Metric name.
    #[must_use]
    pub fn metric(self) -> &'a str {
        self.get(METRIC_NAME).unwrap_or_default()
    }
}

impl fmt::Display for Labels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Shown(&self.iter().collect::<Vec<_>>()))
    }
}

impl fmt::Debug for Labels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Label pairs as text, in their order.
struct Shown<'a, 'b>(&'b [(&'a str, &'a str)]);

impl fmt::Display for Shown<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (index, (name, value)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            write!(f, "{separator}{name}={value:?}")?;
        }
        f.write_str("}")
    }
}

/// Encodes label pairs as the label fields of a `TimeSeries`, sorted by name.
pub(crate) fn canonical(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut series = wire::TimeSeries::of(pairs, &[]);
    series.labels.sort();
    series.encode_to_vec()
}

/// Checks the label fields of a series that is not known.
///
/// Returns the canonical encoding, or none if the labels are not legal.
pub(crate) fn checked(
    encoded: &[u8],
    findings: &mut Findings,
) -> Result<Option<Vec<u8>>, Undecodable> {
    let mut pairs = Vec::new();
    for field in Fields::new(encoded) {
        if pairs.len() == MAX_LABELS {
            return Err(Undecodable("too many labels"));
        }
        if let (1, Value::Bytes(label)) = field? {
            pairs.push(scan::label(label)?);
        }
    }
    let found = deviations(&pairs);
    for &kind in &found {
        findings.note(kind, || Shown(&pairs).to_string());
    }
    Ok(found.is_empty().then(|| canonical(&pairs)))
}

fn deviations(pairs: &[(&str, &str)]) -> Vec<FindingKind> {
    let mut names: Vec<_> = pairs.iter().map(|(name, _)| *name).collect();
    let unsorted = !names.is_sorted();
    names.sort_unstable();
    let duplicate = names.windows(2).any(|two| two.first() == two.last());
    let metric = pairs.iter().find(|(name, _)| *name == METRIC_NAME).map(|(_, value)| *value);
    let empty = |(name, value): &(&str, &str)| name.is_empty() || value.is_empty();
    let invalid_name = |name: &&str| !name.is_empty() && !is_name(name, false);
    [
        (FindingKind::UnsortedLabels, unsorted),
        (FindingKind::DuplicateLabel, duplicate),
        (FindingKind::EmptyLabel, pairs.iter().any(empty)),
        (FindingKind::MissingName, metric.is_none()),
        (
            FindingKind::InvalidName,
            names.iter().any(invalid_name)
                || metric.is_some_and(|metric| !metric.is_empty() && !is_name(metric, true)),
        ),
    ]
    .into_iter()
    .filter_map(|(kind, present)| present.then_some(kind))
    .collect()
}

/// Whether a label name, or a metric name (which may have colons), is legal in Prometheus 2.
fn is_name(name: &str, metric: bool) -> bool {
    let legal = |byte: u8| byte == b'_' || byte.is_ascii_alphanumeric() || (metric && byte == b':');
    name.bytes().all(legal) && !name.starts_with(|first: char| first.is_ascii_digit())
}
