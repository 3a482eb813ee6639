//! Who the simulated agents are and what they report.

use std::sync::Arc;

use fleetgauge_agent::profile::EncodedSchema;
use fleetgauge_proto::{AgentId, StaticLabels, Violation};

use crate::orders::Order;
use crate::value::{Mark, NAMES, agent_name, schema, static_labels};

/// The hosts of a fleet, by their numbers.
pub trait Hosts: Send {
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
pub struct Marked {
    first: u32,
    marks_from: u32,
    labels: u8,
    schema: Arc<EncodedSchema>,
}

impl Marked {
    /// Those of an order.
    ///
    /// # Errors
    /// None with the names there are.
    pub fn new(order: &Order) -> Result<Self, Violation> {
        let (first, marks_from, labels) = (order.agents.first, order.marks_from, order.labels);
        Ok(Self { first, marks_from, labels, schema: Arc::new(schema()?) })
    }

    /// The number that says whose an agent's values and labels are.
    const fn mark(&self, agent: u32) -> u32 {
        agent - self.first + self.marks_from
    }
}

impl Hosts for Marked {
    fn id(&self, agent: u32) -> AgentId {
        let id = AgentId::try_new(&agent_name(agent));
        id.unwrap_or_else(|bad| unreachable!("a name and a number are legal: {bad}"))
    }

    fn labels(&self, agent: u32) -> StaticLabels {
        let labels = static_labels(self.mark(agent), self.labels);
        labels.unwrap_or_else(|bad| unreachable!("names and numbers are legal: {bad}"))
    }

    fn schema(&self) -> Arc<EncodedSchema> {
        self.schema.clone()
    }

    fn values(&mut self, agent: u32, sequence: u64) -> [f64; NAMES.len()] {
        let agent = self.mark(agent);
        std::array::from_fn(|place| Mark { agent, sequence, place }.to_f64())
    }
}
