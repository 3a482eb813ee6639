//! Rules of a destination: which metrics are forwarded, and under which names and labels.
//!
//! Rules are applied when a template is built, never per sample. Order: keep and drop metrics by
//! the sample name; rename metrics; drop labels; rename labels; add external labels.
//!
//! No renaming rule makes two series of an agent equal: a rename does not apply where the new name
//! is in use already, by another sample of the agent or by a label of the catalog. Dropped metrics
//! and labels do not count as in use. Two series that differ only in a dropped label become equal,
//! and the engine rejects one of them: dropping such a label is the operator's decision. The same
//! holds for a series with an external label's name and value of its own, as in Prometheus.

use std::collections::BTreeMap;

use fleetgauge_proto::limits::{MAX_LABEL_VALUE_BYTES, MAX_LABELS, MAX_NAME_BYTES};
use fleetgauge_proto::names::{RESERVED_LABEL_PREFIX, is_identifier, is_metric_name};

use super::pattern::Pattern;

/// Name of the series that each connected agent has.
pub(super) const AGENT_UP: &str = "fleetgauge_agent_up";
/// Label that tells the series of agents apart.
const AGENT: &str = "agent";
/// Label of the metric name.
pub(super) const NAME: &str = "__name__";
/// Labels that the collector sets, so that no other label may get their names.
const SET_LABELS: [&str; 4] = [AGENT, "client_no", "le", "quantile"];
/// Maximum number of renamed labels or metrics: one bit each in a mask of rules that do not apply.
const MAX_RENAMES: usize = 64;
/// Maximum number of patterns of a list. Each is tried on each name of a new catalog.
const MAX_PATTERNS: usize = 64;

/// Rules as configured, not validated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleSet {
    /// Labels that are added to each series that has no label with this name.
    pub external_labels: BTreeMap<String, String>,
    /// Patterns of sample names to forward; empty for all.
    pub keep_metrics: Vec<String>,
    /// Patterns of sample names that are not forwarded, even if `keep_metrics` has them.
    pub drop_metrics: Vec<String>,
    /// Patterns of label names that are removed from all series.
    pub drop_labels: Vec<String>,
    /// New names by label name.
    pub rename_labels: BTreeMap<String, String>,
    /// New names by sample name.
    pub rename_metrics: BTreeMap<String, String>,
    /// Whether each agent has a series `fleetgauge_agent_up`. The lists of metrics to keep and to
    /// drop do not apply to it.
    pub agent_up: bool,
}

impl Default for RuleSet {
    fn default() -> Self {
        Self {
            external_labels: BTreeMap::new(),
            keep_metrics: Vec::new(),
            drop_metrics: Vec::new(),
            drop_labels: Vec::new(),
            rename_labels: BTreeMap::new(),
            rename_metrics: BTreeMap::new(),
            agent_up: true,
        }
    }
}

/// Why rules are invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRule {
    /// A rule would remove or rename the label that tells agents apart.
    #[error(
        "\"{rule}\" applies to the label \"{label}\", which every series needs; \
         remove the rule"
    )]
    NeededLabel {
        /// Name of the list.
        list: &'static str,
        /// The rule.
        rule: Box<str>,
        /// The label.
        label: &'static str,
    },
    /// The name belongs to labels or metrics of the collector.
    #[error("the name \"{name}\" is reserved; choose another one")]
    Reserved {
        /// Name of the list.
        list: &'static str,
        /// The name.
        name: Box<str>,
    },
    /// The text is not a valid name or pattern.
    #[error("\"{name}\" is not a valid name")]
    BadName {
        /// Name of the list.
        list: &'static str,
        /// The name.
        name: Box<str>,
    },
    /// Two names would become one.
    #[error("two rules have the new name \"{name}\"; choose different names")]
    SameTarget {
        /// Name of the list.
        list: &'static str,
        /// The name.
        name: Box<str>,
    },
    /// The value of an external label is invalid.
    #[error("the value of \"{name}\" must have 1 to {max} bytes")]
    BadValue {
        /// Name of the label.
        name: Box<str>,
        /// Maximum length, in bytes.
        max: usize,
    },
    /// A list is too long.
    #[error("at most {max} entries are allowed")]
    TooMany {
        /// Name of the list.
        list: &'static str,
        /// Maximum number of entries.
        max: usize,
    },
}

