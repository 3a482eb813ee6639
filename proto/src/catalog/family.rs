//! Metric families.

use super::FamilyKind;
use crate::limits::MAX_HELP_BYTES;
use crate::message;
use crate::names;
use crate::violation::Violation;

/// A metric family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Family {
    /// Metric name without the suffix of its kind, such as `_total`.
    pub name: Box<str>,
    /// Metric type; `None` for a kind of a later version, whose values are not exposed.
    pub kind: Option<FamilyKind>,
    /// Unit, which the name ends in; empty if it has none.
    pub unit: Box<str>,
    /// Help text; may be empty.
    pub help: Box<str>,
}

impl Family {
    /// Validates a family.
    pub(super) fn try_new(declared: &message::Family<'_>) -> Result<Self, Violation> {
        let message::Family { name, kind, unit, help } = *declared;
        names::check_metric_name(name)?;
        let kind = FamilyKind::from_u8(kind);
        let mut suffixes = kind.map_or(&[][..], FamilyKind::suffixes).iter();
        if suffixes.any(|suffix| !suffix.is_empty() && name.ends_with(suffix)) {
            return Err(Violation::BadMetricName(name.into()));
        }
        let stem = name.strip_suffix(unit).and_then(|stem| stem.strip_suffix('_'));
        if !unit.is_empty() && (!names::is_identifier(unit) || stem.is_none_or(str::is_empty)) {
            return Err(Violation::BadUnit(name.into()));
        }
        if help.len() > MAX_HELP_BYTES {
            return Err(Violation::HelpTooLong(name.into()));
        }
        let family = Self { name: name.into(), kind, unit: unit.into(), help: help.into() };
        let mut samples = family.sample_names();
        if names::is_reserved_metric(name) || samples.any(|name| names::is_reserved_metric(&name)) {
            return Err(Violation::ReservedMetricName(name.into()));
        }
        drop(samples);
        Ok(family)
    }

    /// Iterates over the family name and all sample names that the family reserves in the text
    /// format and in OpenMetrics.
    pub fn sample_names(&self) -> impl Iterator<Item = String> + '_ {
        self.kind.into_iter().flat_map(|kind| kind.sample_names(&self.name))
    }
}
