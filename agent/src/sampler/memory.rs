//! The memory usage type. Its sources are in `linux.rs` and `portable.rs`.

/// Memory usage, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Total memory: `MemTotal` on Linux.
    pub total: u64,
    /// Memory available to new workloads without swapping: `MemAvailable` on Linux.
    pub available: u64,
}

impl Memory {
    /// Returns total - available, in bytes: `used` of free(1) since procps 4.
    #[must_use]
    pub const fn used(&self) -> u64 {
        self.total.saturating_sub(self.available)
    }

    /// Returns used / total, 0 to 1; `None` if the total is 0.
    #[must_use]
    pub fn usage_ratio(&self) -> Option<f64> {
        super::ratio(self.used(), self.total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::fixture;

    /// The fixture has `/proc/meminfo` and the output of `free -b` of several hosts.
    #[test]
    fn usage_matches_free() {
        for host in fixture::rows(include_str!("fixtures/memory.txt")) {
            let memory = Memory {
                total: host["MemTotal_kB"] * 1024,
                available: host["MemAvailable_kB"] * 1024,
            };
            assert_eq!(memory.total, host["free_total"]);
            assert_eq!(memory.available, host["free_available"]);
            assert_eq!(memory.used(), host["free_used"]);
        }
    }

    #[test]
    fn ratio_is_used_divided_by_total() {
        let memory = Memory { total: 16_000, available: 4_000 };
        assert_eq!(memory.usage_ratio(), Some(0.75));
    }

    #[test]
    fn inconsistent_values_stay_in_range() {
        assert_eq!(Memory { total: 0, available: 0 }.usage_ratio(), None);
        assert_eq!(Memory { total: 10, available: 11 }.usage_ratio(), Some(0.0));
    }
}
