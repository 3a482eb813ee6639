//! Memory: how much the system manages and how much of it new work could have.

/// What was read of the memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Memory that the system manages: `MemTotal` on Linux.
    pub total: u64,
    /// What new work could have without swapping: `MemAvailable` on Linux.
    pub available: u64,
}

impl Memory {
    /// Total - available, in bytes: the `used` of free(1) since procps 4.
    #[must_use]
    pub const fn used(&self) -> u64 {
        self.total.saturating_sub(self.available)
    }

    /// Used / total, 0 to 1; `None` of a host without memory.
    #[must_use]
    pub fn usage_ratio(&self) -> Option<f64> {
        super::ratio(self.used(), self.total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::fixture;

    /// `/proc/meminfo` and `free -b` of one moment on each of several hosts.
    #[test]
    fn agrees_with_free() {
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
    fn the_ratio_is_used_of_total() {
        let memory = Memory { total: 16_000, available: 4_000 };
        assert_eq!(memory.usage_ratio(), Some(0.75));
    }

    #[test]
    fn strange_numbers_stay_in_range() {
        assert_eq!(Memory { total: 0, available: 0 }.usage_ratio(), None);
        assert_eq!(Memory { total: 10, available: 11 }.usage_ratio(), Some(0.0));
    }
}
