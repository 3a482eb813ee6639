//! A contiguous range of simulated agents, by number.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// A contiguous range of agent numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentRange {
    /// Number of the first agent.
    pub first: u32,
    /// Number of agents.
    pub count: u32,
}

impl AgentRange {
    /// Returns the agent numbers as a half-open range.
    #[must_use]
    pub const fn range(self) -> Range<u32> {
        self.first..self.first + self.count
    }

    /// Index of an agent within the range; `None` if the agent is outside.
    #[must_use]
    pub fn index_of(self, agent: u32) -> Option<usize> {
        self.range().contains(&agent).then(|| (agent - self.first) as usize)
    }
}
