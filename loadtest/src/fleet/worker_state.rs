//! What the parent keeps of one worker.

use crate::child::worker::WorkerProcess;
use crate::tally::Tally;
use crate::worker_protocol::WorkerSample;

/// What the parent knows of a worker.
pub(super) struct WorkerState {
    pub(super) process: WorkerProcess,
    pub(super) ready: bool,
    pub(super) last_sample: WorkerSample,
    /// All that it counted so far.
    pub(super) counts: Tally,
    /// What it counted in the part of the test that is under way.
    pub(super) phase_counts: Tally,
    /// Commands to leave or to tell what was counted that have not been carried out.
    pub(super) pending_commands: usize,
    /// Pages asked for that have not been told of.
    pub(super) pending_pages: usize,
    /// How many of its agents could not say that they left; `None` until they have.
    pub(super) stuck_agents: Option<u32>,
    /// It was stopped on purpose.
    pub(super) frozen: bool,
    /// It was ended on purpose.
    pub(super) killed: bool,
    /// What becomes of its agents is judged by the scenario alone.
    pub(super) excluded: bool,
}

impl WorkerState {
    pub(super) fn new(process: WorkerProcess) -> Self {
        Self {
            process,
            ready: false,
            last_sample: WorkerSample::default(),
            counts: Tally::default(),
            phase_counts: Tally::default(),
            pending_commands: 0,
            pending_pages: 0,
            stuck_agents: None,
            frozen: false,
            killed: false,
            excluded: false,
        }
    }

    /// Whether what it counts and its page are judged as those of a fleet that nothing is done to.
    pub(super) const fn is_judged(&self) -> bool {
        !self.killed && !self.frozen && !self.excluded
    }
}
