//! Rate limits: a leaky bucket.

/// A leaky bucket. Its level is measured in the time that it takes to drain, so one timestamp is
/// all of its state. The caller chooses the unit of time, fine enough for the smallest amount
/// poured in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeakyBucket {
    empty_at: u64,
}

impl LeakyBucket {
    /// Returns the level.
    #[must_use]
    pub fn level(self, now: u64) -> u64 {
        self.empty_at.saturating_sub(now)
    }

    /// Adds `amount` and returns the new level.
    pub fn pour(&mut self, now: u64, amount: u64) -> u64 {
        let level = self.level(now).saturating_add(amount);
        self.empty_at = now.saturating_add(level);
        level
    }

    /// Adds `amount` if the level stays at or below `capacity`. Returns whether it did.
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
    fn it_takes_a_burst_and_then_what_drains() {
        let mut bucket = LeakyBucket::default();
        let taken = |bucket: &mut LeakyBucket, now| {
            std::iter::from_fn(|| bucket.try_pour(now, 200, 1_000).then_some(())).count()
        };
        assert_eq!(taken(&mut bucket, 50), 5);
        assert_eq!(taken(&mut bucket, 249), 0);
        assert_eq!(taken(&mut bucket, 250), 1);
        assert_eq!(
            taken(&mut bucket, 100_000),
            5,
            "it does not save up for longer than it is deep"
        );
    }

    #[test]
    fn what_is_poured_in_by_force_drains_all_the_same() {
        let mut bucket = LeakyBucket::default();
        assert_eq!(bucket.pour(10, 300), 300);
        assert_eq!(bucket.pour(110, 300), 500);
        assert_eq!((bucket.level(110), bucket.level(600), bucket.level(700)), (500, 10, 0));
    }
}
