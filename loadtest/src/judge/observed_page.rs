//! The agents on a page, collected while the page is read. Takes eight bytes per agent, regardless
//! of the size of the page.

use fleetgauge_page::Sample;

use super::finding::Finding;
use crate::agent_range::AgentRange;
use crate::sim_values::{AGENT, ValueOrigin, agent_number, has_labels, position_of};

/// Name prefixes of the collector's own metrics.
const OWN_PREFIXES: [&str; 2] = ["fleetgauge_", "process_"];

/// The samples of a page, by agent.
#[derive(Debug)]
pub struct ObservedPage {
    agents: AgentRange,
    visible: AgentRange,
    first_encoded_agent: u32,
    labels: u8,
    /// Samples of the collector's own metrics so far; `None` if the page need not have any.
    own_samples: Option<u64>,
    observed: Vec<ObservedAgent>,
    /// Samples of agents so far.
    pub samples: u64,
}

/// One agent on a page.
#[derive(Debug, Clone, Copy, Default)]
pub struct ObservedAgent {
    /// Sequence number of the report that the first value came from.
    sequence: u32,
    /// Position of that value in the report.
    first_position: u8,
    /// Bit set of the positions that are present.
    positions: u8,
    /// Whether the agent has a finding. Further ones may be its consequences, so they are not
    /// counted.
    wrong: bool,
}

impl ObservedAgent {
    /// Number of values of the agent on the page.
    #[must_use]
    pub const fn count(self) -> usize {
        self.positions.count_ones() as usize
    }

    /// Sequence number of the report that all values came from.
    #[must_use]
    pub const fn sequence(self) -> u32 {
        self.sequence
    }

    /// Whether the agent has a finding.
    #[must_use]
    pub const fn is_wrong(self) -> bool {
        self.wrong
    }
}

impl ObservedPage {
    /// Creates an empty page. This worker simulates `agents`; only those of `visible` may be on the
    /// page. The values of the first agent encode the number `first_encoded_agent`; each agent has
    /// `labels` static labels.
    #[must_use]
    pub fn new(
        agents: AgentRange,
        visible: AgentRange,
        first_encoded_agent: u32,
        labels: u8,
    ) -> Self {
        let observed = vec![ObservedAgent::default(); visible.count as usize];
        Self {
            agents,
            visible,
            first_encoded_agent,
            labels,
            own_samples: None,
            observed,
            samples: 0,
        }
    }

    /// Expects the collector's own metrics on the page, too.
    #[must_use]
    pub fn expecting_own_metrics(self) -> Self {
        Self { own_samples: Some(0), ..self }
    }

    /// Whether the collector's own metrics are required and absent.
    #[must_use]
    pub fn lacks_own_metrics(&self) -> bool {
        self.own_samples == Some(0)
    }

    /// Adds a sample to the agent that its label names.
    ///
    /// # Errors
    /// The first finding on that agent. Later ones may be its consequences, so they are ignored.
    pub fn add(&mut self, sample: Sample<'_>) -> Result<(), Finding> {
        let named = sample.labels.get(AGENT);
        let has_prefix = || OWN_PREFIXES.iter().any(|prefix| sample.name.starts_with(prefix));
        let is_own_metric = named.is_none() && has_prefix();
        if let Some(own_samples) = self.own_samples.as_mut().filter(|_| is_own_metric) {
            *own_samples += 1;
            return Ok(());
        }
        self.samples += 1;
        let unknown = || Finding::UnknownSeries {
            name: sample.name.to_owned(),
            agent: named.map(ToOwned::to_owned),
        };
        let agent = named.and_then(agent_number).ok_or_else(unknown)?;
        let position = position_of(sample.name).ok_or_else(unknown)?;
        let encoded = self.encoded_agent(agent);
        let labels_match = |encoded| has_labels(sample.labels, encoded, self.labels);
        let has_wrong_labels = encoded.is_some_and(|encoded| !labels_match(encoded));
        let index = self.visible.index_of(agent).ok_or_else(unknown)?;
        let observed = &mut self.observed[index];
        let bit = 1 << position;
        let found = if observed.positions & bit != 0 {
            Some(Finding::Duplicate { agent, position })
        } else if has_wrong_labels {
            Some(Finding::WrongLabels { agent, shown: sample.labels.as_str().to_owned() })
        } else {
            encoded.and_then(|encoded| observed.check(agent, encoded, position, sample.value))
        };
        observed.positions |= bit;
        match found {
            Some(finding) if !std::mem::replace(&mut observed.wrong, true) => Err(finding),
            _ => Ok(()),
        }
    }

    /// The agents of this worker, with their numbers.
    pub fn own_agents(&self) -> impl Iterator<Item = (u32, ObservedAgent)> {
        let skipped = self.visible.index_of(self.agents.first).unwrap_or(self.observed.len());
        self.agents.range().zip(self.observed[skipped..].iter().copied())
    }

    /// Numbers of agents on the page that other workers simulate.
    pub fn other_agents(&self) -> impl Iterator<Item = u32> {
        let all = self.visible.range().zip(&self.observed);
        let present = all.filter(|(_, observed)| observed.positions != 0);
        present.map(|(agent, _)| agent).filter(|agent| self.agents.index_of(*agent).is_none())
    }

    /// The agent number that an agent's values must encode, if this worker simulates it.
    fn encoded_agent(&self, agent: u32) -> Option<u32> {
        let index = self.agents.index_of(agent)?;
        Some(index as u32 + self.first_encoded_agent)
    }
}

impl ObservedAgent {
    /// Checks that a value belongs to the agent and the position, and comes from the same report
    /// as the others.
    fn check(&mut self, agent: u32, encoded: u32, position: usize, value: f64) -> Option<Finding> {
        let Some(origin) = ValueOrigin::from_f64(value) else {
            return Some(Finding::Garbled { agent, position, value });
        };
        if origin.agent != encoded || origin.position != position {
            return Some(Finding::Misplaced { agent, position, holds: origin });
        }
        let sequence = origin.sequence as u32;
        if self.positions == 0 {
            (self.sequence, self.first_position) = (sequence, position as u8);
        }
        (self.sequence != sequence).then(|| Finding::Torn {
            agent,
            positions: (self.first_position.into(), position),
            sequences: (self.sequence.into(), origin.sequence),
        })
    }
}
