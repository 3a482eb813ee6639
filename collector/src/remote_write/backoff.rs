//! Delays between attempts to send a request.

use std::time::Duration;

/// First delay, as that of Prometheus.
const FIRST: Duration = Duration::from_millis(30);
/// Maximum delay while the engine is away, as that of Prometheus.
const MAX: Duration = Duration::from_secs(5);
/// Delay after an answer that only the operator can change, such as 401 or 404.
const AFTER_FAILURE: Duration = Duration::from_secs(30);

/// Doubles the delay at each failed attempt, with random jitter.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: FIRST }
    }
}

impl Backoff {
    /// Returns the next delay. `least` is what the engine asks for (Retry-After).
    pub(super) fn next(&mut self, least: Option<Duration>) -> Duration {
        let delay = self.next;
        self.next = (2 * self.next).min(MAX);
        jitter(delay).max(least.unwrap_or_default())
    }

    /// Returns the delay after an answer that only the operator can change.
    pub(super) fn after_failure() -> Duration {
        jitter(AFTER_FAILURE)
    }
}

/// Returns a random duration between half of the delay and the delay.
fn jitter(delay: Duration) -> Duration {
    delay.mul_f64(0.5 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_their_maximum() {
        let mut backoff = Backoff::default();
        let delays: Vec<_> = (0..20).map(|_| backoff.next(None)).collect();
        assert!(delays[0] >= FIRST / 2 && delays[0] <= FIRST);
        assert!(delays.iter().all(|delay| *delay <= MAX));
        assert!(delays[19] >= MAX / 2);
    }

    #[test]
    fn engine_that_asks_for_time_gets_it() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.next(Some(Duration::from_secs(60))), Duration::from_secs(60));
    }
}
