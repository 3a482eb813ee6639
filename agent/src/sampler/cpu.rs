//! CPU: how busy the host was since the sample before.

use super::SourceError;

/// What was read of the CPUs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cpu {
    /// Share of all CPUs' time that was not idle since the reading before; 0 to 1. Time that a
    /// hypervisor took away counts as not idle, waiting for disks counts as idle.
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
}
