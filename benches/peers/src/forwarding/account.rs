//! Compares what the engine has with what the hosts offered.

use std::collections::HashMap;
use std::ops::Range;

use fleetgauge_receiver::{FindingKind, Labels, Ledger, Series};
use serde::Serialize;

use super::offered::Offered;
use super::sender::HostLabels;
use crate::fleet_kind::FleetKind;
use crate::reading::{self, Reading};

/// Label of the metric name.
const METRIC_NAME: &str = "__name__";
/// Largest relative error of a value. Parsers of the text format may round the last bit.
const MAX_ERROR: f64 = 1e-12;

/// What is compared.
pub(super) struct Account<'a> {
    pub(super) kind: FleetKind,
    pub(super) labels: HostLabels,
    pub(super) offered: &'a Offered,
}

/// Samples of a time range. The samples that a sender adds for each host do not count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Samples that the hosts offered.
    pub offered: u64,
    /// Samples of scrapes that did not take place.
    pub not_taken: u64,
    /// Offered samples that the engine does not have.
    pub lost: u64,
    /// Samples with another value than the host's.
    pub wrong: u64,
    /// Samples that no host has offered.
    pub unknown: u64,
    /// Stale markers.
    pub markers: u64,
    /// Times of the first and the last report that lost a sample, in milliseconds since 1970 UTC.
    pub lost_times: Option<(u64, u64)>,
}

impl Count {
    /// Adds lost samples of the report of this time.
    fn add_lost(&mut self, time: u64, samples: u64) {
        self.lost += samples;
        let (first, last) = self.lost_times.unwrap_or((time, time));
        self.lost_times = Some((first.min(time), last.max(time)));
    }
}

/// The positions of the series of a host, by their labels as text.
struct Positions(HashMap<String, usize>);

