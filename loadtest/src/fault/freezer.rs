//! Stops and continues the process of a collector repeatedly, like a machine that hangs.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// Time for which the process is stopped.
const STOPPED: Duration = Duration::from_millis(2_000);
/// Time for which the process runs between two stops.
const RUNNING: Duration = Duration::from_millis(600);

/// Stops and continues a process repeatedly. On drop, the process continues.
#[derive(Debug)]
pub struct Freezer {
    process: Pid,
    task: JoinHandle<()>,
}

impl Freezer {
    /// Spawns a task that stops and continues a process in turn; `None` without a process id.
    #[must_use]
    pub fn start(process: Option<u32>) -> Option<Self> {
        let process = Pid::from_raw(i32::try_from(process?).ok()?)?;
        let task = tokio::spawn(async move {
            while kill_process(process, Signal::STOP).is_ok() {
                sleep(STOPPED).await;
                let _ = kill_process(process, Signal::CONT);
                sleep(RUNNING).await;
            }
        });
        Some(Self { process, task })
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        self.task.abort();
        let _ = kill_process(self.process, Signal::CONT);
    }
}
