//! The agents of the profile `basic` on a page, in eight bytes each.

use fleetgauge_page::Sample;

use super::finding::Finding;
use super::observed_page::{PageScope, Shown, unknown};
use crate::sim_values::{AGENT, NAMES, ValueOrigin, agent_number, has_labels, position_of};

/// The visible agents, by index.
#[derive(Debug)]
pub(super) struct ObservedAgents(Vec<ObservedAgent>);

/// One agent on a page.
#[derive(Debug, Clone, Copy, Default)]
struct ObservedAgent {
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

impl ObservedAgents {
    pub(super) fn new(count: u32) -> Self {
        Self(vec![ObservedAgent::default(); count as usize])
    }

    /// See [`ObservedPage::add`](super::observed_page::ObservedPage::add).
    pub(super) fn add(&mut self, scope: &PageScope, sample: Sample<'_>) -> Result<(), Finding> {
        let unknown = || unknown(sample);
        let agent = sample.labels.get(AGENT).and_then(agent_number).ok_or_else(unknown)?;
        let position = position_of(sample.name).ok_or_else(unknown)?;
        let encoded = scope.encoded_agent(agent);
        let labels_match = |encoded| has_labels(sample.labels, encoded, scope.labels);
        let has_wrong_labels = encoded.is_some_and(|encoded| !labels_match(encoded));
        let index = scope.visible.index_of(agent).ok_or_else(unknown)?;
        let observed = &mut self.0[index];
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

    pub(super) fn shown(&self, agent: u32, index: usize) -> Shown {
        let observed = &self.0[index];
        match observed.positions.count_ones() as usize {
            0 => Shown::Nothing,
            _ if observed.wrong => Shown::Wrong,
            shown if shown < NAMES.len() => {
                Shown::Invalid(Finding::Incomplete { agent, shown, of: NAMES.len() })
            }
            _ => Shown::Report(observed.sequence.into()..=observed.sequence.into()),
        }
    }

    pub(super) fn is_shown(&self, index: usize) -> bool {
        self.0[index].positions != 0
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
