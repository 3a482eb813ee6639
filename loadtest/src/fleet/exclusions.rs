//! Workers that a scenario kills, freezes or cuts off on purpose. Only the others are judged.

use super::Fleet;
use crate::tally::Tally;

impl Fleet {
    /// Whether the scenario killed a worker.
    #[must_use]
    pub fn is_killed(&self, worker: usize) -> bool {
        self.workers[worker].killed
    }

    /// Excludes the agents of a worker from the general checks, because the scenario ends their
    /// sessions on purpose.
    pub fn exclude(&mut self, worker: usize) {
        self.workers[worker].excluded = true;
    }

    /// Workers whose agents must be unaffected by the scenario.
    #[must_use]
    pub fn judged_workers(&self) -> Vec<usize> {
        (0..self.workers.len()).filter(|worker| self.workers[*worker].is_judged()).collect()
    }

    /// Takes the counts of the judged workers in the phase that ends now. The next phase begins
    /// here, so that every count belongs to a phase.
    pub(crate) fn take_phase_counts(&mut self) -> Tally {
        let mut counts = Tally::default();
        for state in &mut self.workers {
            let phase = std::mem::take(&mut state.phase_counts);
            if state.is_judged() {
                counts.merge(&phase);
            }
        }
        counts
    }

    /// Stops a worker with SIGSTOP, like a machine that hangs. It can only be killed afterwards.
    ///
    /// # Errors
    /// If a system call fails.
    pub fn freeze(&mut self, worker: usize) -> anyhow::Result<()> {
        self.workers[worker].frozen = true;
        self.workers[worker].process.freeze()
    }

    /// Kills a worker on purpose.
    ///
    /// # Errors
    /// If a system call fails.
    pub async fn kill_worker(&mut self, worker: usize) -> anyhow::Result<()> {
        self.workers[worker].killed = true;
        self.workers[worker].process.kill().await
    }
}
