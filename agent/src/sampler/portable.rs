//! Sources for other systems than Linux, with the crate sysinfo.

use std::time::Instant;

use sysinfo::{CpuRefreshKind, MINIMUM_CPU_UPDATE_INTERVAL, MemoryRefreshKind, System};

use super::host::{HostReader, Reading};
use super::{Cpu, Memory, SourceError};

/// Reads CPU usage. Keeps the counters of the last reading.
pub(super) struct CpuReader {
    system: System,
    refreshed: Instant,
}

impl CpuReader {
    /// Takes the first reading, the base of the next one.
    pub(super) fn new() -> Result<Self, SourceError> {
        let mut system = System::new().map_err(SourceError::new)?;
        system.refresh_cpu_specifics(CpuRefreshKind::nothing().with_usage());
        Ok(Self { system, refreshed: Instant::now() })
    }
}

impl HostReader for CpuReader {
    fn read(&mut self) -> Result<Reading, SourceError> {
        // sysinfo repeats the last value within this interval. Only the first sample waits. The
        // other sources are read meanwhile.
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
pub(super) struct MemoryReader {
    system: System,
}

impl MemoryReader {
    pub(super) fn new() -> Result<Self, SourceError> {
        Ok(Self { system: System::new().map_err(SourceError::new)? })
    }
}

impl HostReader for MemoryReader {
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
