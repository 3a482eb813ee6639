//! What a page shows of a fleet, gathered while it is read: eight bytes an agent, however large the
//! page is.

use fleetgauge_page::Sample;

use crate::finding::Finding;
use crate::orders::Numbers;
use crate::value::{AGENT, Mark, agent_number, has_labels, place_of};

/// How the names of the collector's own metrics begin.
const OWN: [&str; 2] = ["fleetgauge_", "process_"];

/// A page's samples, by agent.
#[derive(Debug)]
pub struct Shown {
    agents: Numbers,
    known: Numbers,
    marks_from: u32,
    labels: u8,
    /// The collector's own samples that were read, on a page that must have them.
    own: Option<u64>,
    seen: Vec<Seen>,
    /// Samples of agents that were read.
    pub samples: u64,
}

/// What was seen of one agent.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen {
    /// The report that its first value is of.
    sequence: u32,
    /// The place of that value.
    first: u8,
    /// A bit for each place seen.
    places: u8,
    /// Something was wrong with it: what follows from that is not counted again.
    wrong: bool,
}

impl Seen {
    /// How many of its values are there.
    #[must_use]
    pub const fn count(self) -> usize {
        self.places.count_ones() as usize
    }

    /// The report that they are all of.
    #[must_use]
    pub const fn sequence(self) -> u32 {
        self.sequence
    }

    /// Something was wrong with its values themselves.
    #[must_use]
    pub const fn is_wrong(self) -> bool {
        self.wrong
    }
}

impl Shown {
    /// An empty page, to be judged by the worker that simulates `agents`. Their marks begin at
    /// `marks_from`, each has so many labels, and only agents of `known` may be on the page.
    #[must_use]
    pub fn new(agents: Numbers, known: Numbers, marks_from: u32, labels: u8) -> Self {
        let seen = vec![Seen::default(); known.count as usize];
        Self { agents, known, marks_from, labels, own: None, seen, samples: 0 }
    }

    /// The same of a page that has the collector's own metrics, too.
    #[must_use]
    pub fn with_own(self) -> Self {
        Self { own: Some(0), ..self }
    }

    /// The collector's own metrics ought to be there, and not one is.
    #[must_use]
    pub fn lacks_own(&self) -> bool {
        self.own == Some(0)
    }

    /// Puts a sample to the agent it says it is of.
    ///
    /// # Errors
    /// What is wrong with it, if it is the first thing that is wrong with its agent.
    pub fn place(&mut self, sample: Sample<'_>) -> Result<(), Finding> {
        let named = sample.labels.get(AGENT);
        let is_own = named.is_none() && OWN.iter().any(|own| sample.name.starts_with(own));
        if let Some(own) = self.own.as_mut().filter(|_| is_own) {
            *own += 1;
            return Ok(());
        }
        self.samples += 1;
        let stranger = || Finding::Stranger {
            name: sample.name.to_owned(),
            agent: named.map(ToOwned::to_owned),
        };
        let agent = named.and_then(agent_number).ok_or_else(stranger)?;
        let position = place_of(sample.name).ok_or_else(stranger)?;
        let mark = self.mark_of(agent);
        let has_own = |mark| has_labels(sample.labels, mark, self.labels);
        let has_others = mark.is_some_and(|mark| !has_own(mark));
        let place = self.known.place(agent).ok_or_else(stranger)?;
        let seen = &mut self.seen[place];
        let bit = 1 << position;
        let found = if seen.places & bit != 0 {
            Some(Finding::Duplicate { agent, place: position })
        } else if has_others {
            Some(Finding::WrongLabels { agent, shown: sample.labels.as_str().to_owned() })
        } else {
            mark.and_then(|mark| seen.check(agent, mark, position, sample.value))
        };
        seen.places |= bit;
        match found {
            Some(finding) if !std::mem::replace(&mut seen.wrong, true) => Err(finding),
            _ => Ok(()),
        }
    }

    /// The agents whose record the reader keeps, with their numbers.
    pub fn of_agents(&self) -> impl Iterator<Item = (u32, Seen)> {
        let skipped = self.known.place(self.agents.first).unwrap_or(self.seen.len());
        self.agents.range().zip(self.seen[skipped..].iter().copied())
    }

    /// The numbers of other agents that are there.
    pub fn others(&self) -> impl Iterator<Item = u32> {
        let there = self.known.range().zip(&self.seen).filter(|(_, seen)| seen.places != 0);
        there.map(|(agent, _)| agent).filter(|agent| self.agents.place(*agent).is_none())
    }

    /// What an agent's values are marked by, if it is one of the reader's.
    fn mark_of(&self, agent: u32) -> Option<u32> {
        self.agents.place(agent).map(|_| agent - self.agents.first + self.marks_from)
    }
}

impl Seen {
    /// Whether a value is its own, belongs where it is, and is of the same report as the others.
    fn check(&mut self, agent: u32, marked: u32, place: usize, value: f64) -> Option<Finding> {
        let Some(mark) = Mark::from_f64(value) else {
            return Some(Finding::Garbled { agent, place, value });
        };
        if mark.agent != marked || mark.place != place {
            return Some(Finding::Misplaced { agent, place, holds: mark });
        }
        let sequence = mark.sequence as u32;
        if self.places == 0 {
            (self.sequence, self.first) = (sequence, place as u8);
        }
        (self.sequence != sequence).then(|| Finding::Torn {
            agent,
            places: (self.first.into(), place),
            sequences: (self.sequence.into(), mark.sequence),
        })
    }
}
