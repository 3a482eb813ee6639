//! Workers that a scenario ends, freezes or cuts off on purpose, and what is judged of the others.

use super::Fleet;
use crate::tally::Tally;

impl Fleet {
    /// Whether a worker was ended on purpose.
    #[must_use]
    pub fn is_dismissed(&self, worker: usize) -> bool {
        self.posts[worker].dismissed
    }

    /// From now on the scenario alone judges what becomes of a worker's agents: it ends their
    /// sessions on purpose.
    pub fn spare(&mut self, worker: usize) {
        self.posts[worker].spared = true;
    }

    /// The workers whose agents are judged as those of a fleet that nothing is done to.
    #[must_use]
    pub fn judged(&self) -> Vec<usize> {
        (0..self.posts.len()).filter(|worker| self.posts[*worker].is_judged()).collect()
    }

    /// What those workers have counted in the part of the test that ends now. The next one begins
    /// here, so that nothing falls between two parts.
    pub(crate) fn take_part(&mut self) -> Tally {
        let mut counts = Tally::default();
        for post in &mut self.posts {
            let part = std::mem::take(&mut post.part);
            if post.is_judged() {
                counts.merge(&part);
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
        self.posts[worker].frozen = true;
        self.posts[worker].worker.freeze()
    }

    /// Kills a worker on purpose.
    ///
    /// # Errors
    /// The system's.
    pub async fn dismiss(&mut self, worker: usize) -> anyhow::Result<()> {
        self.posts[worker].dismissed = true;
        self.posts[worker].worker.kill().await
    }
}
