//! The agent of this host in the demo: a child process that the demo restarts whenever it exits.

use std::net::SocketAddr;
use std::time::Duration;

use fleetgauge_proto::AgentId;
use indicatif::ProgressBar;
use tokio::process::Child;
use tokio::time::sleep;

use super::console::print;
use crate::child;
use crate::child_main::host_id;

/// Time until a killed agent is restarted: long enough to look at the page without it.
pub(super) const RESTART_DELAY: Duration = Duration::from_secs(15);

/// This host's agent, in a child process.
pub(super) struct HostAgent<'a> {
    pub(super) id: AgentId,
    collector: SocketAddr,
    classic: bool,
    process: Child,
    bar: &'a ProgressBar,
}

impl<'a> HostAgent<'a> {
    pub(super) fn start(
        collector: SocketAddr,
        classic: bool,
        bar: &'a ProgressBar,
    ) -> anyhow::Result<Self> {
        let id = host_id()?;
        Ok(Self { id, collector, classic, process: child::start_agent(collector, classic)?, bar })
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// Restarts the agent whenever it exits.
    pub(super) async fn keep_running(mut self) {
        loop {
            // `wait` would close standard input, and the agent exits when its input ends.
            let _stdin = self.process.stdin.take();
            let how = match self.process.wait().await {
                Ok(status) => format!("has exited ({status})"),
                Err(error) => format!("has an unknown exit status ({error})"),
            };
            let delay = RESTART_DELAY.as_secs();
            self.print(&format!("{how}: its series are gone. It restarts in {delay} s"));
            sleep(RESTART_DELAY).await;
            match child::start_agent(self.collector, self.classic) {
                Ok(process) => self.process = process,
                Err(error) => {
                    self.print(&format!("cannot be restarted: {error}"));
                    continue;
                }
            }
            let pid = self.process.id().unwrap_or_default();
            self.print(&format!("has restarted; to kill it again: kill -9 {pid}"));
        }
    }

    fn print(&self, what: &str) {
        print(self.bar, &format!("  The agent of {} {what}.", self.id));
    }
}
