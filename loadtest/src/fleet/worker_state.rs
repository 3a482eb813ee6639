//! State of one worker in the parent.

use crate::child::worker::WorkerProcess;
use crate::tally::Tally;
use crate::worker_protocol::WorkerSample;

/// State of one worker.
pub(super) struct WorkerState {
    pub(super) process: WorkerProcess,
    pub(super) ready: bool,
    pub(super) last_sample: WorkerSample,
    /// Counts of the worker since its start.
    pub(super) counts: Tally,
    /// Counts of the worker in the current phase.
    pub(super) phase_counts: Tally,
    /// Commands that the worker has not completed yet.
    pub(super) pending_commands: usize,
    /// Requests for pages that are not complete yet.
    pub(super) pending_pages: usize,
    /// Agents that could not send Bye; `None` until all have disconnected for good.
    pub(super) stuck_agents: Option<u32>,
    /// Whether the scenario stopped the worker with SIGSTOP.
    pub(super) frozen: bool,
    /// Whether the scenario killed the worker.
    pub(super) killed: bool,
    /// Whether only the scenario judges the worker's agents.
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

    /// Whether the worker's counts and page must be unaffected by the scenario.
    pub(super) const fn is_judged(&self) -> bool {
        !self.killed && !self.frozen && !self.excluded
    }
}
