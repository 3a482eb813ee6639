//! Linux: CPU times from `/proc/stat`, memory from `/proc/meminfo`.
//!
//! Each reading opens its file. A file that cannot be read, a field that is missing and a counter
//! that went back are errors, so no earlier value is reported again.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{Cpu, Memory, Reading, Source, SourceError};

/// Where the kernel shows its counters.
const PROC: &str = "/proc";
/// Most bytes read of a file. The fields are in its first lines, and `/proc/stat` has a number for
/// each interrupt.
const MAX_BYTES: u64 = 8 * 1024;
/// Shortest time between two readings of the CPU times, which count in ticks of 10 ms.
const MIN_APART: Duration = Duration::from_millis(200);
/// Fields of the CPU times. Two more follow, for guests, which are part of the first two.
const CPU_FIELDS: [&str; 8] =
    ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];
/// A time may go back by this part of the total's rise: iowait is not exact (proc_stat(5)).
const NOISE_PART: u64 = 100;
/// A time may go back by so many ticks however little the total rose: two CPUs count 40 in 200 ms.
const NOISE_TICKS: u64 = 4;

/// All CPUs' times since the boot, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Times {
    busy: u64,
    /// Idle, or waiting for disks.
    idle: u64,
}

/// Keeps the times of the last reading.
pub(super) struct CpuSource {
    path: PathBuf,
    before: Times,
    read: Instant,
}

impl CpuSource {
    /// Takes the first reading, which the next is compared with.
    pub(super) fn new() -> Result<Self, SourceError> {
        Self::at(Path::new(PROC))
    }

    pub(super) fn at(proc: &Path) -> Result<Self, SourceError> {
        let path = proc.join("stat");
        let before = parsed(&path, Times::parse)?;
        Ok(Self { path, before, read: Instant::now() })
    }
}

impl Source for CpuSource {
    fn read(&mut self) -> Result<Reading, SourceError> {
        // The first sample after the start waits, on this source's own thread.
        if let Some(early) = MIN_APART.checked_sub(self.read.elapsed()) {
            std::thread::sleep(early);
        }
        let now = parsed(&self.path, Times::parse)?;
        self.read = Instant::now();
        let before = std::mem::replace(&mut self.before, now);
        now.since(before).map(Reading::Cpu).map_err(|why| problem(&self.path, why))
    }
}

impl Times {
    fn parse(text: &str) -> Result<Self, String> {
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

    /// How busy the CPUs were since `before`.
    fn since(self, before: Self) -> Result<Cpu, &'static str> {
        let total = (self.busy + self.idle).checked_sub(before.busy + before.idle);
        let total = total.filter(|total| *total > 0).ok_or("the total CPU time did not rise")?;
        let noise = (total / NOISE_PART).max(NOISE_TICKS);
        let idle = rise(before.idle, self.idle, noise).ok_or("the idle CPU time went back")?;
        let busy = rise(before.busy, self.busy, noise).ok_or("the busy CPU time went back")?;
        let usage_ratio =
            super::ratio(busy, busy + idle).ok_or("the total CPU time did not rise")?;
        Ok(Cpu { usage_ratio })
    }
}

/// How far a time rose, 0 if it went back by no more than `noise`.
fn rise(before: u64, now: u64, noise: u64) -> Option<u64> {
    (before.saturating_sub(now) <= noise).then(|| now.saturating_sub(before))
}

/// Keeps nothing.
pub(super) struct MemorySource {
    path: PathBuf,
}

impl MemorySource {
    #[expect(clippy::unnecessary_wraps, reason = "the one for other systems can fail")]
    pub(super) fn new() -> Result<Self, SourceError> {
        Ok(Self::at(Path::new(PROC)))
    }

    pub(super) fn at(proc: &Path) -> Self {
        Self { path: proc.join("meminfo") }
    }
}

impl Source for MemorySource {
    fn read(&mut self) -> Result<Reading, SourceError> {
        parsed(&self.path, memory).map(Reading::Memory)
    }
}

fn memory(text: &str) -> Result<Memory, String> {
    let bytes = |name: &str| {
        let kib = line(text, name)?.trim().strip_suffix(" kB");
        let bytes = kib.and_then(|kib| kib.parse::<u64>().ok()?.checked_mul(1024));
        bytes.ok_or_else(|| format!("{name} is not a number of kB"))
    };
    let memory = Memory { total: bytes("MemTotal:")?, available: bytes("MemAvailable:")? };
    if memory.total == 0 {
        return Err("MemTotal: is 0".to_owned());
    }
    Ok(memory)
}

/// What `parse` makes of the file's beginning.
fn parsed<T>(path: &Path, parse: fn(&str) -> Result<T, String>) -> Result<T, SourceError> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text));
    read.map_err(|error| problem(path, error))?;
    parse(&text).map_err(|why| problem(path, why))
}

/// What follows `name` on its line. A line without an end was cut short, and with it a number.
fn line<'a>(text: &'a str, name: &str) -> Result<&'a str, String> {
    let mut lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    let found = lines.find_map(|line| {
        line.strip_prefix(name).filter(|rest| rest.starts_with(char::is_whitespace))
    });
    found.ok_or_else(|| format!("{name} is missing"))
}

fn problem(path: &Path, why: impl std::fmt::Display) -> SourceError {
    SourceError::new(format!("{}: {why}", path.display()))
}

#[cfg(test)]
#[path = "linux_tests.rs"]
mod tests;
