//! Children of this program: a collector and an agent of their own process, so that what they use can be told
//! apart and so that they can be killed. They end with their parent: their standard input does.

use std::io::Read;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child as Process, Command};
use tokio::time::timeout;

use crate::cli::AgentArgs;

/// How long a child may take to say that it is there.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a child may take to end: a collector gives its agents five seconds and itself four.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);

/// A collector in a process of its own.
pub struct Collector {
    process: Process,
    /// Where it awaits agents.
    pub agents: SocketAddr,
    /// Where it serves HTTP.
    pub http: SocketAddr,
}

impl Collector {
    /// Starts one, on free ports.
    ///
    /// # Errors
    /// It did not start, or did not say where it is.
    pub async fn start() -> anyhow::Result<Self> {
        let mut process = command("collector")?.stdout(Stdio::piped()).spawn()?;
        let said = process.stdout.take().context("a child without standard output")?;
        let mut line = String::new();
        timeout(START_TIMEOUT, BufReader::new(said).read_line(&mut line))
            .await
            .context("the collector did not say where it is")??;
        let mut addresses = line.split_ascii_whitespace().map(str::parse);
        match (addresses.next(), addresses.next()) {
            (Some(Ok(agents)), Some(Ok(http))) => Ok(Self { process, agents, http }),
            _ => bail!("the collector did not start; see above"),
        }
    }

    /// Its process id; `None` if it has ended.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// Tells it to stop and waits for that.
    ///
    /// # Errors
    /// How it ended, if not well.
    pub async fn stop(mut self) -> Result<(), String> {
        drop(self.process.stdin.take());
        match timeout(STOP_TIMEOUT, self.process.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(format!("ended with {status}")),
            Ok(Err(error)) => Err(format!("could not be waited for: {error}")),
            Err(_) => Err(format!("did not stop within {} s", STOP_TIMEOUT.as_secs())),
        }
    }
}

/// Starts this host's agent.
///
/// # Errors
/// The system's.
pub fn start_agent(args: &AgentArgs) -> anyhow::Result<Process> {
    let mut command = command("agent")?;
    command.arg("--collector").arg(args.collector.to_string());
    if args.classic {
        command.arg("--classic");
    }
    Ok(command.stdout(Stdio::null()).spawn()?)
}

/// This program again, as something else.
fn command(what: &str) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(what).stdin(Stdio::piped()).kill_on_drop(true);
    // Ctrl-C is for the parent: it ends its children when it is done with them.
    #[cfg(unix)]
    command.process_group(0);
    Ok(command)
}

/// Done when standard input ends, which it does with the parent, or at SIGTERM.
pub async fn told_to_stop() {
    let (tell, told) = tokio::sync::oneshot::channel();
    // Reading blocks, and a blocked task would keep the runtime from ending.
    std::thread::spawn(move || {
        let _ = std::io::stdin().lock().read_to_end(&mut Vec::new());
        let _ = tell.send(());
    });
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = told => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = told.await;
}
