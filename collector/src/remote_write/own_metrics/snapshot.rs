//! The collector's own metrics at one time, under the names and labels of a destination.

use std::collections::{BTreeMap, HashSet};

use fleetgauge_proto::catalog::{Family, FamilyKind};
use prometheus_client::registry::Registry as MetricsRegistry;
use tracing::error;

use super::super::encode::SeriesLabels;
use super::super::rules::{Blocked, NAME, Rules};
use crate::exposition::{openmetrics, sample_labels};

/// The label `job` of all series. The shipped alerts have it too.
pub(super) const JOB: &str = "fleetgauge-collector";
/// Labels that identify the collector.
const JOB_LABEL: &str = "job";
const INSTANCE_LABEL: &str = "instance";
/// Label of the buckets of a histogram, which no rule changes.
const BUCKET_LABEL: &str = "le";
/// Name of the series that Prometheus adds to what it scrapes.
const UP: &str = "up";

/// Returns the page of the collector's own metrics in the text format; `None` if it cannot be
/// encoded.
pub(super) fn page(metrics: &MetricsRegistry) -> Option<String> {
    let mut page = String::new();
    if let Err(error) = prometheus_client::encoding::text::encode(&mut page, metrics) {
        error!(%error, "cannot encode the collector's own metrics");
        return None;
    }
    Some(openmetrics::to_text(&page))
}

/// A page in the text format, parsed. It is the collector's own, so errors need no report.
#[derive(Debug, Default)]
pub(super) struct Page<'a> {
    /// With the names that they have in the text format.
    pub(super) families: Vec<Family>,
    samples: Vec<PageSample<'a>>,
}

/// A sample of a page.
#[derive(Debug, Clone, Copy)]
struct PageSample<'a> {
    name: &'a str,
    /// The text between the braces; empty without labels.
    labels: &'a str,
    value: f64,
    /// Index of its family; `None` without metadata.
    family: Option<usize>,
}

impl<'a> Page<'a> {
    pub(super) fn parse(text: &'a str) -> Self {
        let mut page = Self::default();
        for line in text.lines() {
            if let Some(metadata) = line.strip_prefix("# ") {
                page.metadata(metadata);
            } else {
                page.sample(line);
            }
        }
        page
    }

    fn metadata(&mut self, line: &str) {
        let Some((keyword, rest)) = line.split_once(' ') else { return };
        let (name, text) = rest.split_once(' ').unwrap_or((rest, ""));
        if self.families.last().is_none_or(|last| *last.name != *name) {
            let kind = Some(FamilyKind::Unknown);
            self.families.push(Family {
                name: name.into(),
                kind,
                unit: Box::default(),
                help: Box::default(),
            });
        }
        let Some(family) = self.families.last_mut() else { return };
        match (keyword, text) {
            ("HELP", help) => family.help = help.into(),
            ("TYPE", "counter") => family.kind = Some(FamilyKind::CounterAsNamed),
            ("TYPE", "gauge") => family.kind = Some(FamilyKind::Gauge),
            ("TYPE", "histogram") => family.kind = Some(FamilyKind::Histogram),
            _ => {}
        }
    }

    fn sample(&mut self, line: &'a str) {
        let Some((series, value)) = line.rsplit_once(' ') else { return };
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let labels = labels.strip_suffix('}').unwrap_or(labels);
        let Ok(value) = value.parse() else { return };
        let family = self.families.len().checked_sub(1);
        self.samples.push(PageSample { name, labels, value, family });
    }
}

/// The series of a page, under the names and labels of a destination, each once.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    /// Values, and the index of the family; `None` for `up`.
    pub(super) series: BTreeMap<SeriesLabels, (f64, Option<usize>)>,
    pub(super) families: Vec<Family>,
}

impl Snapshot {
    /// Applies the rules to a page, and adds `up` with the value 1.
    pub(super) fn of(page: &str, rules: &Rules, instance: &str) -> Self {
        let Page { families, samples } = Page::parse(page);
        let up = PageSample { name: UP, labels: "", value: 1.0, family: None };
        let samples = || samples.iter().copied().chain([up]);
        let names: HashSet<_> = samples().map(|sample| sample.name).collect();
        let is_used = |name: &str| names.contains(name) && rules.keeps_metric(name);
        let blocked = rules.rename_metrics().blocked(is_used);
        let mut series = BTreeMap::new();
        for PageSample { name, labels, value, family } in samples() {
            if let Some(labels) = series_labels(name, labels, rules, blocked, instance) {
                series.entry(labels).or_insert((value, family));
            }
        }
        Self { series, families }
    }
}

/// Returns the labels of a series; `None` if it is not forwarded. Rules do not apply to `job` and
/// `instance`: without them the series of two collectors would be the same.
fn series_labels(
    name: &str,
    labels: &str,
    rules: &Rules,
    blocked: Blocked,
    instance: &str,
) -> Option<SeriesLabels> {
    if !rules.keeps_metric(name) {
        return None;
    }
    let name = rules.rename_metrics().new_name(name, blocked);
    let set = [(NAME, name), (JOB_LABEL, JOB), (INSTANCE_LABEL, instance)];
    let is_set = |name: &str| set.iter().any(|(own, _)| *own == name);
    let is_changed = |name: &str| name != BUCKET_LABEL;
    let is_dropped = |name: &str| is_changed(name) && rules.drops_label(name);
    let own: Vec<_> =
        sample_labels(labels).filter(|(name, _)| !is_set(name) && !is_dropped(name)).collect();
    let is_used = |name: &str| is_set(name) || own.iter().any(|(own, _)| *own == name);
    let renames = rules.rename_labels();
    let blocked = renames.blocked(is_used);
    let mut all: Vec<(Box<str>, Box<str>)> = Vec::new();
    all.extend(set.map(|(name, value)| (name.into(), value.into())));
    for (name, value) in &own {
        let name = if is_changed(name) { renames.new_name(name, blocked) } else { name };
        all.push((name.into(), value[..].into()));
    }
    for (name, value) in rules.external_labels() {
        if !all.iter().any(|(own, _)| **own == *name) {
            all.push((name.into(), value.into()));
        }
    }
    // An empty label is no label.
    all.retain(|(_, value)| !value.is_empty());
    all.sort_unstable();
    Some(all.into())
}

#[cfg(test)]
#[path = "snapshot_tests.rs"]
mod tests;
