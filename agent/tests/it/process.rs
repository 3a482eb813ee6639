//! A running agent.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// The program, killed when the test is over.
pub(crate) struct Agent(Child);

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
        let child = command.stderr(stderr).spawn().unwrap();
        Self(child)
    }

    pub(crate) fn terminate(&self) {
        let pid = Pid::from_raw(i32::try_from(self.0.id()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
    }

    /// Waits for a line of its log; stderr must be piped.
    pub(crate) fn first_line_with(&mut self, part: &str) -> String {
        let stderr = BufReader::new(self.0.stderr.as_mut().unwrap());
        stderr.lines().map(Result::unwrap).find(|line| line.contains(part)).unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.0.wait().unwrap()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
