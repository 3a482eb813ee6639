//! A sender as a child process that can be killed and started again with its directory.

use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::TempDir;
use tokio::process::Child;

use super::args::Plan;
use super::sender::Sender;
use crate::peer::LaunchOptions;
use crate::server::{MAX_STARTS, free_ports, start};
use crate::usage::{self, Usage};

/// A sender. Dropping it kills the process.
pub(super) struct Process<'a> {
    sender: &'a Sender,
    program: PathBuf,
    url: String,
    pub(super) options: LaunchOptions,
    child: Option<Child>,
    /// Removed on drop.
    _dir: TempDir,
}

impl<'a> Process<'a> {
    /// Starts the sender, which forwards to `url` and scrapes hosts on `target_port`.
    pub(super) async fn start(
        sender: &'a Sender,
        program: &Path,
        plan: Plan,
        target_port: u16,
        url: &str,
    ) -> anyhow::Result<Self> {
        let mut outcome = Self::try_start(sender, program, plan, target_port, url).await;
        for _ in 1..MAX_STARTS {
            if outcome.is_ok() {
                break;
            }
            outcome = Self::try_start(sender, program, plan, target_port, url).await;
        }
        outcome.with_context(|| format!("starting {}", program.display()))
    }

    async fn try_start(
        sender: &'a Sender,
        program: &Path,
        plan: Plan,
        target_port: u16,
        url: &str,
    ) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let [http, tcp, relay] = free_ports()?;
        let Plan { kind, hosts, interval, .. } = plan;
        let dir_path = dir.path().to_owned();
        let options =
            LaunchOptions { dir: dir_path, http, tcp, relay, kind, hosts, interval, target_port };
        let (program, url) = (program.to_owned(), url.to_owned());
        let mut process = Self { sender, program, url, options, child: None, _dir: dir };
        process.restart().await?;
        Ok(process)
    }

    /// Starts the process again, with the same settings and directory.
    pub(super) async fn restart(&mut self) -> anyhow::Result<()> {
        let command = self.sender.command(&self.program, &self.options, &self.url)?;
        let (dir, http) = (&self.options.dir, self.options.http);
        self.child = Some(start(command, dir, http, self.sender.ready).await?);
        Ok(())
    }

    /// Sends SIGKILL and waits for the end of the process.
    pub(super) async fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill().await?;
        }
        Ok(())
    }

    fn pid(&self) -> anyhow::Result<u32> {
        self.child.as_ref().and_then(Child::id).context("the sender has exited")
    }

    /// CPU time so far, and resident memory.
    pub(super) fn usage(&self) -> anyhow::Result<Usage> {
        usage::of(self.pid()?)
    }

    /// Peak of the resident memory, in bytes.
    pub(super) fn peak(&self) -> anyhow::Result<u64> {
        usage::peak(self.pid()?)
    }
}
