//! A collector in a child process.

use std::io;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use fleetgauge_receiver::ReservedAddress;
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
    settings: Settings,
    #[cfg(unix)]
    _freezer: Option<Freezer>,
}

/// What a collector is started with, and started again.
#[derive(Default)]
struct Settings {
    flags: Vec<String>,
    /// How far its clock is ahead.
    clock_offset: Duration,
    /// Addresses that the flags did not choose, with their flags: kept while the collector is down.
    reserved: Vec<(&'static str, ReservedAddress)>,
}

impl Settings {
    fn new(flags: &[String], clock_offset: Duration) -> io::Result<Self> {
        let free = ["--listen", "--http-listen"].into_iter();
        let free = free.filter(|flag| flags.iter().all(|explicit| explicit != flag));
        let reserved = free.map(|flag| Ok((flag, ReservedAddress::on_loopback()?)));
        let reserved = reserved.collect::<io::Result<_>>()?;
        Ok(Self { flags: flags.to_vec(), clock_offset, reserved })
    }

    fn is_frozen(&self) -> bool {
        self.flags.contains(&FROZEN.flag())
    }

    fn spawn(&self) -> anyhow::Result<Child> {
        let mut command = own_command(&[], "collector")?;
        shifted_clock::shift(&mut command, self.clock_offset);
        command.args(self.flags.iter().filter(|flag| **flag != FROZEN.flag()));
        for (flag, reserved) in &self.reserved {
            command.arg(format!("{flag}={}", reserved.address()));
        }
        Ok(command.stdout(Stdio::piped()).spawn()?)
    }
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
        let offset = |number| if number == 0 { Duration::ZERO } else { clock_offset };
        let start = |number| {
            let settings = Settings::new(flags, offset(number)).context("no free port")?;
            Ok((settings.spawn()?, settings))
        };
        let starting: anyhow::Result<Vec<_>> = (0..count).map(start).collect();
        let mut started = Vec::with_capacity(count);
        for (process, settings) in starting? {
            started.push(Self::await_addresses(process, settings).await?);
        }
        Ok(started)
    }

    async fn await_addresses(mut process: Child, settings: Settings) -> anyhow::Result<Self> {
        let stdout = process.stdout.take().context("the collector has no standard output")?;
        let mut line = String::new();
        timeout(START_TIMEOUT, BufReader::new(stdout).read_line(&mut line)).await.context(
            "the collector did not print its addresses in time; the machine may be too busy",
        )??;
        let mut addresses = line.split_ascii_whitespace().map(str::parse);
        match (addresses.next(), addresses.next()) {
            (Some(Ok(agents)), Some(Ok(http))) => Ok(Self {
                #[cfg(unix)]
                _freezer: Freezer::start(process.id().filter(|_| settings.is_frozen())),
                process,
                agents,
                http,
                settings,
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
        let start = |collector: &mut Self| {
            collector.settings.flags.extend_from_slice(more);
            collector.settings.spawn()
        };
        let starting: Vec<_> = collectors.iter_mut().map(start).collect::<Result<_, _>>()?;
        for (collector, process) in collectors.iter_mut().zip(starting) {
            let settings = std::mem::take(&mut collector.settings);
            *collector = Self::await_addresses(process, settings).await?;
        }
        Ok(())
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
