//! Sources for other systems than Linux, with the crate sysinfo.

use std::time::Instant;

use sysinfo::{CpuRefreshKind, MINIMUM_CPU_UPDATE_INTERVAL, MemoryRefreshKind, System};

use super::{Cpu, Memory, Reading, Source, SourceError};

/// Reads CPU usage. Keeps the counters of the last reading.
pub(super) struct CpuSource {
    system: System,
    refreshed: Instant,
}

impl CpuSource {
    /// Takes the first reading: the next one returns the usage since then.
    pub(super) fn new() -> Result<Self, SourceError> {
        let mut system = System::new().map_err(SourceError::new)?;
        system.refresh_cpu_specifics(CpuRefreshKind::nothing().with_usage());
        Ok(Self { system, refreshed: Instant::now() })
    }
}

impl Source for CpuSource {
    fn read(&mut self) -> Result<Reading, SourceError> {
        // sysinfo repeats the last value within this interval. Only the first sample waits, on this
        // source's own thread.
        let elapsed = self.refreshed.elapsed();
        if let Some(remaining) = MINIMUM_CPU_UPDATE_INTERVAL.checked_sub(elapsed) {
            std::thread::sleep(remaining);
        }
        self.system.refresh_cpu_specifics(CpuRefreshKind::nothing().with_usage());
        self.refreshed = Instant::now();
        if self.system.cpus().is_empty() {
            return Err(SourceError::new("the system reports no CPU times"));
        }
        Cpu::from_percent(self.system.global_cpu_usage()).map(Reading::Cpu)
    }
}

/// Reads memory usage.
pub(super) struct MemorySource {
    system: System,
}

impl MemorySource {
    pub(super) fn new() -> Result<Self, SourceError> {
        Ok(Self { system: System::new().map_err(SourceError::new)? })
    }
}

impl Source for MemorySource {
    fn read(&mut self) -> Result<Reading, SourceError> {
        self.system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
        let memory =
            Memory { total: self.system.total_memory(), available: self.system.available_memory() };
        if memory.total == 0 {
            return Err(SourceError::new("the system reports no memory"));
        }
        Ok(Reading::Memory(memory))
    }
}
