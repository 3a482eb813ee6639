//! Who the simulated agents are and what they report.

use std::sync::Arc;

use fleetgauge_agent::profile::EncodedSchema;
use fleetgauge_proto::{AgentId, StaticLabels, Violation};

use crate::sim_values::{NAMES, ValueOrigin, agent_name, schema, static_labels};
use crate::worker_protocol::WorkerConfig;

/// The hosts of a fleet, by their numbers.
pub trait FleetModel: Send {
    /// What the agent there is called.
    fn id(&self, agent: u32) -> AgentId;

    /// Its static labels.
    fn labels(&self, _agent: u32) -> StaticLabels {
        StaticLabels::default()
    }

    /// What all of them report.
    fn schema(&self) -> Arc<EncodedSchema>;

    /// The values of the report with this sequence number.
    fn values(&mut self, agent: u32, sequence: u64) -> [f64; NAMES.len()];
}

/// Hosts whose values say what they are, for the judge.
#[derive(Debug)]
pub struct TracedFleet {
    first: u32,
    first_encoded_agent: u32,
    labels: u8,
    schema: Arc<EncodedSchema>,
}

impl TracedFleet {
    /// Those of an order.
    ///
    /// # Errors
    /// None with the names there are.
    pub fn new(config: &WorkerConfig) -> Result<Self, Violation> {
        let (first, first_encoded_agent, labels) =
            (config.agents.first, config.first_encoded_agent, config.labels);
        Ok(Self { first, first_encoded_agent, labels, schema: Arc::new(schema()?) })
    }

    /// The number that says whose an agent's values and labels are.
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
