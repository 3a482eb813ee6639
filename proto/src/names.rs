//! Names that a peer gives: agent ids, metric names, labels. What exists as one of these types is legal.

use std::borrow::Borrow;

use crate::error::Violation;
use crate::limits::{MAX_AGENT_ID_BYTES, MAX_LABEL_VALUE_BYTES, MAX_LABELS, MAX_NAME_BYTES};
use crate::message::Label;

/// Metric names beginning so belong to the collector.
const RESERVED_METRIC_PREFIXES: [&str; 2] = ["fleetgauge_", "process_"];
/// A metric name that belongs to the collector.
const RESERVED_METRIC: &str = "clients_connected";
/// Labels that the collector or Prometheus sets.
const RESERVED_LABELS: [&str; 6] = ["agent", "client_no", "instance", "job", "le", "quantile"];
const RESERVED_LABEL_PREFIX: &str = "__";

/// Who an agent is: 1 to 128 bytes of `[A-Za-z0-9._:-]`, neither `.` nor `..`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AgentId(Box<str>);

impl AgentId {
    /// The id, if it is legal.
    ///
    /// # Errors
    /// [`Violation::BadAgentId`].
    pub fn try_new(id: &str) -> Result<Self, Violation> {
        let legal = (1..=MAX_AGENT_ID_BYTES).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:-".contains(&b))
            && id != "."
            && id != "..";
        if legal { Ok(Self(id.into())) } else { Err(Violation::BadAgentId(excerpt(id))) }
    }

    /// The id's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// FNV-1a 64 of the id's bytes: the stable hash by which ids are spread over time and shards.
    #[must_use]
    pub fn fnv1a(&self) -> u64 {
        fnv1a(&self.0)
    }
}

/// FNV-1a 64 of an id's bytes.
#[must_use]
pub fn fnv1a(id: &str) -> u64 {
    const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    id.bytes().fold(OFFSET_BASIS, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
}

impl Borrow<str> for AgentId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for AgentId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Labels that a peer may set: legal names, none reserved, none twice; sorted by name. A label with an empty
/// value is the same as no label to Prometheus and is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct StaticLabels(Box<[(Box<str>, Box<str>)]>);

impl StaticLabels {
    /// The labels, if they are legal. Those with an empty value count towards no limit, but their names are checked.
    ///
    /// # Errors
    /// The first of: too many, an illegal or reserved name, a value that is too long, a name given twice.
    pub fn try_new(labels: &[Label<'_>]) -> Result<Self, Violation> {
        let count = labels.iter().filter(|label| !label.value.is_empty()).count();
        if count > MAX_LABELS {
            return Err(Violation::TooManyLabels { count, max: MAX_LABELS });
        }
        for label in labels {
            check_label_name(label.name)?;
            if label.value.len() > MAX_LABEL_VALUE_BYTES {
                return Err(Violation::LabelValueTooLong(label.name.into()));
            }
        }
        let mut sorted = labels.to_vec();
        sorted.sort_unstable_by_key(|label| label.name);
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0].name == pair[1].name) {
            return Err(Violation::DuplicateLabel(pair[0].name.into()));
        }
        let told = sorted.iter().filter(|label| !label.value.is_empty());
        Ok(Self(told.map(|label| (label.name.into(), label.value.into())).collect()))
    }

    /// Names and values, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Whether there is a label of this name.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.0.binary_search_by(|(own, _)| (**own).cmp(name)).is_ok()
    }

    /// Bytes of all names and values.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.iter().map(|(name, value)| name.len() + value.len()).sum()
    }
}

/// Checks the form of a metric name as a family declares it.
pub(crate) fn check_metric_name(name: &str) -> Result<(), Violation> {
    if is_identifier(name) { Ok(()) } else { Err(Violation::BadMetricName(excerpt(name))) }
}

/// Whether a name, of a family or of one of its samples, belongs to the collector.
pub(crate) fn is_reserved_metric(name: &str) -> bool {
    name == RESERVED_METRIC || RESERVED_METRIC_PREFIXES.iter().any(|own| name.starts_with(own))
}

fn check_label_name(name: &str) -> Result<(), Violation> {
    if !is_identifier(name) {
        return Err(Violation::BadLabelName(excerpt(name)));
    }
    if RESERVED_LABELS.contains(&name) || name.starts_with(RESERVED_LABEL_PREFIX) {
        return Err(Violation::ReservedLabel(name.into()));
    }
    Ok(())
}

/// `[A-Za-z_][A-Za-z0-9_]*` of at most [`MAX_NAME_BYTES`] bytes.
pub(crate) fn is_identifier(name: &str) -> bool {
    name.len() <= MAX_NAME_BYTES
        && name.bytes().next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// The beginning of what a peer sent, short enough to be logged and sent back: escaped, a character takes up
/// to ten bytes, and a Reject's text has room for 512.
fn excerpt(text: &str) -> Box<str> {
    const SHOWN: usize = 40;
    text.chars().take(SHOWN).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_published_one() {
        let hash = |id| AgentId::try_new(id).unwrap().fnv1a();
        assert_eq!(hash("a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(hash("foobar"), 0x8594_4171_f739_67e8);
    }
}
