//! Resource usage of a process, from `/proc`.

use std::time::Duration;

use anyhow::Context;
use procfs::process::Process;

/// Resolution of CPU time in `/proc`.
pub const TICK: Duration = Duration::from_millis(10);

/// Resource usage of a process.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// CPU time of all threads, user and system.
    pub cpu: Duration,
    /// Resident memory, in bytes.
    pub resident: u64,
}

/// Reads the current resource usage of a process.
///
/// # Errors
/// If the process has exited.
pub fn of(pid: u32) -> anyhow::Result<Usage> {
    let process = Process::new(i32::try_from(pid)?).context("the process has exited")?;
    let stat = process.stat()?;
    let seconds = (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64;
    let resident = stat.rss * procfs::page_size();
    Ok(Usage { cpu: Duration::from_secs_f64(seconds), resident })
}

/// Reads the peak of the resident memory of a process, in bytes.
///
/// # Errors
/// If the process has exited.
pub fn peak(pid: u32) -> anyhow::Result<u64> {
    let process = Process::new(i32::try_from(pid)?).context("the process has exited")?;
    let kib = process.status()?.vmhwm.context("no peak of resident memory in /proc")?;
    Ok(kib * 1024)
}
