//! The agents on a page, collected while the page is read. Takes 8 bytes per agent of the profile
//! `basic` and some 40 per wide host, regardless of the size of the page.

use std::ops::RangeInclusive;

use fleetgauge_page::Sample;

use super::finding::Finding;
use super::observed_agents::ObservedAgents;
use super::observed_hosts::ObservedHosts;
use crate::agent_range::AgentRange;
use crate::host_profile::{HostModel, HostProfile};
use crate::sim_values::AGENT;
use crate::worker_protocol::WorkerConfig;

/// Name prefixes of the collector's own metrics.
const OWN_PREFIXES: [&str; 2] = ["fleetgauge_", "process_"];

/// The agents that a page may show, and what their series encode.
#[derive(Debug, Clone, Copy)]
pub struct PageScope {
    /// The agents that this worker simulates.
    pub agents: AgentRange,
    /// The agents that may be on the page.
    pub visible: AgentRange,
    /// Agent number that the series of the first agent encode.
    pub first_encoded_agent: u32,
    /// Number of static labels of each agent.
    pub labels: u8,
    /// The hosts of the agents.
    pub hosts: HostModel,
}

impl PageScope {
    /// The agents on a page that a worker judges.
    #[must_use]
    pub const fn of(config: &WorkerConfig) -> Self {
        Self {
            agents: config.agents,
            visible: config.visible,
            first_encoded_agent: config.first_encoded_agent,
            labels: config.labels,
            hosts: config.hosts,
        }
    }

    /// The agent number that an agent's series must encode, if this worker simulates it.
    pub(super) fn encoded_agent(&self, agent: u32) -> Option<u32> {
        let index = self.agents.index_of(agent)?;
        Some(index as u32 + self.first_encoded_agent)
    }

    /// Index of the worker's first agent among the visible ones.
    fn first_index(&self) -> usize {
        self.visible.index_of(self.agents.first).unwrap_or(self.visible.count as usize)
    }
}

/// The samples of a page, by agent.
#[derive(Debug)]
pub struct ObservedPage {
    scope: PageScope,
    /// Samples of the collector's own metrics so far; `None` if the page need not have any.
    own_samples: Option<u64>,
    observed: Observed,
    /// Samples of agents so far.
    pub samples: u64,
}

/// The series of the visible agents.
#[derive(Debug)]
enum Observed {
    Basic(ObservedAgents),
    Wide(Box<ObservedHosts>),
}

/// What a page shows of an agent.
#[derive(Debug, Clone, PartialEq)]
pub enum Shown {
    /// No series.
    Nothing,
    /// Series with a finding that [`ObservedPage::add`] returned.
    Wrong,
    /// Series that are not those of any one report.
    Invalid(Finding),
    /// All series of one of the reports with these sequence numbers; of a single one unless no
    /// value has changed.
    Report(RangeInclusive<u64>),
}

impl ObservedPage {
    /// Creates an empty page.
    #[must_use]
    pub fn new(scope: PageScope) -> Self {
        let observed = match scope.hosts.profile {
            HostProfile::Basic => Observed::Basic(ObservedAgents::new(scope.visible.count)),
            HostProfile::Node | HostProfile::NodeLarge => {
                Observed::Wide(Box::new(ObservedHosts::new(scope)))
            }
        };
        Self { scope, own_samples: None, observed, samples: 0 }
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
        let has_prefix = || OWN_PREFIXES.iter().any(|prefix| sample.name.starts_with(prefix));
        if let Some(own_samples) = self.own_samples.as_mut()
            && has_prefix()
            && sample.labels.get(AGENT).is_none()
        {
            *own_samples += 1;
            return Ok(());
        }
        self.samples += 1;
        match &mut self.observed {
            Observed::Basic(agents) => agents.add(&self.scope, sample),
            Observed::Wide(hosts) => hosts.add(sample),
        }
    }

    /// The agents of this worker, with their numbers.
    pub fn own_agents(&self) -> impl Iterator<Item = (u32, Shown)> {
        let first = self.scope.first_index();
        let own = self.scope.agents.range().take(self.scope.visible.count as usize - first);
        own.zip(first..).map(|(agent, index)| {
            let shown = match &self.observed {
                Observed::Basic(agents) => agents.shown(agent, index),
                Observed::Wide(hosts) => hosts.shown(agent, index),
            };
            (agent, shown)
        })
    }

    /// Number of agents of this worker on the page.
    #[must_use]
    pub fn own_count(&self) -> usize {
        let first = self.scope.first_index();
        let own = (first..self.scope.visible.count as usize).take(self.scope.agents.count as usize);
        own.filter(|index| self.is_shown(*index)).count()
    }

    /// Numbers of agents on the page that other workers simulate.
    pub fn other_agents(&self) -> impl Iterator<Item = u32> {
        let present = self.scope.visible.range().zip(0..).filter(|(_, at)| self.is_shown(*at));
        present.map(|(agent, _)| agent).filter(|agent| self.scope.agents.index_of(*agent).is_none())
    }

    /// Whether the visible agent with this index has series on the page.
    fn is_shown(&self, index: usize) -> bool {
        match &self.observed {
            Observed::Basic(agents) => agents.is_shown(index),
            Observed::Wide(hosts) => hosts.is_shown(index),
        }
    }
}

/// Returns the finding on a series that no agent of the fleet has.
pub(super) fn unknown(sample: Sample<'_>) -> Finding {
    let agent = sample.labels.get(AGENT).map(ToOwned::to_owned);
    Finding::UnknownSeries { name: sample.name.to_owned(), agent }
}
