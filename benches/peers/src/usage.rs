//! What a process uses, from /proc.

use std::time::Duration;

use anyhow::Context;
use procfs::process::Process;

/// The steps in which the system counts CPU time.
pub const TICK: Duration = Duration::from_millis(10);

/// What a process has used up to a moment.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// CPU time of all its threads, in user and in system mode.
    pub cpu: Duration,
    /// Resident memory, in bytes.
    pub resident: u64,
}

/// What the process uses now.
///
/// # Errors
/// There is no such process.
pub fn of(pid: u32) -> anyhow::Result<Usage> {
    let process = Process::new(i32::try_from(pid)?).context("a server has ended")?;
    let stat = process.stat()?;
    let seconds = (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64;
    let resident = stat.rss * procfs::page_size();
    Ok(Usage { cpu: Duration::from_secs_f64(seconds), resident })
}
