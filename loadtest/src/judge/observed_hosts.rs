//! The wide hosts on a page. Every value is traced to the reports that have it, in some 40 bytes
//! per host.
//!
//! Every line narrows the range of reports that the page can show of its host: only the reports in
//! one range have the line's value and, with row churn, only those in another have its row. The
//! ranges of all lines must have a sequence number in common. The lines must be the series of that
//! report that are not absent: their number and the sum of their hashes are compared, which also
//! finds repeated lines.

use std::ops::RangeInclusive;

use fleetgauge_page::Sample;

use super::finding::Finding;
use super::observed_page::{PageScope, Shown, unknown};
use super::series_labels::SeriesLabels;
use crate::host_profile::cell::CellPattern;
use crate::host_profile::layout::HostLayout;
use crate::host_profile::tables::{TABLES, family_of_sample};
use crate::sim_values::{AGENT, agent_number, position_of};

/// Maximum number of reports whose series are compared with those of a host. A sixth of the values
/// change with every report, so a complete host restricts its report to a single one.
const MAX_COMPARED: u64 = 64;

/// The visible hosts, by index.
#[derive(Debug)]
pub(super) struct ObservedHosts {
    scope: PageScope,
    layout: HostLayout,
    /// Series that every report has: cells without absent values, in tables whose rows do not
    /// change.
    lasting: SeriesSet,
    /// The other cells of these tables.
    intermittent: Vec<CellPattern>,
    /// The family of the last line. Lines of a family are contiguous.
    family: Option<KnownFamily>,
    hosts: Vec<ObservedHost>,
}

/// A family of simulated hosts.
#[derive(Debug)]
struct KnownFamily {
    name: String,
    table: usize,
    number: u32,
}

/// One host on a page.
#[derive(Debug, Clone, Copy, Default)]
struct ObservedHost {
    series: SeriesSet,
    /// Sequence numbers whose reports have all rows of the lines so far.
    rows: Sequences,
    /// Sequence numbers whose reports have all values of the lines so far.
    values: Sequences,
    /// Whether the host has a finding. Further ones may be its consequences, so they are not
    /// counted.
    wrong: bool,
}

/// A set of series: their number and the sum of their hashes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct SeriesSet {
    hashes: u64,
    count: u32,
}

impl SeriesSet {
    fn add(&mut self, hash: u64) {
        self.hashes = self.hashes.wrapping_add(hash);
        self.count += 1;
    }

    /// Adds the series of a host and a generation of its row unless the report lacks its value.
    fn add_present(&mut self, pattern: &CellPattern, encoded: u32, generation: u32, sequence: u64) {
        let is_absent =
            pattern.is_intermittent() && pattern.cell(encoded, generation).is_absent(sequence);
        if !is_absent {
            self.add(pattern.hash());
        }
    }
}

/// A range of sequence numbers, which are below 2^30.
#[derive(Debug, Clone, Copy)]
struct Sequences {
    first: u32,
    last: u32,
}

impl Default for Sequences {
    fn default() -> Self {
        Self { first: 0, last: u32::MAX }
    }
}

impl From<RangeInclusive<u64>> for Sequences {
    fn from(range: RangeInclusive<u64>) -> Self {
        let limited = |sequence: u64| u32::try_from(sequence).unwrap_or(u32::MAX);
        Self { first: limited(*range.start()), last: limited(*range.end()) }
    }
}

impl Sequences {
    fn and(self, other: Self) -> Self {
        Self { first: self.first.max(other.first), last: self.last.min(other.last) }
    }
}

impl ObservedHosts {
    pub(super) fn new(scope: PageScope) -> Self {
        let layout = HostLayout::new(scope.hosts.profile);
        let (mut lasting, mut intermittent) = (SeriesSet::default(), Vec::new());
        for (table, rows) in layout.rows().into_iter().enumerate() {
            if !scope.hosts.churn.affects(table) {
                for pattern in (0..rows).flat_map(|number| layout.row(table, number)) {
                    if pattern.is_intermittent() {
                        intermittent.push(*pattern);
                    } else {
                        lasting.add(pattern.hash());
                    }
                }
            }
        }
        let hosts = vec![ObservedHost::default(); scope.visible.count as usize];
        Self { scope, layout, lasting, intermittent, family: None, hosts }
    }

    /// See [`ObservedPage::add`](super::observed_page::ObservedPage::add).
    pub(super) fn add(&mut self, sample: Sample<'_>) -> Result<(), Finding> {
        let Some((table, family)) = self.family_of(sample.name) else {
            return self.add_other(sample);
        };
        let labels = SeriesLabels::read(sample.labels, &TABLES[table]);
        let agent = agent_number(labels.agent).ok_or_else(|| unknown(sample))?;
        let index = self.scope.visible.index_of(agent).ok_or_else(|| unknown(sample))?;
        let encoded = self.scope.encoded_agent(agent);
        let found = match encoded.filter(|_| !self.hosts[index].wrong) {
            None => {
                self.hosts[index].series.count += 1;
                return Ok(());
            }
            Some(encoded) => {
                let line = Line { sample, agent, encoded, table, family, labels };
                self.add_line(index, &line)
            }
        };
        self.hosts[index].wrong |= found.is_err();
        found
    }

