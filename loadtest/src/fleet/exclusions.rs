//! Workers that a scenario ends, freezes or cuts off on purpose, and what is judged of the others.

use super::Fleet;
use crate::tally::Tally;

impl Fleet {
    /// Whether a worker was ended on purpose.
    #[must_use]
    pub fn is_killed(&self, worker: usize) -> bool {
        self.workers[worker].killed
    }

    /// From now on the scenario alone judges what becomes of a worker's agents: it ends their
    /// sessions on purpose.
    pub fn exclude(&mut self, worker: usize) {
        self.workers[worker].excluded = true;
    }

    /// The workers whose agents are judged as those of a fleet that nothing is done to.
    #[must_use]
    pub fn judged_workers(&self) -> Vec<usize> {
        (0..self.workers.len()).filter(|worker| self.workers[*worker].is_judged()).collect()
    }

    /// What those workers have counted in the part of the test that ends now. The next one begins
    /// here, so that nothing falls between two parts.
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

    /// Stops a worker in the middle of what it does, as a machine that hangs; it can only be
    /// dismissed then.
    ///
    /// # Errors
    /// The system's.
    pub fn freeze(&mut self, worker: usize) -> anyhow::Result<()> {
        self.workers[worker].frozen = true;
        self.workers[worker].process.freeze()
    }

    /// Kills a worker on purpose.
    ///
    /// # Errors
    /// The system's.
    pub async fn kill_worker(&mut self, worker: usize) -> anyhow::Result<()> {
        self.workers[worker].killed = true;
        self.workers[worker].process.kill().await
    }
}
