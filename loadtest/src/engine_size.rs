//! Memory of the engine of `forward`, which keeps all samples.

use fleetgauge_receiver::{Detail, Limits};

/// Samples from which on the engine keeps hashes of values instead of values.
const MAX_EXACT_SAMPLES: u64 = 100_000_000;
/// Memory of a series without its samples, in bytes: its labels and its place in a table.
const SERIES_BYTES: u64 = 350;
/// Memory of a sample with its value, in bytes, as measured: series that grow together fragment the
/// memory.
const VALUE_BYTES: u64 = 28;
/// Memory of a sample with a hash of its value, in bytes.
const HASH_BYTES: u64 = 9;
/// Ratio of the limit on samples to those that are expected.
const LIMIT_MARGIN: u64 = 3;

/// What the engine of `forward` has to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineSize {
    /// Number of series.
    pub series: u64,
    /// Number of samples of a series.
    pub reports: u32,
    /// Whether hashes of values are enough in any case.
    pub is_hashed: bool,
}

impl EngineSize {
    /// Number of samples.
    const fn samples(self) -> u64 {
        self.series.saturating_mul(self.reports as u64)
    }

    const fn is_hashed(self) -> bool {
        self.is_hashed || self.samples() > MAX_EXACT_SAMPLES
    }

    /// Estimated memory, in bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        let sample = if self.is_hashed() { HASH_BYTES } else { VALUE_BYTES };
        let samples = self.samples().saturating_mul(sample);
        samples.saturating_add(self.series.saturating_mul(SERIES_BYTES))
    }

    /// Limits of a ledger of this size.
    #[must_use]
    pub fn limits(self) -> Limits {
        let limits = Limits::default();
        let capacity = usize::try_from(self.reports).unwrap_or(usize::MAX);
        let detail = if self.is_hashed() { Detail::Hashes { capacity } } else { Detail::Values };
        let samples = limits.samples.max(self.samples().saturating_mul(LIMIT_MARGIN));
        // With row churn a host has other series later.
        let series = usize::try_from(self.series.saturating_mul(LIMIT_MARGIN));
        let series = limits.series.max(series.unwrap_or(usize::MAX));
        Limits { series, samples, detail, ..limits }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hour_of_5000_hosts_of_500_series_fits_in_8_gib() {
        let size = EngineSize { series: 5_000 * 500, reports: 252, is_hashed: true };
        assert!(size.bytes() < 8 << 30, "{}", size.bytes());
        assert_eq!(size.limits().detail, Detail::Hashes { capacity: 252 });
    }

    #[test]
    fn small_fleets_keep_values() {
        let size = EngineSize { series: 20 * 7, reports: 100, is_hashed: false };
        assert_eq!(size.limits().detail, Detail::Values);
        let long = EngineSize { reports: 1_000_000, ..size };
        assert_eq!(long.limits().detail, Detail::Hashes { capacity: 1_000_000 });
        assert!(long.limits().samples > 140 * 1_000_000);
    }
}
