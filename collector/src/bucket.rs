//! What may happen how often: a bucket that leaks.

/// Everything that happens pours something in, and the bucket drains by itself. What is in it is measured in the time
/// that it takes to drain, so a bucket is one moment and nothing else. The unit of time is its user's, fine enough for
/// the least that is poured in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bucket {
    empty_at: u64,
}

impl Bucket {
    /// What is in it.
    #[must_use]
    pub fn level(self, now: u64) -> u64 {
        self.empty_at.saturating_sub(now)
    }

    /// Pours so much in; what is in it then.
    pub fn pour(&mut self, now: u64, amount: u64) -> u64 {
        let level = self.level(now).saturating_add(amount);
        self.empty_at = now.saturating_add(level);
        level
    }

    /// Pours so much in if then there are no more than `most` in it; whether it did.
    #[must_use]
    pub fn try_pour(&mut self, now: u64, amount: u64, most: u64) -> bool {
        let fits = self.level(now).saturating_add(amount) <= most;
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
        let mut bucket = Bucket::default();
        let taken = |bucket: &mut Bucket, now| {
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
        let mut bucket = Bucket::default();
        assert_eq!(bucket.pour(10, 300), 300);
        assert_eq!(bucket.pour(110, 300), 500);
        assert_eq!((bucket.level(110), bucket.level(600), bucket.level(700)), (500, 10, 0));
    }
}
