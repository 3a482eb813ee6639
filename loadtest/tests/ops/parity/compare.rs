//! Finds the differences between pages of the reference and a page of the agent.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use super::super::families::samples::{Family, Labels};

/// Part of a value by which it may differ: the formats have different numbers of digits.
const PRECISION: f64 = 1e-9;

/// Kind of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// The agent lacks a series of the reference.
    Missing,
    /// The agent has another series in a family of the reference.
    Extra,
    /// The family has another type.
    Type,
    /// The agent's series has more labels.
    Labels,
    /// The agent's value is outside of the reference's values.
    Value,
}

impl Kind {
    pub(super) const ALL: [Self; 5] =
        [Self::Missing, Self::Extra, Self::Type, Self::Labels, Self::Value];
}

impl fmt::Display for Kind {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.pad(match self {
            Self::Missing => "missing",
            Self::Extra => "extra",
            Self::Type => "type",
            Self::Labels => "labels",
            Self::Value => "value",
        })
    }
}

/// Pages of one round. Those of the reference are in the order in which they were read; the agent
/// sampled after the first and before the last.
pub(super) struct Round {
    pub(super) reference: Vec<Vec<Family>>,
    pub(super) agent: Vec<Family>,
}

impl Round {
    /// Returns the series of the reference and of the agent, as text.
    pub(super) fn series(&self) -> [BTreeSet<String>; 2] {
        let of = |families: &mut dyn Iterator<Item = &Family>| {
            families.flat_map(|family| family.samples.keys()).map(text).collect()
        };
        [of(&mut self.reference.iter().flatten()), of(&mut self.agent.iter())]
    }

    pub(super) fn summary(&self) -> String {
        let count = |families: &[Family]| {
            let series: usize = families.iter().map(|family| family.samples.len()).sum();
            format!("{} families, {series} series", families.len())
        };
        format!(
            "reference {}, read {} times; agent {}",
            count(&self.reference[0]),
            self.reference.len(),
            count(&self.agent)
        )
    }
}

type Series = (String, Labels);

/// Returns a series in the form of a page, with sorted labels.
fn text((name, labels): &Series) -> String {
    let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    if labels.is_empty() { name.clone() } else { format!("{name}{{{}}}", labels.join(",")) }
}

/// Differences by kind and series, each with details.
pub(super) struct Differences(pub(super) BTreeMap<(Kind, String), String>);

impl Differences {
    /// Compares the pages of a round.
    pub(super) fn of(round: &Round) -> Self {
        let mut found = Self(BTreeMap::new());
        let agent: HashMap<_, _> =
            round.agent.iter().map(|family| (family.name.as_str(), family)).collect();
        for (name, family) in Reference::families(&round.reference) {
            family.compare(agent.get(name).copied(), &mut found);
        }
        found
    }

    /// Keeps the differences that `other` has, too.
    pub(super) fn also_in(mut self, other: &Self) -> Self {
        self.0.retain(|key, _| other.0.contains_key(key));
        self
    }

    fn add(&mut self, kind: Kind, series: String, details: String) {
        self.0.insert((kind, series), details);
    }
}

/// A family on all pages of the reference.
#[derive(Default)]
struct Reference {
    name: String,
    kind: String,
    /// Values of each series, in the order of the pages.
    values: BTreeMap<Series, Vec<f64>>,
    /// Number of pages.
    pages: usize,
}

impl Reference {
    fn families(pages: &[Vec<Family>]) -> BTreeMap<&str, Self> {
        let mut families: BTreeMap<&str, Self> = BTreeMap::new();
        for family in pages.iter().flatten() {
            let known = families.entry(&family.name).or_default();
            known.name.clone_from(&family.name);
            known.kind.clone_from(&family.kind);
            known.pages = pages.len();
            for (series, value) in &family.samples {
                let values = known.values.entry(series.clone()).or_default();
                values.push(f64::from_bits(*value));
            }
        }
        families
    }

    fn compare(&self, agent: Option<&Family>, found: &mut Differences) {
        let mut left: BTreeMap<&Series, f64> = BTreeMap::new();
        if let Some(agent) = agent {
            left.extend(agent.samples.iter().map(|(key, value)| (key, f64::from_bits(*value))));
            if agent.kind != self.kind {
                let details = format!("{} instead of {}", agent.kind, self.kind);
                found.add(Kind::Type, self.name.clone(), details);
            }
        }
        for (series, values) in &self.values {
            let same = left.keys().copied().find(|own| *own == series);
            let Some(own) = same.or_else(|| left.keys().copied().find(|own| adds(own, series)))
            else {
                // A device that appeared or disappeared meanwhile may be missing.
                if values.len() == self.pages {
                    found.add(Kind::Missing, text(series), format!("reference {}", values[0]));
                }
                continue;
            };
            if own != series {
                found.add(Kind::Labels, text(series), text(own));
            }
            let value = left.remove(own).unwrap();
            let (low, high) = range(values);
            if !is_within(value, low, high) {
                let details = format!("{value} instead of {low} to {high}");
                found.add(Kind::Value, text(series), details);
            }
        }
        for (series, value) in left {
            found.add(Kind::Extra, text(series), format!("agent {value}"));
        }
    }
}

/// Returns whether a series has all labels of the reference's series and more.
fn adds((name, labels): &Series, (other, others): &Series) -> bool {
    name == other && others.iter().all(|(name, value)| labels.get(name) == Some(value))
}

fn range(values: &[f64]) -> (f64, f64) {
    values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(*value), high.max(*value))
    })
}

/// Returns whether a value is in the range. Without a range, the reference was NaN.
fn is_within(value: f64, low: f64, high: f64) -> bool {
    if low > high {
        return value.is_nan();
    }
    let slack = |bound: f64| if bound.is_finite() { bound.abs() * PRECISION } else { 0.0 };
    value >= low - slack(low) && value <= high + slack(high)
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
