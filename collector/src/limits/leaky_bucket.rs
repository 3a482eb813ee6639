//! A leaky bucket, the base of all rate limits.

/// A leaky bucket. Its level is the time that it takes to drain, so its only state is the time at
/// which it will be empty. The caller chooses the unit of time, fine enough for the smallest amount
/// poured in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeakyBucket {
    empty_at: u64,
}

impl LeakyBucket {
    /// Returns the level at time `now`.
    #[must_use]
    pub fn level(self, now: u64) -> u64 {
        self.empty_at.saturating_sub(now)
    }

    /// Adds `amount` at time `now` and returns the new level.
    pub fn pour(&mut self, now: u64, amount: u64) -> u64 {
        let level = self.level(now).saturating_add(amount);
        self.empty_at = now.saturating_add(level);
        level
    }

    /// Adds `amount` if the level then is at most `capacity`. Returns whether `amount` was added.
    #[must_use]
    pub fn try_pour(&mut self, now: u64, amount: u64, capacity: u64) -> bool {
        let fits = self.level(now).saturating_add(amount) <= capacity;
        if fits {
            self.pour(now, amount);
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_accepts_a_burst_and_then_the_drain_rate() {
        let mut bucket = LeakyBucket::default();
        let taken = |bucket: &mut LeakyBucket, now| {
            std::iter::from_fn(|| bucket.try_pour(now, 200, 1_000).then_some(())).count()
        };
        assert_eq!(taken(&mut bucket, 50), 5);
        assert_eq!(taken(&mut bucket, 249), 0);
        assert_eq!(taken(&mut bucket, 250), 1);
        assert_eq!(taken(&mut bucket, 100_000), 5, "unused time beyond the capacity is lost");
    }

    #[test]
    fn poured_amounts_may_exceed_the_capacity_and_drain() {
        let mut bucket = LeakyBucket::default();
        assert_eq!(bucket.pour(10, 300), 300);
        assert_eq!(bucket.pour(110, 300), 500);
        assert_eq!((bucket.level(110), bucket.level(600), bucket.level(700)), (500, 10, 0));
    }
}
