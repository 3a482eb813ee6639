//! Ids, labels and values of simulated agents.

use fleetgauge_agent::catalogs::Catalogs;
use fleetgauge_proto::message::RowChange;
use fleetgauge_proto::report::ABSENT;
use fleetgauge_proto::{AgentId, StaticLabels, Violation};

use crate::sim_values::{NAMES, ValueOrigin, agent_name, catalogs, static_labels};
use crate::worker_protocol::WorkerConfig;

/// Ids, labels and values of a fleet, by agent number.
pub trait FleetModel: Send {
    /// Id of an agent.
    fn id(&self, agent: u32) -> AgentId;

    /// Static labels of an agent.
    fn labels(&self, _agent: u32) -> StaticLabels {
        StaticLabels::default()
    }

    /// Catalogs that all agents share.
    fn catalogs(&self) -> Catalogs;

    /// Writes the report with this sequence number: its values, those of the report before it, and
    /// the changes of rows. `before` is the sequence number of the report before it on its stream.
    /// The first report, with `None`, adds all rows, and the values before it are absent, like
    /// those of added rows.
    fn write_values(
        &mut self,
        agent: u32,
        sequence: u64,
        before: Option<u64>,
        out: &mut ReportValues,
    );
}

/// The contents of one report. The agents of an engine share the buffers.
#[derive(Debug, Default)]
pub struct ReportValues {
    /// Changes of rows since the report before, in ascending order of tables.
    pub changed: Vec<ChangedRows>,
    /// Number of rows of each table.
    pub row_counts: Vec<usize>,
    /// Values of the report before.
    pub before: Vec<f64>,
    /// Values of the report.
    pub values: Vec<f64>,
}

/// Rows to remove from a table of the first catalog, and rows to add to it.
#[derive(Debug, Default)]
pub struct ChangedRows {
    /// Index of the table in the catalog.
    pub table: u32,
    /// Positions of the rows to remove among those of the report before, in ascending order.
    pub removed: Vec<u32>,
    /// Label values of the rows to add, row after row.
    pub added: Vec<String>,
}

impl ReportValues {
    /// Removes everything.
    pub fn clear(&mut self) {
        self.changed.clear();
        self.row_counts.clear();
        self.before.clear();
        self.values.clear();
    }

    /// Returns the changes of rows before the report.
    #[must_use]
    pub fn changes(&self) -> Vec<RowChange<'_>> {
        let changes = self.changed.iter().map(|rows| RowChange {
            slot: 0,
            table: rows.table,
            removed: rows.removed.clone(),
            added: rows.added.iter().map(String::as_str).collect(),
        });
        changes.collect()
    }

    /// Takes the values of a report of one table without row labels. `before` is `None` in the
    /// first report of a session.
    pub fn set_single_row(&mut self, before: Option<&[f64]>, values: &[f64]) {
        self.clear();
        self.row_counts.push(1);
        self.values.extend_from_slice(values);
        match before {
            Some(before) => self.before.extend_from_slice(before),
            None => self.before.resize(values.len(), ABSENT),
        }
    }
}

/// A fleet whose values encode their origin, for the judge.
#[derive(Debug)]
pub struct TracedFleet {
    first: u32,
    first_encoded_agent: u32,
    labels: u8,
    catalogs: Catalogs,
}

impl TracedFleet {
    /// Creates the fleet of a worker.
    ///
    /// # Errors
    /// Only if a compiled-in name is invalid.
    pub fn new(config: &WorkerConfig) -> Result<Self, Violation> {
        let (first, first_encoded_agent, labels) =
            (config.agents.first, config.first_encoded_agent, config.labels);
        Ok(Self { first, first_encoded_agent, labels, catalogs: catalogs()? })
    }

    /// Agent number that the agent's values and labels encode.
    pub(super) const fn encoded_agent(&self, agent: u32) -> u32 {
        agent - self.first + self.first_encoded_agent
    }

    fn values(&self, agent: u32, sequence: u64) -> [f64; NAMES.len()] {
        let agent = self.encoded_agent(agent);
        std::array::from_fn(|position| ValueOrigin { agent, sequence, position }.to_f64())
    }
}

impl FleetModel for TracedFleet {
    fn id(&self, agent: u32) -> AgentId {
        let id = AgentId::try_new(&agent_name(agent));
        id.unwrap_or_else(|bad| unreachable!("a name and a number are legal: {bad}"))
    }

    fn labels(&self, agent: u32) -> StaticLabels {
        let labels = static_labels(self.encoded_agent(agent), self.labels);
        labels.unwrap_or_else(|bad| unreachable!("names and numbers are legal: {bad}"))
    }

    fn catalogs(&self) -> Catalogs {
        self.catalogs.clone()
    }

    fn write_values(
        &mut self,
        agent: u32,
        sequence: u64,
        before: Option<u64>,
        out: &mut ReportValues,
    ) {
        let before = before.map(|before| self.values(agent, before));
        out.set_single_row(
            before.as_ref().map(|before| &before[..]),
            &self.values(agent, sequence),
        );
    }
}
