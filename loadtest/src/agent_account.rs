//! What an agent with a log did: the ground truth for the samples that an engine receives.

use serde::{Deserialize, Serialize};

/// Reports and sessions of an agent with a log, from its start.
///
/// The values of a report are a function of agent and sequence number, so they are not stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentAccount {
    /// Number of the agent.
    pub agent: u32,
    /// Time of each report in unix milliseconds, from sequence number 1 on.
    pub times: Vec<u64>,
    /// The engine must have all reports up to this sequence number. It may have later ones.
    pub required: u64,
    /// The collector has acknowledged the reports up to this sequence number.
    pub acknowledged: u64,
    /// Number of acknowledgements of reports that their collector could not have.
    pub bad_acknowledgements: u64,
    /// Number of sessions that have ended.
    pub ends: u64,
    /// Number of these sessions that ended because the collector had asked the agent to leave.
    pub drained: u64,
    /// When the agent left for good, in unix microseconds; `None` if it has not.
    pub left_unix_us: Option<u64>,
}
