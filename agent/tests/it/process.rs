//! A running agent.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// What the agent has not done by then it never will. Only a failing test waits so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// Time between two looks at whether it has ended.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The program, killed when the test is over.
pub(crate) struct Agent {
    child: Child,
    /// The lines of its log, if stderr is piped.
    log: Option<Receiver<String>>,
}

impl Agent {
    /// Starts `id`, reporting to `collector` every second, logging to `stderr`.
    pub(crate) fn start(id: &str, collector: &str, stderr: Stdio) -> Self {
        Self::start_with(id, collector, stderr, &[])
    }

    /// The same with more arguments.
    pub(crate) fn start_with(id: &str, collector: &str, stderr: Stdio, more: &[&str]) -> Self {
        Self::spawn(Self::command(id, collector).args(more), stderr)
    }

    /// The command that starts `id`.
    pub(crate) fn command(id: &str, collector: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fleetgauge-agent"));
        command.args(["--id", id, "--collector", collector, "--interval", "1s"]);
        command.args(["--label", "dc=fra"]);
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

    /// Waits for a line of its log; stderr must be piped.
    pub(crate) fn first_line_with(&self, part: &str) -> String {
        let (log, deadline) = (self.log.as_ref().unwrap(), Instant::now() + PATIENCE);
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

    /// The lines that were not yet looked at, of an agent that has ended.
    pub(crate) fn rest_of_log(&self) -> Vec<String> {
        self.log.as_ref().unwrap().iter().collect()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the agent has not ended");
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

/// Reads on, so that the agent never waits for a reader.
fn lines(stderr: ChildStderr) -> Receiver<String> {
    let (tell, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if tell.send(line).is_err() {
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
