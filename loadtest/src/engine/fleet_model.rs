//! Ids, labels and values of simulated agents.

use fleetgauge_agent::catalogs::Catalogs;
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

    /// Writes the values of the report with this sequence number, and those of the report before
    /// it. In the first report of a session, the values before are absent.
    fn write_values(&mut self, agent: u32, sequence: u64, is_first: bool, out: &mut ReportValues);
}

/// The values of one report, and of the report before it. The agents of an engine share one.
#[derive(Debug, Default)]
pub struct ReportValues {
    /// Number of rows of each table.
    pub row_counts: Vec<usize>,
    /// Values of the report before.
    pub before: Vec<f64>,
    /// Values of the report.
    pub values: Vec<f64>,
}

impl ReportValues {
    /// Takes the values of a report of one table without row labels. `before` is `None` in the
    /// first report of a session.
    pub fn set_single_row(&mut self, before: Option<&[f64]>, values: &[f64]) {
        let Self { row_counts, before: old, values: new } = self;
        (row_counts.clear(), old.clear(), new.clear());
        row_counts.push(1);
        new.extend_from_slice(values);
        match before {
            Some(before) => old.extend_from_slice(before),
            None => old.resize(values.len(), ABSENT),
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
    const fn encoded_agent(&self, agent: u32) -> u32 {
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

    fn write_values(&mut self, agent: u32, sequence: u64, is_first: bool, out: &mut ReportValues) {
        let before = (!is_first).then(|| self.values(agent, sequence - 1));
        out.set_single_row(
            before.as_ref().map(|before| &before[..]),
            &self.values(agent, sequence),
        );
    }
}