impl BadRule {
    /// Returns the name of the list that the rule is in.
    pub(crate) const fn list(&self) -> &'static str {
        match self {
            Self::NeededLabel { list, .. }
            | Self::Reserved { list, .. }
            | Self::BadName { list, .. }
            | Self::SameTarget { list, .. }
            | Self::TooMany { list, .. } => list,
            Self::BadValue { .. } => "external_labels",
        }
    }
}

/// Valid rules of a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    external_labels: Box<[(Box<str>, Box<str>)]>,
    keep_metrics: Box<[Pattern]>,
    drop_metrics: Box<[Pattern]>,
    drop_labels: Box<[Pattern]>,
    rename_labels: Renames,
    rename_metrics: Renames,
    agent_up: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            external_labels: Box::default(),
            keep_metrics: Box::default(),
            drop_metrics: Box::default(),
            drop_labels: Box::default(),
            rename_labels: Renames::default(),
            rename_metrics: Renames::default(),
            agent_up: true,
        }
    }
}

impl Rules {
    /// Validates rules.
    ///
    /// # Errors
    /// The first [`BadRule`] found.
    pub fn try_new(rules: &RuleSet) -> Result<Self, BadRule> {
        let labels = rules.rename_labels.iter();
        check_labels("rename_labels", labels.flat_map(|(old, new)| [old, new]))?;
        for (list, names) in [
            ("external_labels", rules.external_labels.keys().collect::<Vec<_>>()),
            ("rename_labels", rules.rename_labels.values().collect()),
        ] {
            check_labels(list, names.iter().copied())?;
            let set = names.into_iter().find(|name| SET_LABELS.contains(&name.as_str()));
            if let Some(name) = set {
                return Err(BadRule::Reserved { list, name: name.as_str().into() });
            }
        }
        if rules.rename_labels.contains_key(AGENT) {
            let (list, rule) = ("rename_labels", AGENT.into());
            return Err(BadRule::NeededLabel { list, rule, label: AGENT });
        }
        let bad_value = |value: &str| value.is_empty() || value.len() > MAX_LABEL_VALUE_BYTES;
        if let Some((name, _)) = rules.external_labels.iter().find(|label| bad_value(label.1)) {
            let (name, max) = (name.as_str().into(), MAX_LABEL_VALUE_BYTES);
            return Err(BadRule::BadValue { name, max });
        }
        check_count("external_labels", rules.external_labels.len(), MAX_LABELS)?;
        let external = rules.external_labels.iter();
        Ok(Self {
            external_labels: external
                .map(|(name, value)| (name[..].into(), value[..].into()))
                .collect(),
            keep_metrics: patterns("keep_metrics", &rules.keep_metrics)?,
            drop_metrics: patterns("drop_metrics", &rules.drop_metrics)?,
            drop_labels: label_patterns("drop_labels", &rules.drop_labels)?,
            rename_labels: Renames::try_new("rename_labels", &rules.rename_labels)?,
            rename_metrics: metric_renames("rename_metrics", &rules.rename_metrics)?,
            agent_up: rules.agent_up,
        })
    }

    /// Returns names and values of the external labels, sorted by name.
    pub(super) fn external_labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.external_labels.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Whether each agent has a series `fleetgauge_agent_up`.
    #[must_use]
    pub fn agent_up(&self) -> bool {
        self.agent_up
    }

