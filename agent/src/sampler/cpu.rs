//! The CPU usage type: usage since the previous sample. Its sources are in `linux.rs` and
//! `portable.rs`.

use super::SourceError;

/// CPU usage since the previous reading.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cpu {
    /// Share of time that was not idle since the previous reading, over all CPUs; 0 to 1. Steal
    /// time counts as busy, I/O wait as idle.
    pub usage_ratio: f64,
}

impl Cpu {
    /// Creates CPU usage from a percentage that sysinfo returned.
    ///
    /// # Errors
    /// The percentage is not finite.
    pub fn from_percent(percent: f32) -> Result<Self, SourceError> {
        if !percent.is_finite() {
            return Err(SourceError::new("the CPU usage is not a number"));
        }
        Ok(Self { usage_ratio: (f64::from(percent) / 100.0).clamp(0.0, 1.0) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_is_converted_to_a_ratio() {
        assert_eq!(Cpu::from_percent(12.5).unwrap().usage_ratio, 0.125);
        assert_eq!(Cpu::from_percent(100.0).unwrap().usage_ratio, 1.0);
    }

    #[test]
    fn ratio_is_clamped_to_0_and_1() {
        assert_eq!(Cpu::from_percent(100.000_01).unwrap().usage_ratio, 1.0);
        assert_eq!(Cpu::from_percent(-0.0).unwrap().usage_ratio, 0.0);
    }

    #[test]
    fn usage_that_is_not_finite_is_an_error() {
        Cpu::from_percent(f32::NAN).unwrap_err();
        Cpu::from_percent(f32::INFINITY).unwrap_err();
    }
}
