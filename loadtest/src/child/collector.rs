//! A collector in a child process.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;
use tokio::time::timeout;

use super::{own_command, shifted_clock};
use crate::fault::Fault;
#[cfg(unix)]
use crate::fault::freezer::Freezer;
use crate::plan::CollectorEndpoint;

/// How long a child may take to print its addresses: the machine may be starting many at once.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum time for a child to exit. A graceful shutdown takes up to 9 s: 5 s for the agents and 4
/// s for the rest of the collector.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);

/// The one fault that the parent injects; the collector process implements all others.
const FROZEN: Fault = Fault::Frozen;

/// A collector in a child process.
pub struct CollectorProcess {
    process: Child,
    /// Address of the listener for agents.
    pub agents: SocketAddr,
    /// Address of the HTTP listener.
    pub http: SocketAddr,
    flags: Vec<String>,
    /// How far its clock is ahead.
    clock_offset: Duration,
    #[cfg(unix)]
    _freezer: Option<Freezer>,
}

impl CollectorProcess {
    /// Starts `count` collectors with these flags; on free loopback ports unless a flag says
    /// otherwise. The clocks of all but the first are ahead by `clock_offset`.
    ///
    /// # Errors
    /// If a process does not start, or does not print its addresses in time.
    pub async fn start(
        count: usize,
        flags: &[String],
        clock_offset: Duration,
    ) -> anyhow::Result<Vec<Self>> {
        let mut all = flags.to_vec();
        for (flag, free) in [("--listen", "127.0.0.1:0"), ("--http-listen", "127.0.0.1:0")] {
            if !flags.iter().any(|explicit| explicit == flag) {
                all.extend([flag, free].map(ToOwned::to_owned));
            }
        }
        let offset = |number| if number == 0 { Duration::ZERO } else { clock_offset };
        let spawn = |number| Self::spawn(&all, offset(number));
        let starting: Result<Vec<_>, _> = (0..count).map(spawn).collect();
        let mut started = Vec::with_capacity(count);
        for (number, process) in starting?.into_iter().enumerate() {
            let flags = flags.to_vec();
            started.push(Self::await_addresses(process, flags, offset(number)).await?);
        }
        Ok(started)
    }

    fn spawn(flags: &[String], clock_offset: Duration) -> anyhow::Result<Child> {
        let flags = flags.iter().filter(|flag| **flag != FROZEN.flag());
        let mut command = own_command(&[], "collector")?;
        shifted_clock::shift(&mut command, clock_offset);
        Ok(command.args(flags).stdout(Stdio::piped()).spawn()?)
    }

    async fn await_addresses(
        mut process: Child,
        flags: Vec<String>,
        clock_offset: Duration,
    ) -> anyhow::Result<Self> {
        let stdout = process.stdout.take().context("the collector has no standard output")?;
        let mut line = String::new();
        timeout(START_TIMEOUT, BufReader::new(stdout).read_line(&mut line)).await.context(
            "the collector did not print its addresses in time; the machine may be too busy",
        )??;
        let mut addresses = line.split_ascii_whitespace().map(str::parse);
        match (addresses.next(), addresses.next()) {
            (Some(Ok(agents)), Some(Ok(http))) => Ok(Self {
                #[cfg(unix)]
                _freezer: Freezer::start(process.id().filter(|_| flags.contains(&FROZEN.flag()))),
                process,
                agents,
                http,
                flags,
                clock_offset,
            }),
            _ => bail!("the collector did not start; its log above says why"),
        }
    }

    /// Process id; `None` after the process has exited.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// Addresses and process id of the collector, for workers.
    #[must_use]
    pub fn endpoint(&self) -> CollectorEndpoint {
        CollectorEndpoint { agents: self.agents, http: self.http, pid: self.pid() }
    }

    /// Kills all collectors with SIGKILL before waiting for any, so that none can drain its agents.
    ///
    /// # Errors
    /// If a system call fails.
    pub async fn kill(collectors: &mut [Self]) -> anyhow::Result<()> {
        for collector in &mut *collectors {
            collector.process.start_kill()?;
        }
        for collector in collectors {
            collector.process.wait().await?;
        }
        Ok(())
    }

    /// Restarts exited collectors at their former addresses, with additional flags.
    ///
    /// # Errors
    /// If a process does not start, or does not print its addresses in time.
    pub async fn restart(collectors: &mut [Self], more: &[String]) -> anyhow::Result<()> {
        let starting = collectors.iter_mut().map(|collector| collector.spawn_again(more));
        let starting: Vec<_> = starting.collect::<Result<_, _>>()?;
        for (collector, process) in collectors.iter_mut().zip(starting) {
            let flags = std::mem::take(&mut collector.flags);
            *collector = Self::await_addresses(process, flags, collector.clock_offset).await?;
        }
        Ok(())
    }

    fn spawn_again(&mut self, more: &[String]) -> anyhow::Result<Child> {
        self.flags.extend_from_slice(more);
        let addresses = [("--listen", self.agents), ("--http-listen", self.http)];
        let addresses = addresses.map(|(flag, address)| format!("{flag}={address}"));
        Self::spawn(&[&self.flags[..], &addresses].concat(), self.clock_offset)
    }

    /// Sends SIGTERM and waits for the process to exit. It can be [restarted](Self::restart).
    ///
    /// # Errors
    /// If the process did not exit with success; says how it ended.
    pub async fn terminate(&mut self) -> Result<(), String> {
        #[cfg(unix)]
        if let Some(pid) = self.pid().and_then(|pid| i32::try_from(pid).ok()) {
            use rustix::process::{Pid, Signal, kill_process};
            let pid = Pid::from_raw(pid).ok_or("has no process id")?;
            kill_process(pid, Signal::TERM).map_err(|error| error.to_string())?;
        }
        #[cfg(not(unix))]
        self.request_stop();
        self.wait_until_stopped().await
    }

    /// Asks the collector to shut down gracefully.
    pub fn request_stop(&mut self) {
        drop(self.process.stdin.take());
    }

    /// Asks the collector to shut down gracefully and waits for it to exit.
    ///
    /// # Errors
    /// If the process did not exit with success; says how it ended.
    pub async fn stop(mut self) -> Result<(), String> {
        self.request_stop();
        self.wait_until_stopped().await
    }

    async fn wait_until_stopped(&mut self) -> Result<(), String> {
        match timeout(STOP_TIMEOUT, self.process.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(format!("failed ({status})")),
            Ok(Err(error)) => Err(format!("did not report its exit status: {error}")),
            Err(_) => Err(format!("did not stop within {} s", STOP_TIMEOUT.as_secs())),
        }
    }
}
