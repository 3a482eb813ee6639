//! Samples of families that a source found: their names are not declared in a table.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fleetgauge_proto::catalog::FamilyKind;
use fleetgauge_proto::limits::MAX_LABEL_VALUE_BYTES;

use super::size::Size;
use super::texts::Texts;

/// Prefix of the name of a label whose own name is not available, as in Prometheus.
pub(crate) const EXPORTED_PREFIX: &str = "exported_";

/// A family whose name the source found when it read the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundFamily<'a> {
    /// Name of the family and of its samples.
    pub name: &'a str,
    /// Metric type: gauge, counter as named, or unknown.
    pub kind: FamilyKind,
    /// Help text.
    pub help: &'a str,
}

/// The samples that a source found in one reading.
///
/// Buffers and grouping are kept between readings, as long as the samples have the same names and
/// labels in the same order: then a reading allocates nothing.
#[derive(Debug, Default)]
pub(super) struct FoundSamples {
    /// For each sample: name, kind, help, then the names and values of its labels.
    texts: Texts,
    /// For each sample, the number of its texts.
    counts: Vec<usize>,
    values: Vec<f64>,
    grouped_texts: Texts,
    grouped_counts: Vec<usize>,
    groups: Arc<FoundGroups>,
    /// Whether all samples so far repeat those of the reading before. Then only their values are
    /// kept.
    is_repeating: bool,
}

/// The names and labels of the samples of one reading, grouped by family.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct FoundGroups {
    pub(super) families: BTreeMap<Box<str>, FoundGroup>,
    /// Number of samples of the reading.
    samples: usize,
    /// Number of samples that were left out: their family has another kind, they repeat a sample,
    /// a label name is repeated, or a label value is too long.
    pub(super) left_out: usize,
}

/// The samples of a family.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FoundGroup {
    pub(super) kind: FamilyKind,
    pub(super) help: Box<str>,
    /// Labels without empty values, by name; and the position of the sample in the reading.
    pub(super) samples: BTreeMap<Labels, usize>,
}

pub(super) type Labels = Vec<(Box<str>, Box<str>)>;

impl FoundSamples {
    /// Begins a reading: there are no samples.
    pub(super) fn begin(&mut self) {
        self.texts.clear();
        self.counts.clear();
        self.values.clear();
        self.is_repeating = true;
    }

    /// Adds the sample that is at the same position in the reading before, with another value.
    /// Returns `false` if there is none, or if a sample before it was pushed.
    pub(super) fn repeat(&mut self, value: f64) -> bool {
        let can_repeat = self.can_repeat();
        if can_repeat {
            self.values.push(value);
        }
        can_repeat
    }

    /// Returns whether [`Self::repeat`] would add a sample.
    pub(super) const fn can_repeat(&self) -> bool {
        self.is_repeating && self.values.len() < self.grouped_counts.len()
    }

    /// Copies the texts of the samples that repeat those of the reading before.
    fn write_repeated(&mut self) {
        if !std::mem::replace(&mut self.is_repeating, false) {
            return;
        }
        let repeated = self.grouped_counts.get(..self.values.len()).unwrap_or_default();
        self.counts.extend_from_slice(repeated);
        self.texts.assign_start(&self.grouped_texts, repeated.iter().sum());
    }

    pub(super) fn push(&mut self, family: FoundFamily<'_>, labels: &[(&str, &str)], value: f64) {
        self.write_repeated();
        let FoundFamily { name, kind, help } = family;
        let kind = match kind {
            FamilyKind::Gauge => "g",
            FamilyKind::CounterAsNamed | FamilyKind::Counter => "c",
            _ => "u",
        };
        [name, kind, help].iter().for_each(|text| self.texts.push(text));
        for (name, value) in labels {
            self.texts.push(name);
            self.texts.push(value);
        }
        self.counts.push(3 + 2 * labels.len());
        self.values.push(value);
    }

    /// Ends the reading: groups the samples, unless they are those of the reading before.
    pub(super) fn finish(&mut self) {
        if self.is_repeating && self.values.len() == self.grouped_counts.len() {
            return;
        }
        self.write_repeated();
        if self.texts != self.grouped_texts || self.counts != self.grouped_counts {
            self.groups = Arc::new(self.group());
            std::mem::swap(&mut self.grouped_texts, &mut self.texts);
            std::mem::swap(&mut self.grouped_counts, &mut self.counts);
        }
    }

    /// Returns the size of the texts of this reading.
    #[cfg(test)]
    pub(super) fn text_bytes(&self) -> usize {
        self.texts.iter().map(str::len).sum()
    }

    fn group(&self) -> FoundGroups {
        let mut groups = FoundGroups { samples: self.counts.len(), ..FoundGroups::default() };
        let mut texts = self.texts.iter();
        for (position, count) in self.counts.iter().enumerate() {
            let sample: Vec<&str> = texts.by_ref().take(*count).collect();
            let [name, kind, help, labels @ ..] = &*sample else { continue };
            let kind = match *kind {
                "g" => FamilyKind::Gauge,
                "c" => FamilyKind::CounterAsNamed,
                _ => FamilyKind::Unknown,
            };
            groups.add(name, kind, help, labels, position);
        }
        groups
    }

    pub(super) const fn groups(&self) -> &Arc<FoundGroups> {
        &self.groups
    }

    /// Returns the values by the position of their samples.
    pub(super) fn values(&self) -> &[f64] {
        &self.values
    }
}

impl FoundGroup {
    fn size(&self) -> Size {
        let labels = || self.samples.keys().flatten();
        let names: BTreeSet<&str> = labels().map(|(name, _)| &**name).collect();
        // A family whose samples were all left out is one series without a value.
        let samples = self.samples.len().max(1);
        Size {
            columns: 1,
            series: samples,
            values: samples,
            tables: 1,
            labels: samples * names.len(),
            label_bytes: labels().map(|(_, value)| value.len()).sum(),
        }
    }
}

impl FoundGroups {
    /// Returns the number of samples of the reading, with those that were left out.
    pub(super) const fn samples(&self) -> usize {
        self.samples
    }

    /// Returns an upper bound of the size of the tables with these samples.
    pub(super) fn size(&self) -> Size {
        self.families.values().map(FoundGroup::size).fold(Size::default(), Size::plus)
    }

    fn add(&mut self, name: &str, kind: FamilyKind, help: &str, labels: &[&str], position: usize) {
        let pairs = labels.chunks_exact(2).map(|pair| (pair[0], pair[1]));
        let pairs = pairs.filter(|(_, value)| !value.is_empty());
        let mut labels: Labels = pairs.map(|(name, value)| (name.into(), value.into())).collect();
        labels.sort_unstable();
        let is_long = labels.iter().any(|(_, value)| value.len() > MAX_LABEL_VALUE_BYTES);
        let repeats = labels.array_windows().any(|[(first, _), (second, _)]| first == second);
        let new = || FoundGroup { kind, help: help.into(), samples: BTreeMap::new() };
        let group = self.families.entry(name.into()).or_insert_with(new);
        if is_long || repeats || group.kind != kind || group.samples.contains_key(&labels) {
            self.left_out += 1;
            return;
        }
        group.samples.insert(labels, position);
    }
}
