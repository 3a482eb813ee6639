//! Linux sources: CPU times from `/proc/stat`, memory from `/proc/meminfo`.
//!
//! An unreadable file, a missing field or a decreasing counter is an error: no previous value is
//! reported again.

use std::path::Path;
use std::time::{Duration, Instant};

use super::host::{HostReader, Reading};
use super::node::files::KeptFile;
use super::{Cpu, Memory, SourceError};

/// Mount point of procfs.
const PROC: &str = "/proc";
/// Minimum time between two readings of the CPU times, which count ticks of 10 ms.
const MIN_INTERVAL: Duration = Duration::from_millis(200);
/// Fields of the `cpu` line that are counted. The two guest fields after them are already included
/// in `user` and `nice`.
const CPU_FIELDS: [&str; 8] =
    ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];
/// A CPU time may decrease by the total increase divided by this: iowait is not exact
/// (proc_stat(5)).
const NOISE_FRACTION: u64 = 100;
/// A CPU time may always decrease by this many ticks: in 200 ms two CPUs count only 40 ticks, so a
/// hundredth is less than a tick.
const NOISE_TICKS: u64 = 4;

/// CPU times of all CPUs since boot, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    busy: u64,
    /// Idle time and I/O wait.
    idle: u64,
}

/// Reads CPU usage. Keeps the times of the last reading.
pub(super) struct CpuReader {
    file: KeptFile,
    previous: Times,
    read_at: Instant,
}

impl CpuReader {
    /// Takes the first reading, the base of the next one.
    pub(super) fn new() -> Result<Self, SourceError> {
        Self::at(Path::new(PROC))
    }

    pub(super) fn at(proc: &Path) -> Result<Self, SourceError> {
        let mut file = KeptFile::shared(proc.join("stat"));
        let previous = read_parsed(&mut file, Times::parse)?;
        Ok(Self { file, previous, read_at: Instant::now() })
    }
}

impl HostReader for CpuReader {
    fn read(&mut self) -> Result<Reading, SourceError> {
        // Only the first sample waits. The other sources are read meanwhile.
        if let Some(remaining) = MIN_INTERVAL.checked_sub(self.read_at.elapsed()) {
            std::thread::sleep(remaining);
        }
        let now = read_parsed(&mut self.file, Times::parse)?;
        self.read_at = Instant::now();
        let previous = std::mem::replace(&mut self.previous, now);
        now.since(previous).map(Reading::Cpu).map_err(|cause| source_error(&self.file, cause))
    }
}

impl Times {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let line = line(text, "cpu")?;
        let mut numbers = line.split_ascii_whitespace();
        let (mut busy, mut idle) = (0_u64, 0_u64);
        for name in CPU_FIELDS {
            let number = numbers.next().ok_or_else(|| format!("cpu: {name} is missing"))?;
            let ticks: u64 = number.parse().map_err(|_| format!("cpu: {name} is not a number"))?;
            let sum = if matches!(name, "idle" | "iowait") { &mut idle } else { &mut busy };
            *sum = sum.checked_add(ticks).ok_or("cpu: the times overflow")?;
        }
        busy.checked_add(idle).ok_or("cpu: the times overflow")?;
        Ok(Self { busy, idle })
    }

    /// Returns the CPU usage since `before`.
    pub(super) fn since(self, before: Self) -> Result<Cpu, &'static str> {
        let total = (self.busy + self.idle).checked_sub(before.busy + before.idle);
        let total =
            total.filter(|total| *total > 0).ok_or("the total CPU time did not increase")?;
        let noise = (total / NOISE_FRACTION).max(NOISE_TICKS);
        let idle = rise(before.idle, self.idle, noise).ok_or("the idle CPU time decreased")?;
        let busy = rise(before.busy, self.busy, noise).ok_or("the busy CPU time decreased")?;
        let usage_ratio =
            super::ratio(busy, busy + idle).ok_or("the total CPU time did not increase")?;
        Ok(Cpu { usage_ratio })
    }
}

/// Returns the increase of a CPU time: 0 if it decreased by at most `noise`, `None` if by more.
fn rise(before: u64, now: u64, noise: u64) -> Option<u64> {
    (before.saturating_sub(now) <= noise).then(|| now.saturating_sub(before))
}

/// Reads memory usage.
pub(super) struct MemoryReader {
    file: KeptFile,
}

impl MemoryReader {
    #[expect(clippy::unnecessary_wraps, reason = "the portable version can fail")]
    pub(super) fn new() -> Result<Self, SourceError> {
        Ok(Self::at(Path::new(PROC)))
    }

    pub(super) fn at(proc: &Path) -> Self {
        Self { file: KeptFile::shared(proc.join("meminfo")) }
    }
}

impl HostReader for MemoryReader {
    fn read(&mut self) -> Result<Reading, SourceError> {
        read_parsed(&mut self.file, parse_memory).map(Reading::Memory)
    }
}

/// Parses `/proc/meminfo`.
fn parse_memory(text: &str) -> Result<Memory, String> {
    let bytes = |name: &str| {
        let kib = line(text, &format!("{name}:"))?.trim().strip_suffix(" kB");
        let bytes = kib.and_then(|kib| kib.parse::<u64>().ok()?.checked_mul(1024));
        bytes.ok_or_else(|| format!("{name} is not a number of kB"))
    };
    let memory = Memory { total: bytes("MemTotal")?, available: bytes("MemAvailable")? };
    if memory.total == 0 {
        return Err("MemTotal is 0".to_owned());
    }
    Ok(memory)
}

/// Reads a file and parses it.
fn read_parsed<T>(
    file: &mut KeptFile,
    parse: fn(&str) -> Result<T, String>,
) -> Result<T, SourceError> {
    parse(file.read()?).map_err(|cause| source_error(file, cause))
}

/// Returns the rest of the line that starts with `name`. A line without a line feed is incomplete
/// and ignored.
fn line<'a>(text: &'a str, name: &str) -> Result<&'a str, String> {
    let mut lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    let found = lines.find_map(|line| {
        line.strip_prefix(name).filter(|rest| rest.starts_with(char::is_whitespace))
    });
    found.ok_or_else(|| format!("{} is missing", name.trim_end_matches(':')))
}

fn source_error(file: &KeptFile, cause: impl std::fmt::Display) -> SourceError {
    SourceError::new(format_args!("{}: {cause}", file.path().display()))
}

#[cfg(test)]
#[path = "linux_tests.rs"]
mod tests;
