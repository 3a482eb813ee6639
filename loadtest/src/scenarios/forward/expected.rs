//! The series that an engine must have of a simulated agent, and their values by report.

use fleetgauge_proto::report::ABSENT;

use crate::agent_account::AgentAccount;
use crate::host_profile::cell::{Cell, CellPattern};
use crate::host_profile::rows::Row;
use crate::host_profile::tables::{MODE, TABLES};
use crate::host_profile::{HostModel, HostProfile};
use crate::sim_values::{AGENT, LABELS, NAMES, ValueOrigin, agent_name};

/// Label of the metric name.
const METRIC_NAME: &str = "__name__";
/// Series that a collector adds for every agent.
pub(super) const AGENT_UP: &str = "fleetgauge_agent_up";

/// Reports of a present agent after its account: more than it makes while the engine is compared.
const LATER_REPORTS: u64 = 300;

/// A series of an agent.
pub(super) struct ExpectedSeries {
    labels: Vec<(String, String)>,
    agent: u32,
    source: Source,
}

/// Where the values of a series come from.
enum Source {
    AgentUp,
    /// Position in the reports of profile `basic`.
    Basic(usize),
    Cell {
        cell: Cell,
        /// The row, if the reports of the agent do not all have it.
        row: Option<ChangingRow>,
    },
}

/// A row that some reports of an agent do not have.
struct ChangingRow {
    model: HostModel,
    table: usize,
    row: Row,
}

impl ChangingRow {
    fn is_in(&self, agent: u32, sequence: u64) -> bool {
        let Self { model, table, row } = self;
        model.churn.row_at(agent, *table, row.number, sequence) == Some(*row)
    }
}

impl ExpectedSeries {
    fn new(agent: u32, static_labels: u8, name: String, source: Source) -> Self {
        let statics = LABELS.iter().take(static_labels.into());
        let statics =
            statics.map(|(name, values)| ((*name).to_owned(), (agent % values).to_string()));
        let mut labels =
            vec![(METRIC_NAME.to_owned(), name), (AGENT.to_owned(), agent_name(agent))];
        labels.extend(statics);
        Self { labels, agent, source }
    }

    /// The labels, in any order.
    pub(super) fn labels(&self) -> Vec<(&str, &str)> {
        self.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    /// The metric name.
    pub(super) fn name(&self) -> &str {
        self.labels.first().map_or("", |(_, name)| name)
    }

    /// The value of a report; [`ABSENT`] if it does not have the series.
    pub(super) fn value(&self, sequence: u64) -> f64 {
        match &self.source {
            Source::AgentUp => 1.0,
            Source::Basic(position) => {
                ValueOrigin { agent: self.agent, sequence, position: *position }.to_f64()
            }
            Source::Cell { cell, row } => match row {
                Some(row) if !row.is_in(self.agent, sequence) => ABSENT,
                _ => cell.value(sequence),
            },
        }
    }
}

/// Calls a function with every series that the reports of an agent have.
pub(super) fn for_each_series(
    account: &AgentAccount,
    model: HostModel,
    static_labels: u8,
    mut act: impl FnMut(&ExpectedSeries),
) {
    let agent = account.agent;
    let series = |name: String, source| ExpectedSeries::new(agent, static_labels, name, source);
    act(&series(AGENT_UP.to_owned(), Source::AgentUp));
    if model.profile == HostProfile::Basic {
        for (position, name) in NAMES.iter().enumerate() {
            act(&series((*name).to_owned(), Source::Basic(position)));
        }
        return;
    }
    for (table, spec) in TABLES.iter().enumerate() {
        for row in rows(account, model, table) {
            let mut row_labels = Vec::new();
            spec.push_row(agent, row, &mut row_labels);
            for column in 0..spec.columns() {
                let pattern = CellPattern::new(table, row.number, column);
                let cell = pattern.cell(agent, row.generation);
                let changing = ChangingRow { model, table, row };
                let row = model.churn.affects(table).then_some(changing);
                let source = Source::Cell { cell, row };
                let mut series = series(spec.sample_name(spec.family_of(column)), source);
                let names = spec.row_labels.iter().map(|name| (*name).to_owned());
                series.labels.extend(names.zip(row_labels.iter().cloned()));
                series.labels.extend(spec.mode(column).map(|mode| (MODE.to_owned(), mode)));
                act(&series);
            }
        }
    }
}

/// All rows of a table that any report has, with those that the next reports of a present agent
/// will have: the engine may have them already.
fn rows(account: &AgentAccount, model: HostModel, table: usize) -> Vec<Row> {
    let later = if account.left_unix_us.is_some() { 0 } else { LATER_REPORTS };
    let reports = account.times.len() as u64 + later;
    let mut rows = Vec::new();
    for number in 0..model.profile.row_counts()[table] {
        let last = if model.churn.affects(table) { reports } else { reports.min(1) };
        for sequence in 1..=last {
            let row = model.churn.row_at(account.agent, table, number, sequence);
            // Generations of a row follow each other.
            rows.extend(row.filter(|row| rows.last() != Some(row)));
        }
    }
    rows
}
