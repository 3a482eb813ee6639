//! Ids, labels and values of simulated agents.

use std::sync::Arc;

use fleetgauge_agent::profile::EncodedSchema;
use fleetgauge_proto::{AgentId, StaticLabels, Violation};

use crate::sim_values::{NAMES, ValueOrigin, agent_name, schema, static_labels};
use crate::worker_protocol::WorkerConfig;

/// Ids, labels and values of a fleet, by agent number.
pub trait FleetModel: Send {
    /// Id of an agent.
    fn id(&self, agent: u32) -> AgentId;

    /// Static labels of an agent.
    fn labels(&self, _agent: u32) -> StaticLabels {
        StaticLabels::default()
    }

    /// Schema that all agents share.
    fn schema(&self) -> Arc<EncodedSchema>;

    /// Values of the report with this sequence number.
    fn values(&mut self, agent: u32, sequence: u64) -> [f64; NAMES.len()];
}

/// A fleet whose values encode their origin, for the judge.
#[derive(Debug)]
pub struct TracedFleet {
    first: u32,
    first_encoded_agent: u32,
    labels: u8,
    schema: Arc<EncodedSchema>,
}

impl TracedFleet {
    /// Creates the fleet of a worker.
    ///
    /// # Errors
    /// Only if a compiled-in name is invalid.
    pub fn new(config: &WorkerConfig) -> Result<Self, Violation> {
        let (first, first_encoded_agent, labels) =
            (config.agents.first, config.first_encoded_agent, config.labels);
        Ok(Self { first, first_encoded_agent, labels, schema: Arc::new(schema()?) })
    }

    /// Agent number that the agent's values and labels encode.
    const fn encoded_agent(&self, agent: u32) -> u32 {
        agent - self.first + self.first_encoded_agent
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

    fn schema(&self) -> Arc<EncodedSchema> {
        self.schema.clone()
    }

    fn values(&mut self, agent: u32, sequence: u64) -> [f64; NAMES.len()] {
        let agent = self.encoded_agent(agent);
        std::array::from_fn(|position| ValueOrigin { agent, sequence, position }.to_f64())
    }
}
