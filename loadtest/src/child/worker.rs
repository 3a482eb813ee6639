//! A worker in a child process, and the messages that come from it.

use std::collections::VecDeque;
use std::process::Stdio;

use anyhow::Context;
#[cfg(not(unix))]
use anyhow::bail;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::sync::mpsc;

use super::own_command;
use crate::worker_protocol::{Command, Event, WorkerConfig};

/// Last lines of a worker's standard error to keep for the error message.
const STDERR_LINES: usize = 5;

/// A message from a worker.
#[derive(Debug)]
pub enum WorkerMessage {
    /// An event that the worker reported.
    Event(Box<Event>),
    /// The worker has exited; the end of its standard error.
    Exited(String),
}

/// A worker in a child process.
pub struct WorkerProcess {
    process: Child,
    stdin: ChildStdin,
}

impl WorkerProcess {
    /// Starts a worker, wrapped in the command line `prefix` if there is one. Its messages go to
    /// `messages`, tagged with `index`.
    ///
    /// # Errors
    /// If the process does not start.
    pub async fn start(
        config: &WorkerConfig,
        prefix: &[String],
        index: usize,
        messages: mpsc::Sender<(usize, WorkerMessage)>,
    ) -> anyhow::Result<Self> {
        let mut command = own_command(prefix, "worker")?;
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let stdin = process.stdin.take().context("the worker has no standard input")?;
        let stdout = process.stdout.take().context("the worker has no standard output")?;
        let stderr = process.stderr.take().context("the worker has no standard error")?;
        tokio::spawn(forward_messages(stdout, stderr, index, messages));
        let mut worker = Self { process, stdin };
        worker.write_line(&serde_json::to_string(config)?).await?;
        Ok(worker)
    }

    /// Sends a command. Does nothing if the worker has exited; [`WorkerMessage::Exited`] reports
    /// that.
    pub async fn send(&mut self, command: &Command) {
        let line = serde_json::to_string(command).unwrap_or_default();
        // Writing fails if the worker has exited.
        let _ = self.write_line(&line).await;
    }

    async fn write_line(&mut self, line: &str) -> anyhow::Result<()> {
        self.stdin.write_all(line.as_bytes()).await?;
        self.stdin.write_all(b"\n").await?;
        Ok(self.stdin.flush().await?)
    }

    /// Process id; `None` after the process has exited.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// Stops the process with SIGSTOP; its sockets stay open.
    ///
    /// # Errors
    /// If a system call fails, or the platform has no SIGSTOP.
    pub fn freeze(&self) -> anyhow::Result<()> {
        #[cfg(unix)]
        {
            use rustix::process::{Pid, Signal, kill_process};
            let pid = self.pid().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
            Ok(kill_process(pid.context("the worker has exited")?, Signal::STOP)?)
        }
        #[cfg(not(unix))]
        bail!("cannot freeze a process: this platform has no SIGSTOP")
    }

    /// Kills the process with SIGKILL; the kernel closes its agents' sockets.
    ///
    /// # Errors
    /// If a system call fails.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        Ok(self.process.kill().await?)
    }
}

/// Forwards a worker's events until it exits.
async fn forward_messages(
    stdout: ChildStdout,
    stderr: ChildStderr,
    index: usize,
    messages: mpsc::Sender<(usize, WorkerMessage)>,
) {
    let stderr_tail = tokio::spawn(last_lines(stderr));
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let message = match serde_json::from_str(&line) {
            Ok(event) => WorkerMessage::Event(Box::new(event)),
            Err(error) => WorkerMessage::Exited(format!("invalid event {line:?}: {error}")),
        };
        if messages.send((index, message)).await.is_err() {
            return;
        }
    }
    let stderr_tail = stderr_tail.await.unwrap_or_default();
    let _ = messages.send((index, WorkerMessage::Exited(stderr_tail))).await;
}

async fn last_lines(stderr: ChildStderr) -> String {
    let mut last = VecDeque::new();
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if last.len() == STDERR_LINES {
            last.pop_front();
        }
        last.push_back(line);
    }
    Vec::from(last).join("\n")
}