impl Account<'_> {
    /// Number of offered reports in this time whose sequence gauge the engine does not have. Much
    /// cheaper than [`Self::count`].
    pub(super) fn missing_reports(&self, ledger: &Ledger, within: &Range<u64>) -> usize {
        let missing = |host| {
            let times = self.offered.times(host);
            let mut seen: Vec<_> = times.iter().map(|time| !within.contains(time)).collect();
            for sample in self.gauge(ledger, host).iter().flat_map(|series| series.samples()) {
                let time = u64::try_from(sample.unix_ms).unwrap_or(0);
                let index = self.offered.index_at(&times, time);
                if let Some(seen) = index.and_then(|index| seen.get_mut(index)) {
                    *seen |= !sample.is_stale_marker();
                }
            }
            seen.iter().filter(|seen| !**seen).count()
        };
        (0..self.offered.hosts()).map(missing).sum()
    }

    /// The series of a host whose value identifies the report.
    pub(super) fn gauge<'l>(&self, ledger: &'l Ledger, host: usize) -> Option<Series<'l>> {
        let id = reading::id(host);
        let mut labels = vec![(METRIC_NAME, self.kind.sequence_gauge()), (self.labels.0, &*id)];
        labels.extend(self.labels.1);
        ledger.find(&labels)
    }

    /// Whether a series is one of a host's own. If it is, returns the number of the host.
    pub(super) fn host_of(&self, labels: Labels<'_>) -> Option<usize> {
        let is_own = labels.metric().starts_with(self.kind.prefix());
        let id = labels.get(self.labels.0).filter(|_| is_own)?;
        let host = id.strip_prefix("web-")?.split('.').next()?.parse().ok()?;
        (host < self.offered.hosts()).then_some(host)
    }

    /// Compares all samples in this time. Takes a second for a million samples.
    pub(super) fn count(&self, ledger: &Ledger, within: &Range<u64>) -> Count {
        let mut by_host: Vec<_> = (0..self.offered.hosts()).map(|_| Vec::new()).collect();
        for series in ledger.series() {
            let host = self.host_of(series.labels());
            if let Some(all) = host.and_then(|host| by_host.get_mut(host)) {
                all.push(series);
            }
        }
        let mut count = Count::default();
        for (host, series) in by_host.iter().enumerate() {
            self.count_host(host, series, within, &mut count);
        }
        count
    }

    fn count_host(&self, host: usize, all: &[Series<'_>], within: &Range<u64>, count: &mut Count) {
        let times = self.offered.times(host);
        let Positions(positions) = self.positions(host);
        let due = times.iter().filter(|time| within.contains(time)).count() as u64;
        let series = positions.len() as u64;
        count.offered += due * series;
        if self.labels.1.is_some() {
            count.not_taken += self.offered.missed(&times, within) * series;
        }
        let values = (1..).zip(&times).map(|(sequence, time)| {
            within.contains(time).then(|| values(Reading { kind: self.kind, host, sequence }))
        });
        let values: Vec<_> = values.collect();
        let mut found = vec![0; times.len()];
        for series in all {
            let position = positions.get(&self.key(series.labels()));
            let mut seen = vec![false; times.len()];
            for sample in series.samples() {
                let time = u64::try_from(sample.unix_ms).unwrap_or(0);
                if sample.is_stale_marker() {
                    count.markers += u64::from(within.contains(&time));
                    continue;
                }
                let index = self.offered.index_at(&times, time);
                let place = index.and_then(|index| Some((index, values.get(index)?.as_ref())));
                match (place, position) {
                    (Some((index, Some(values))), Some(position)) => {
                        let expected = values.get(*position).copied().unwrap_or(f64::NAN);
                        count.wrong += u64::from(!is_same(sample.value(), expected));
                        seen[index] = true;
                    }
                    (Some((_, None)), Some(_)) => {}
                    (None, _) | (_, None) => count.unknown += u64::from(within.contains(&time)),
                }
            }
            found.iter_mut().zip(seen).for_each(|(found, seen)| *found += u64::from(seen));
        }
        for (time, found) in times.iter().zip(found) {
            if within.contains(time) && found < series {
                count.add_lost(*time, series - found);
            }
        }
    }

    fn positions(&self, host: usize) -> Positions {
        let mut positions = HashMap::new();
        let reading = Reading { kind: self.kind, host, sequence: 1 };
        reading.samples(|name, labels, _| {
            let mut pairs: Vec<_> = labels.iter().map(|label| (label.name, label.value)).collect();
            pairs.push((METRIC_NAME, name));
            positions.insert(text(pairs), positions.len());
        });
        Positions(positions)
    }

    /// Labels of a series as text, without those that the sender has added.
    fn key(&self, labels: Labels<'_>) -> String {
        let is_added = |name: &str| {
            name == self.labels.0 || self.labels.1.is_some_and(|(added, _)| added == name)
        };
        text(labels.iter().filter(|(name, _)| !is_added(name)).collect())
    }
}

fn values(reading: Reading) -> Vec<f64> {
    let mut values = Vec::new();
    reading.samples(|_, _, value| values.push(value));
    values
}

/// Labels as text, in the order of their names. Empty values are the same as no label.
fn text(mut pairs: Vec<(&str, &str)>) -> String {
    pairs.retain(|(_, value)| !value.is_empty());
    pairs.sort_unstable();
    format!("{pairs:?}")
}

fn is_same(value: f64, expected: f64) -> bool {
    value.to_bits() == expected.to_bits()
        || (value - expected).abs() <= expected.abs() * MAX_ERROR
        || (value.is_nan() && expected.is_nan())
}

/// What a correct sender never does, as the receiver saw it.
pub(super) fn findings(ledger: &Ledger) -> Vec<String> {
    const KINDS: [FindingKind; 11] = [
        FindingKind::UnsortedLabels,
        FindingKind::EmptyLabel,
        FindingKind::MissingName,
        FindingKind::InvalidName,
        FindingKind::DuplicateLabel,
        FindingKind::EmptySeries,
        FindingKind::OutOfOrder,
        FindingKind::Conflicting,
        FindingKind::BadHeader,
        FindingKind::Undecodable,
        FindingKind::OverLimit,
    ];
    let counts = KINDS.map(|kind| (kind, ledger.findings().count(kind)));
    let found = counts.iter().filter(|(_, count)| *count > 0);
    found.map(|(kind, count)| format!("{} {count} times", kind.name())).collect()
}

#[cfg(test)]
#[path = "account_tests.rs"]
mod tests;
