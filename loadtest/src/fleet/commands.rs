//! Commands to workers, and waiting until they are carried out.

use std::time::Duration;

use anyhow::bail;
use tokio::time::Instant;

use super::{COMMAND_TIMEOUT, Fleet};
use crate::agent_account::AgentAccount;
use crate::scrape::Encoding;
use crate::worker_protocol::{AfterDisconnect, AgentSelector, Command, DisconnectKind};

impl Fleet {
    /// Sends a command to all workers.
    pub async fn send_all(&mut self, command: &Command) {
        for state in &mut self.workers {
            state.process.send(command).await;
        }
    }

    /// Sends a command to one worker.
    pub async fn send(&mut self, worker: usize, command: &Command) {
        self.workers[worker].process.send(command).await;
    }

    /// Disconnects agents of a worker, and waits until that is done.
    ///
    /// # Errors
    /// If a worker has exited, or is not done in time.
    pub async fn disconnect(
        &mut self,
        worker: usize,
        agents: AgentSelector,
        kind: DisconnectKind,
        after: AfterDisconnect,
    ) -> anyhow::Result<()> {
        self.workers[worker].pending_commands += 1;
        self.send(worker, &Command::Disconnect { agents, kind, after }).await;
        let done = |fleet: &Self| fleet.workers[worker].pending_commands == 0;
        if !self.wait_until(Instant::now() + COMMAND_TIMEOUT, done).await? {
            bail!(
                "worker {worker} did not disconnect its agents in time; the machine may be too busy"
            );
        }
        Ok(())
    }

    /// Asks the workers for all counts of the phase that ends here, and waits for them.
    ///
    /// # Errors
    /// If a worker has exited, or does not answer in time.
    pub async fn flush(&mut self) -> anyhow::Result<()> {
        for state in self.workers.iter_mut().filter(|state| !state.killed && !state.frozen) {
            state.pending_commands += 1;
            state.process.send(&Command::Flush).await;
        }
        let done = |fleet: &Self| {
            fleet.workers.iter().all(|state| state.killed || state.pending_commands == 0)
        };
        if !self.wait_until(Instant::now() + COMMAND_TIMEOUT, done).await? {
            bail!("a worker did not report its counts within {} s", COMMAND_TIMEOUT.as_secs());
        }
        Ok(())
    }

    /// Asks the workers for the ground truth of their agents, which keep logs.
    ///
    /// # Errors
    /// If a worker has exited, or does not answer in time.
    pub async fn take_accounts(&mut self) -> anyhow::Result<Vec<AgentAccount>> {
        self.accounts.clear();
        for state in &mut self.workers {
            state.pending_commands += 1;
            state.process.send(&Command::Account).await;
        }
        let done = |fleet: &Self| fleet.workers.iter().all(|state| state.pending_commands == 0);
        if !self.wait_until(Instant::now() + COMMAND_TIMEOUT, done).await? {
            bail!("a worker did not describe its agents within {} s", COMMAND_TIMEOUT.as_secs());
        }
        Ok(std::mem::take(&mut self.accounts))
    }

    /// Asks a worker to fetch and judge a page; see [`Self::received_pages`].
    pub async fn request_page(&mut self, worker: usize, what: &str) {
        self.workers[worker].pending_pages += 1;
        self.send(worker, &Command::ScrapeAgents { what: what.to_owned() }).await;
    }

    /// Asks a worker to fetch and judge whole pages back to back; see [`Self::received_pages`].
    pub async fn request_scrapes(&mut self, worker: usize, encoding: Encoding, time: Duration) {
        self.workers[worker].pending_pages += 1;
        let for_ms = u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        let what = format!("{} scrapes", encoding.name());
        self.send(worker, &Command::ScrapeBackToBack { what, encoding, for_ms }).await;
    }

    /// Whether requested pages are outstanding.
    #[must_use]
    pub fn has_pending_pages(&self) -> bool {
        self.workers.iter().any(|state| state.pending_pages > 0)
    }

    /// Whether the agents of a worker have disconnected for good, or the worker was killed.
    #[must_use]
    pub fn has_finished(&self, worker: usize) -> bool {
        self.is_killed(worker) || self.workers[worker].stuck_agents.is_some()
    }
}