    /// Whether samples with this name are forwarded.
    pub(super) fn keeps_metric(&self, name: &str) -> bool {
        let matches = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(name));
        (self.keep_metrics.is_empty() || matches(&self.keep_metrics))
            && !matches(&self.drop_metrics)
    }

    /// Whether labels with this name are removed.
    pub(super) fn drops_label(&self, name: &str) -> bool {
        self.drop_labels.iter().any(|pattern| pattern.matches(name))
    }

    pub(super) fn rename_labels(&self) -> &Renames {
        &self.rename_labels
    }

    pub(super) fn rename_metrics(&self) -> &Renames {
        &self.rename_metrics
    }
}

/// Old names with new names, which differ from each other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Renames(
    /// Sorted by old name.
    Box<[(Box<str>, Box<str>)]>,
);

/// Renames that do not apply, because their new names are in use: one bit each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct Blocked(u64);

impl Blocked {
    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl Renames {
    fn try_new(list: &'static str, names: &BTreeMap<String, String>) -> Result<Self, BadRule> {
        check_count(list, names.len(), MAX_RENAMES)?;
        let mut new: Vec<_> = names.values().collect();
        new.sort_unstable();
        if let Some(pair) = new.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(BadRule::SameTarget { list, name: pair[0].as_str().into() });
        }
        Ok(Self(names.iter().map(|(old, new)| (old[..].into(), new[..].into())).collect()))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the renames whose new names are in use.
    pub(super) fn blocked(&self, mut is_used: impl FnMut(&str) -> bool) -> Blocked {
        let used = self.0.iter().enumerate().filter(|(_, (_, new))| is_used(new));
        Blocked(used.fold(0, |mask, (index, _)| mask | 1 << index))
    }

    /// Returns the name under which this one is forwarded.
    pub(super) fn new_name<'a>(&'a self, name: &'a str, blocked: Blocked) -> &'a str {
        match self.0.binary_search_by(|(old, _)| (**old).cmp(name)) {
            Ok(index) if blocked.0 >> index & 1 == 0 => &self.0[index].1,
            _ => name,
        }
    }
}

fn check_count(list: &'static str, count: usize, max: usize) -> Result<(), BadRule> {
    if count > max { Err(BadRule::TooMany { list, max }) } else { Ok(()) }
}

fn check_labels<'a>(
    list: &'static str,
    mut names: impl Iterator<Item = &'a String>,
) -> Result<(), BadRule> {
    let is_bad = |name: &&String| !is_identifier(name) || name.starts_with(RESERVED_LABEL_PREFIX);
    match names.find(is_bad) {
        Some(name) => Err(BadRule::BadName { list, name: name.as_str().into() }),
        None => Ok(()),
    }
}

fn metric_renames(
    list: &'static str,
    names: &BTreeMap<String, String>,
) -> Result<Renames, BadRule> {
    let mut all = names.iter().flat_map(|(old, new)| [old, new]);
    if let Some(name) = all.find(|name| !is_metric_name(name)) {
        return Err(BadRule::BadName { list, name: name.as_str().into() });
    }
    if names.values().any(|new| new == AGENT_UP) {
        return Err(BadRule::Reserved { list, name: AGENT_UP.into() });
    }
    Renames::try_new(list, names)
}

fn patterns(list: &'static str, texts: &[String]) -> Result<Box<[Pattern]>, BadRule> {
    check_count(list, texts.len(), MAX_PATTERNS)?;
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"_:*".contains(&byte);
    let is_good = |text: &String| {
        !text.is_empty() && text.len() <= MAX_NAME_BYTES && text.bytes().all(is_part)
    };
    if let Some(bad) = texts.iter().find(|text| !is_good(text)) {
        return Err(BadRule::BadName { list, name: bad.as_str().into() });
    }
    Ok(texts.iter().map(|text| Pattern::new(text)).collect())
}

fn label_patterns(list: &'static str, texts: &[String]) -> Result<Box<[Pattern]>, BadRule> {
    let patterns = patterns(list, texts)?;
    for (pattern, text) in patterns.iter().zip(texts) {
        if let Some(label) = [AGENT, NAME].into_iter().find(|name| pattern.matches(name)) {
            return Err(BadRule::NeededLabel { list, rule: text.as_str().into(), label });
        }
    }
    Ok(patterns)
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
