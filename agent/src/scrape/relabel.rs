//! Labels of the samples of other programs: those that the agent adds, and what becomes of others.

use std::borrow::Cow;

use fleetgauge_proto::limits::{MAX_LABEL_VALUE_BYTES, MAX_LABELS};
use fleetgauge_proto::names::{
    RESERVED_LABEL_PREFIX, RESERVED_LABELS, is_identifier, is_metric_name,
};

use super::text::Sample;
use crate::tables::EXPORTED_PREFIX;

/// The labels that all samples of a page get.
#[derive(Debug, Default)]
pub(super) struct Relabel {
    /// Names and values, sorted by name.
    added: Vec<(Box<str>, Box<str>)>,
    /// Names of samples that the agent itself has. A page's samples of these names are left out.
    own_names: &'static [&'static str],
}

/// Labels with names that may have got a prefix.
pub(super) type Labels<'a> = Vec<(Cow<'a, str>, &'a str)>;

impl Relabel {
    /// Adds these labels. Each name occurs once; labels without a value are left out.
    pub(super) fn new<'a>(
        added: impl IntoIterator<Item = (&'a str, &'a str)>,
        own_names: &'static [&'static str],
    ) -> Self {
        let added = added.into_iter().filter(|(_, value)| !value.is_empty());
        let mut added: Vec<(Box<str>, Box<str>)> =
            added.map(|(name, value)| (name.into(), value.into())).collect();
        added.sort_unstable();
        Self { added, own_names }
    }

    /// Returns the labels that are added.
    pub(super) fn added(&self) -> impl Iterator<Item = (&str, &str)> {
        self.added.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Returns the labels of a sample. The error says why the protocol cannot carry it.
    pub(super) fn labels<'a>(&'a self, sample: &Sample<'a>) -> Result<Labels<'a>, &'static str> {
        if !is_metric_name(sample.name) {
            return Err("the metric name is too long or has other characters than [a-zA-Z0-9_:]");
        }
        if self.own_names.contains(&sample.name) {
            return Err("the agent itself has metrics of this name");
        }
        let mut labels: Labels<'a> =
            self.added().map(|(name, value)| (Cow::Borrowed(name), value)).collect();
        let own = sample
            .labels
            .iter()
            .filter(|(name, value)| !value.is_empty() && !name.starts_with(RESERVED_LABEL_PREFIX));
        // Labels that keep their names go first: a prefix must not yield the name of one of them.
        let (taken, kept): (Vec<_>, Vec<_>) = own.partition(|(name, _)| self.is_taken(name));
        labels.extend(kept.into_iter().map(|(name, value)| (Cow::Borrowed(name), value)));
        for (name, value) in taken {
            let mut name = format!("{EXPORTED_PREFIX}{name}");
            while labels.iter().any(|(other, _)| *other == name) {
                name.insert_str(0, EXPORTED_PREFIX);
            }
            labels.push((name.into(), value));
        }
        check(&labels).map(|()| labels)
    }

    fn is_taken(&self, name: &str) -> bool {
        RESERVED_LABELS.contains(&name) || self.added.iter().any(|(added, _)| **added == *name)
    }
}

/// Checks labels as the protocol does.
fn check(labels: &Labels<'_>) -> Result<(), &'static str> {
    if labels.len() > MAX_LABELS {
        return Err("it has more than 32 labels");
    }
    if labels.iter().any(|(name, _)| !is_identifier(name)) {
        return Err("a label name is too long or has other characters than [a-zA-Z0-9_]");
    }
    if labels.iter().any(|(_, value)| value.len() > MAX_LABEL_VALUE_BYTES) {
        return Err("a label value is longer than 1024 bytes");
    }
    Ok(())
}
