//! CPU, memory and open files of other processes, from /proc; unknown on systems without it.

use std::time::Duration;

/// Resolution of CPU time: USER_HZ is 100 on every Linux.
const TICK: Duration = Duration::from_millis(10);
/// Ticks of CPU time below which its error exceeds 2 %. Figures based on fewer are marked.
const MIN_TICKS: u32 = 50;

/// Whether a CPU time is too short to be exact: each of its readings is rounded down to a whole
/// tick.
#[must_use]
pub fn is_of_few_ticks(cpu: Duration, readings: usize) -> bool {
    let readings = u32::try_from(readings.max(1)).unwrap_or(u32::MAX);
    cpu < TICK.saturating_mul(MIN_TICKS.saturating_mul(readings))
}

/// CPU time and memory of a process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// User and system CPU time.
    pub cpu: Duration,
    /// Resident memory, in bytes.
    pub resident: u64,
}

/// Usage of a process; `None` if unknown. CPU time has a resolution of 10 ms.
#[must_use]
pub fn of(pid: u32) -> Option<Usage> {
    #[cfg(target_os = "linux")]
    {
        let stat = procfs::process::Process::new(i32::try_from(pid).ok()?).ok()?.stat().ok()?;
        let ticks = stat.utime + stat.stime;
        let cpu = Duration::from_secs_f64(ticks as f64 / procfs::ticks_per_second() as f64);
        Some(Usage { cpu, resident: stat.rss * procfs::page_size() })
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = pid;
        None
    }
}

/// Sum of the peak resident memory of these processes; `None` if there are none, or one is unknown.
#[must_use]
pub fn peak(pids: impl Iterator<Item = Option<u32>>) -> Option<u64> {
    pids.map(|pid| peak_of(pid?)).reduce(|one, other| Some(one? + other?)).flatten()
}

#[cfg(target_os = "linux")]
fn peak_of(pid: u32) -> Option<u64> {
    let status = procfs::process::Process::new(i32::try_from(pid).ok()?).ok()?.status().ok()?;
    Some(status.vmhwm? * 1_024)
}

#[cfg(not(target_os = "linux"))]
fn peak_of(_pid: u32) -> Option<u64> {
    None
}

/// Number of open files of a process; `None` if unknown.
#[must_use]
pub fn files(pid: u32) -> Option<usize> {
    #[cfg(target_os = "linux")]
    return procfs::process::Process::new(i32::try_from(pid).ok()?).ok()?.fd_count().ok();
    #[cfg(not(target_os = "linux"))]
    {
        let _ = pid;
        None
    }
}

/// Total usage of these processes; `None` if there are none, or one is unknown.
#[must_use]
pub fn sum(pids: impl Iterator<Item = Option<u32>>) -> Option<Usage> {
    let mut sum = None;
    for pid in pids {
        let (usage, before) = (of(pid?)?, sum.unwrap_or(Usage::default()));
        sum =
            Some(Usage { cpu: before.cpu + usage.cpu, resident: before.resident + usage.resident });
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_minimum_of_ticks_is_per_reading() {
        let few = |ms, readings| is_of_few_ticks(Duration::from_millis(ms), readings);
        assert_eq!([few(490, 1), few(500, 1), few(500, 0)], [true, false, false]);
        assert_eq!([few(27_990, 56), few(28_000, 56)], [true, false]);
    }
}
