//! Who the simulated agents are and what they report.

use std::sync::Arc;

use fleetgauge_agent::profile::EncodedSchema;
use fleetgauge_proto::{AgentId, Violation};

use crate::orders::Order;
use crate::value::{Mark, NAMES, agent_name, schema};

/// The hosts of a fleet, by their numbers.
pub trait Hosts: Send {
    /// What the agent there is called.
    fn id(&self, agent: u32) -> AgentId;

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
    schema: Arc<EncodedSchema>,
}

impl Marked {
    /// Those of an order.
    ///
    /// # Errors
    /// None with the names there are.
    pub fn new(order: &Order) -> Result<Self, Violation> {
        let (first, marks_from) = (order.agents.first, order.marks_from);
        Ok(Self { first, marks_from, schema: Arc::new(schema()?) })
    }
}

impl Hosts for Marked {
    fn id(&self, agent: u32) -> AgentId {
        let id = AgentId::try_new(&agent_name(agent));
        id.unwrap_or_else(|bad| unreachable!("a name and a number are legal: {bad}"))
    }

    fn schema(&self) -> Arc<EncodedSchema> {
        self.schema.clone()
    }

    fn values(&mut self, agent: u32, sequence: u64) -> [f64; NAMES.len()] {
        let agent = agent - self.first + self.marks_from;
        std::array::from_fn(|place| Mark { agent, sequence, place }.to_f64())
    }
}
