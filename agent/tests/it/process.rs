//! A running agent process.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Timeout for everything that the agent must do.
pub(crate) const TEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Polling interval while a test waits for the agent to exit.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// An agent process. Killed when dropped.
pub(crate) struct Agent {
    child: Child,
    /// Log lines, if stderr is piped.
    log: Option<Receiver<String>>,
}

impl Agent {
    /// Starts agent `id` with an interval of one second, logging to `stderr`.
    pub(crate) fn start(id: &str, collector: &str, stderr: Stdio) -> Self {
        Self::start_with(id, collector, stderr, &[])
    }

    /// Like [`Self::start`], with more arguments.
    pub(crate) fn start_with(id: &str, collector: &str, stderr: Stdio, more: &[&str]) -> Self {
        Self::spawn(Self::command(id, collector).args(more), stderr)
    }

    /// Returns the command that starts agent `id`.
    pub(crate) fn command(id: &str, collector: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fleetgauge-agent"));
        command.args(["--id", id, "--collector", collector, "--interval", "1s"]);
        command.args(["--label", "dc=fra"]);
        // Its catalog, rows and values do not depend on the host.
        command.env("FLEETGAUGE_METRICS", "basic");
        command
    }

    pub(crate) fn spawn(command: &mut Command, stderr: Stdio) -> Self {
        let mut child = command.stderr(stderr).spawn().unwrap();
        let log = child.stderr.take().map(lines);
        Self { child, log }
    }

    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for a log line that contains `part`. Needs a piped stderr.
    pub(crate) fn first_line_with(&self, part: &str) -> String {
        let (log, deadline) = (self.log.as_ref().unwrap(), Instant::now() + TEST_TIMEOUT);
        let mut seen = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match log.recv_timeout(left) {
                Ok(line) if line.contains(part) => return line,
                Ok(line) => seen.push(line),
                Err(error) => panic!("no line with {part:?} ({error}) in {seen:#?}"),
            }
        }
    }

    /// Returns the unread log lines of an agent that has exited.
    pub(crate) fn rest_of_log(&self) -> Vec<String> {
        self.log.as_ref().unwrap().iter().collect()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + TEST_TIMEOUT;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the agent did not exit");
            std::thread::sleep(POLL_INTERVAL);
        }
    }
}

/// Reads lines on a thread, so that the agent never blocks on a full pipe.
fn lines(stderr: ChildStderr) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
