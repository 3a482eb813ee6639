//! Rules for metric names, label names and units.

use crate::limits::MAX_NAME_BYTES;
use crate::violation::Violation;

/// Prefix of the collector's own metrics. Those of its process have the names that every process
/// uses, so they are not reserved.
const RESERVED_METRIC_PREFIX: &str = "fleetgauge_";
/// A metric of the collector whose name has no reserved prefix.
const RESERVED_METRIC: &str = "clients_connected";
/// Labels that the collector sets on all series of an agent.
pub const RESERVED_LABELS: [&str; 2] = ["agent", "client_no"];
/// Labels of series of other exporters, which an agent can pass on. On all series of an agent, they
/// would contradict the labels of its scrape, or of buckets and quantiles.
const SERIES_LABELS: [&str; 4] = ["instance", "job", "le", "quantile"];
/// Prefix of Prometheus' internal labels.
pub const RESERVED_LABEL_PREFIX: &str = "__";

/// Checks the form of a metric name that a family declares.
pub(crate) fn check_metric_name(name: &str) -> Result<(), Violation> {
    if is_metric_name(name) { Ok(()) } else { Err(Violation::BadMetricName(excerpt(name))) }
}

/// Returns whether `name` is `[A-Za-z_:][A-Za-z0-9_:]*` of at most [`MAX_NAME_BYTES`] bytes.
#[must_use]
pub fn is_metric_name(name: &str) -> bool {
    // Names of recording rules contain colons, and an exporter may re-export them.
    has_form(name, |byte| byte == b'_' || byte == b':')
}

/// Returns whether a family name or sample name is reserved for the collector.
pub(crate) fn is_reserved_metric(name: &str) -> bool {
    name == RESERVED_METRIC || name.starts_with(RESERVED_METRIC_PREFIX)
}

/// Checks the name of a label that all series of an agent have.
pub(crate) fn check_static_label_name(name: &str) -> Result<(), Violation> {
    check_series_label_name(name)?;
    if SERIES_LABELS.contains(&name) {
        return Err(Violation::ReservedLabel(name.into()));
    }
    Ok(())
}

/// Checks the name of a label of a column or row.
pub(crate) fn check_series_label_name(name: &str) -> Result<(), Violation> {
    if !is_identifier(name) {
        return Err(Violation::BadLabelName(excerpt(name)));
    }
    if RESERVED_LABELS.contains(&name) || name.starts_with(RESERVED_LABEL_PREFIX) {
        return Err(Violation::ReservedLabel(name.into()));
    }
    Ok(())
}

/// Returns whether `name` is `[A-Za-z_][A-Za-z0-9_]*` of at most [`MAX_NAME_BYTES`] bytes.
#[must_use]
pub fn is_identifier(name: &str) -> bool {
    has_form(name, |byte| byte == b'_')
}

/// Returns whether `name` consists of letters, digits and the bytes that `is_mark` accepts, does
/// not begin with a digit, and has 1 to [`MAX_NAME_BYTES`] bytes.
fn has_form(name: &str, is_mark: impl Fn(u8) -> bool) -> bool {
    name.len() <= MAX_NAME_BYTES
        && name.bytes().next().is_some_and(|first| !first.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || is_mark(byte))
}

/// Returns the start of a name that a peer sent, for logs and Rejects.
///
/// An escaped character takes up to ten bytes, and a Reject's text has room for 512.
pub(crate) fn excerpt(text: &str) -> Box<str> {
    const MAX_CHARS: usize = 40;
    text.chars().take(MAX_CHARS).collect::<String>().into()
}
