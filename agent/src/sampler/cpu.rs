//! CPU: how busy the host was since the sample before.

use std::time::Instant;

use sysinfo::{CpuRefreshKind, MINIMUM_CPU_UPDATE_INTERVAL, System};

use super::{Reading, Source, SourceError};

/// What was read of the CPUs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cpu {
    /// Share of all CPUs' time that was not idle since the reading before; 0 to 1. Time that a hypervisor
    /// took away counts as not idle, waiting for disks counts as idle.
    pub usage_ratio: f64,
}

impl Cpu {
    /// From sysinfo's percentage.
    ///
    /// # Errors
    /// When there is no usable number.
    pub fn from_percent(percent: f32) -> Result<Self, SourceError> {
        if !percent.is_finite() {
            return Err(SourceError::new("the system's CPU times make no sense"));
        }
        Ok(Self { usage_ratio: (f64::from(percent) / 100.0).clamp(0.0, 1.0) })
    }
}

/// Keeps the counters of the last reading.
pub(super) struct CpuSource {
    system: System,
    refreshed: Instant,
}

impl CpuSource {
    /// Takes the first look, which the first reading is compared with.
    pub(super) fn new() -> Result<Self, SourceError> {
        let mut system = System::new().map_err(SourceError::new)?;
        system.refresh_cpu_specifics(CpuRefreshKind::nothing().with_usage());
        Ok(Self { system, refreshed: Instant::now() })
    }
}

impl Source for CpuSource {
    fn read(&mut self) -> Result<Reading, SourceError> {
        // Two looks closer than this give sysinfo's old number again: the first sample after the start
        // waits, on this source's own thread.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_becomes_a_ratio() {
        assert_eq!(Cpu::from_percent(12.5).unwrap().usage_ratio, 0.125);
        assert_eq!(Cpu::from_percent(100.0).unwrap().usage_ratio, 1.0);
    }

    #[test]
    fn rounding_never_leaves_the_range() {
        assert_eq!(Cpu::from_percent(100.000_01).unwrap().usage_ratio, 1.0);
        assert_eq!(Cpu::from_percent(-0.0).unwrap().usage_ratio, 0.0);
    }

    #[test]
    fn nonsense_is_an_error_not_a_value() {
        Cpu::from_percent(f32::NAN).unwrap_err();
        Cpu::from_percent(f32::INFINITY).unwrap_err();
    }

    #[test]
    fn the_first_reading_covers_time_enough() {
        let mut source = CpuSource::new().unwrap();
        let first_look = source.refreshed;
        let Reading::Cpu(cpu) = source.read().unwrap() else { panic!("not a CPU reading") };
        assert!((0.0..=1.0).contains(&cpu.usage_ratio), "{cpu:?}");
        assert!(source.refreshed - first_look >= MINIMUM_CPU_UPDATE_INTERVAL);
    }
}
