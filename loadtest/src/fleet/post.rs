//! What the parent keeps of one worker.

use crate::child::Worker;
use crate::orders::Sample;
use crate::tally::Tally;

/// What the parent knows of a worker.
pub(super) struct Post {
    pub(super) worker: Worker,
    pub(super) ready: bool,
    pub(super) last: Sample,
    /// All that it counted so far.
    pub(super) counts: Tally,
    /// What it counted in the part of the test that is under way.
    pub(super) part: Tally,
    /// Commands to leave or to tell what was counted that have not been carried out.
    pub(super) undone: usize,
    /// Pages asked for that have not been told of.
    pub(super) awaited: usize,
    /// How many of its agents could not say that they left; `None` until they have.
    pub(super) left: Option<u32>,
    /// It was stopped on purpose.
    pub(super) frozen: bool,
    /// It was ended on purpose.
    pub(super) dismissed: bool,
    /// What becomes of its agents is judged by the scenario alone.
    pub(super) spared: bool,
}

impl Post {
    pub(super) fn new(worker: Worker) -> Self {
        Self {
            worker,
            ready: false,
            last: Sample::default(),
            counts: Tally::default(),
            part: Tally::default(),
            undone: 0,
            awaited: 0,
            left: None,
            frozen: false,
            dismissed: false,
            spared: false,
        }
    }

    /// Whether what it counts and its page are judged as those of a fleet that nothing is done to.
    pub(super) const fn is_judged(&self) -> bool {
        !self.dismissed && !self.frozen && !self.spared
    }
}