    /// Adds a line of one of the worker's hosts that has no finding yet.
    fn add_line(&mut self, index: usize, line: &Line<'_>) -> Result<(), Finding> {
        let (host, spec) = (&mut self.hosts[index], &TABLES[line.table]);
        host.series.count += 1;
        let wrong_labels = || Finding::WrongLabels {
            agent: line.agent,
            shown: line.sample.labels.as_str().to_owned(),
        };
        let column = spec.column_of(line.family, line.labels.mode);
        let row = spec.row_of(line.encoded, &line.labels.row);
        let is_own = line.labels.are_of(line.encoded, spec, self.scope.labels);
        let (Some(column), Some(row), true) = (column, row, is_own) else {
            return Err(wrong_labels());
        };
        let pattern =
            self.layout.row(line.table, row.number).get(column).ok_or_else(wrong_labels)?;
        host.series.hashes = host.series.hashes.wrapping_add(pattern.hash());
        let rows = self.scope.hosts.churn.sequences(line.encoded, line.table, row);
        let rows = rows.ok_or_else(|| line.foreign())?;
        let values = pattern.cell(line.encoded, row.generation).sequences(line.sample.value);
        let values = values.ok_or_else(|| line.foreign())?;
        host.restrict(line, rows.into(), values.into())
    }

    /// Adds a line of a family that no wide host has: one of an agent of the profile `basic`, which
    /// the attackers of `hostile` are.
    fn add_other(&mut self, sample: Sample<'_>) -> Result<(), Finding> {
        let is_basic = position_of(sample.name).is_some();
        let agent = sample.labels.get(AGENT).and_then(agent_number).filter(|_| is_basic);
        let other = agent.filter(|agent| self.scope.encoded_agent(*agent).is_none());
        let index = other.and_then(|agent| self.scope.visible.index_of(agent));
        self.hosts[index.ok_or_else(|| unknown(sample))?].series.count += 1;
        Ok(())
    }

    /// Returns table and number of a family; `None` if no wide host has it.
    fn family_of(&mut self, name: &str) -> Option<(usize, u32)> {
        match &self.family {
            Some(family) if family.name == name => Some((family.table, family.number)),
            _ => {
                let (table, number) = family_of_sample(name)?;
                self.family = Some(KnownFamily { name: name.to_owned(), table, number });
                Some((table, number))
            }
        }
    }

    pub(super) fn shown(&self, agent: u32, index: usize) -> Shown {
        let host = &self.hosts[index];
        if host.series.count == 0 {
            return Shown::Nothing;
        }
        if host.wrong {
            return Shown::Wrong;
        }
        let Sequences { first, last } = host.values.and(host.rows);
        let (first, last) = (u64::from(first), u64::from(last));
        let Some(encoded) = self.scope.encoded_agent(agent) else { return Shown::Wrong };
        let expected = |sequence| self.expected(encoded, sequence);
        let compared = first..=last.min(first + MAX_COMPARED - 1);
        if compared.into_iter().any(|sequence| expected(sequence) == host.series) {
            return Shown::Report(first..=last);
        }
        let (shown, of) = (host.series.count as usize, expected(first).count as usize);
        Shown::Invalid(match shown.cmp(&of) {
            std::cmp::Ordering::Less => Finding::Incomplete { agent, shown, of },
            std::cmp::Ordering::Equal => Finding::OtherSeries { agent, sequence: first },
            std::cmp::Ordering::Greater => Finding::Surplus { agent, shown, of },
        })
    }

    /// Returns the series of the report of a host with this sequence number.
    fn expected(&self, encoded: u32, sequence: u64) -> SeriesSet {
        let mut expected = self.lasting;
        for pattern in &self.intermittent {
            expected.add_present(pattern, encoded, 0, sequence);
        }
        let churning = (0..TABLES.len()).filter(|table| self.scope.hosts.churn.affects(*table));
        for table in churning {
            for row in self.scope.hosts.rows(encoded, table, sequence) {
                for pattern in self.layout.row(table, row.number) {
                    expected.add_present(pattern, encoded, row.generation, sequence);
                }
            }
        }
        expected
    }

    pub(super) fn is_shown(&self, index: usize) -> bool {
        self.hosts[index].series.count > 0
    }
}

/// A line of a host.
struct Line<'a> {
    sample: Sample<'a>,
    agent: u32,
    /// Agent number that row and value must encode.
    encoded: u32,
    table: usize,
    /// Number of the family in the table.
    family: u32,
    labels: SeriesLabels<'a>,
}

impl Line<'_> {
    fn series(&self) -> String {
        format!("{}{{{}}}", self.sample.name, self.sample.labels.as_str())
    }

    fn foreign(&self) -> Finding {
        Finding::Foreign { agent: self.agent, series: self.series(), value: self.sample.value }
    }
}

impl ObservedHost {
    /// Restricts the reports that the page may show to those with this line.
    fn restrict(
        &mut self,
        line: &Line<'_>,
        rows: Sequences,
        values: Sequences,
    ) -> Result<(), Finding> {
        let before = self.values;
        (self.rows, self.values) = (self.rows.and(rows), self.values.and(values));
        let (agent, series) = (line.agent, || line.series());
        // A removed row also has old values. Report it instead of torn values: it is the cause.
        let shown = self.values.first.max(self.rows.first);
        if self.rows.last < shown {
            let (removed, shown) = (u64::from(self.rows.last) + 1, shown.into());
            return Err(Finding::RemovedRow { agent, series: series(), removed, shown });
        }
        if self.values.last < shown {
            let range = |of: Sequences| (of.first.into(), of.last.into());
            return Err(Finding::TornHost {
                agent,
                series: series(),
                sequences: range(values),
                others: range(if self.values.last < self.values.first {
                    before
                } else {
                    self.rows
                }),
            });
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "observed_hosts_tests.rs"]
mod tests;
