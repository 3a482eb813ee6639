//! Systems other than Linux: CPU times and memory by the crate sysinfo.

use std::time::Instant;

use sysinfo::{CpuRefreshKind, MINIMUM_CPU_UPDATE_INTERVAL, MemoryRefreshKind, System};

use super::{Cpu, Memory, Reading, Source, SourceError};

/// Keeps the counters of the last reading.
pub(super) struct CpuSource {
    system: System,
    refreshed: Instant,
}

impl CpuSource {
    /// Takes the first reading, which the next is compared with.
    pub(super) fn new() -> Result<Self, SourceError> {
        let mut system = System::new().map_err(SourceError::new)?;
        system.refresh_cpu_specifics(CpuRefreshKind::nothing().with_usage());
        Ok(Self { system, refreshed: Instant::now() })
    }
}

impl Source for CpuSource {
    fn read(&mut self) -> Result<Reading, SourceError> {
        // sysinfo gives its old number again to those who ask sooner: the first sample after the
        // start waits, on this source's own thread.
        let since = self.refreshed.elapsed();
        if let Some(early) = MINIMUM_CPU_UPDATE_INTERVAL.checked_sub(since) {
            std::thread::sleep(early);
        }
        self.system.refresh_cpu_specifics(CpuRefreshKind::nothing().with_usage());
        self.refreshed = Instant::now();
        if self.system.cpus().is_empty() {
            return Err(SourceError::new("the system shows no CPU times"));
        }
        Cpu::from_percent(self.system.global_cpu_usage()).map(Reading::Cpu)
    }
}

/// Reads the memory.
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
            return Err(SourceError::new("the system shows no memory"));
        }
        Ok(Reading::Memory(memory))
    }
}
