//! Retry delays of agents that get no handshake permit, as after a restart of the collector.
//!
//! Each agent gets a retry slot behind the one before, at the rate at which handshakes finish. So a
//! fleet reconnects as fast as the collector takes it, first come, first served.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::{MICROS, Millis};

/// Assumed handshakes per second before the first measurement: a fraction of what one core does, so
/// that an error costs a second retry and not an overload.
const INITIAL_RATE: u64 = 5_000;
/// Range of the estimated rate, in handshakes per second.
const MIN_RATE: u64 = 100;
const MAX_RATE: u64 = 100_000;
/// Share of the rate that retry slots use, in percent: the rest is for agents without a slot.
const SLOT_SHARE: u64 = 90;
/// Minimum delay: by then the running handshakes have finished.
const MIN_DELAY: Millis = 1_000;
/// Maximum delay; the last agents of a larger fleet are spread over its second half.
const MAX_DELAY: Millis = 60_000;

/// Assigns retry slots.
#[derive(Debug)]
pub struct RetryPacer {
    /// The next free slot, in microseconds of the collector's clock.
    next: AtomicU64,
    /// Estimated handshakes per second.
    rate: AtomicU64,
    finished: AtomicU64,
    refused: AtomicU64,
}

impl Default for RetryPacer {
    fn default() -> Self {
        Self {
            next: AtomicU64::new(0),
            rate: AtomicU64::new(INITIAL_RATE),
            finished: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }
}

impl RetryPacer {
    /// Records a finished handshake: a first report.
    pub fn finished(&self) {
        self.finished.fetch_add(1, Ordering::Relaxed);
    }

    /// Assigns a retry slot to an agent that got no permit. Returns the delay in milliseconds.
    pub fn retry_slot(&self, now: Millis) -> Millis {
        self.refused.fetch_add(1, Ordering::Relaxed);
        let between = 1_000 * MICROS * 100 / (self.rate() * SLOT_SHARE);
        let earliest = (now + MIN_DELAY) * MICROS;
        let latest = (now + MAX_DELAY) * MICROS;
        let take = |slot: u64| {
            let next = slot.max(earliest) + between;
            Some(if next <= latest { next } else { (now + MAX_DELAY / 2) * MICROS })
        };
        let taken = self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        let slot = taken.unwrap_or_else(|slot| slot).clamp(earliest, latest);
        slot / MICROS - now
    }

    /// Returns the delay until the next free slot, in milliseconds; 0 without a queue.
    pub fn queue(&self, now: Millis) -> Millis {
        (self.next.load(Ordering::Relaxed) / MICROS).saturating_sub(now)
    }

    /// Updates the estimated rate from the handshakes in the `elapsed` time since the last call.
    pub fn learn(&self, elapsed: Millis) {
        let finished = self.finished.swap(0, Ordering::Relaxed);
        // Without refusals the collector was not saturated, and its rate says nothing.
        if self.refused.swap(0, Ordering::Relaxed) == 0 || elapsed == 0 {
            return;
        }
        let measured = finished * 1_000 / elapsed;
        let rate = (self.rate() + measured) / 2;
        self.rate.store(rate.clamp(MIN_RATE, MAX_RATE), Ordering::Relaxed);
    }

    /// Returns the estimated handshakes per second.
    pub fn rate(&self) -> u64 {
        self.rate.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delays(pacer: &RetryPacer, now: Millis, herd: usize) -> Vec<Millis> {
        (0..herd).map(|_| pacer.retry_slot(now)).collect()
    }

    #[test]
    fn a_herd_is_spread_at_the_speed_at_which_it_is_taken() {
        let pacer = RetryPacer::default();
        let delays = delays(&pacer, 7_000, 15_000);
        assert_eq!(delays[0], MIN_DELAY);
        assert!(delays.is_sorted());
        // 15,000 at nine tenths of 5,000 a second.
        assert_eq!((delays[14_999] - MIN_DELAY) / 100, 33);
    }

    #[test]
    fn the_queue_goes_on_where_it_ended_and_is_forgotten_once_it_is_over() {
        let pacer = RetryPacer::default();
        let first = delays(&pacer, 0, 9_000);
        assert_eq!(*first.last().unwrap() / 100, 29);
        assert_eq!(
            pacer.retry_slot(1_000),
            1_998,
            "the next one comes after those who were told before"
        );
        assert_eq!(pacer.retry_slot(60_000), MIN_DELAY);
    }

    #[test]
    fn a_slow_collector_gives_turns_further_apart() {
        let pacer = RetryPacer::default();
        for second in 0..20 {
            pacer.retry_slot(second * 1_000);
            (0..200).for_each(|_| pacer.finished());
            pacer.learn(1_000);
        }
        assert_eq!(pacer.rate(), 200);
        let delays = delays(&pacer, 100_000, 181);
        assert_eq!(delays[180] - delays[0], 999, "180 a second");
    }

    #[test]
    fn a_collector_that_refuses_nobody_shows_nothing_of_its_speed() {
        let pacer = RetryPacer::default();
        pacer.finished();
        pacer.learn(1_000);
        assert_eq!(pacer.rate(), INITIAL_RATE);
    }

    #[test]
    fn nobody_waits_longer_than_a_minute_nor_all_of_a_huge_herd_to_the_same_moment() {
        let pacer = RetryPacer::default();
        let delays = delays(&pacer, 0, 1_000_000);
        assert!(delays.iter().all(|delay| (MIN_DELAY..=MAX_DELAY).contains(delay)));
        let mut seconds = [0; 61];
        for delay in delays {
            seconds[usize::try_from(delay / 1_000).unwrap()] += 1;
        }
        assert!(seconds.iter().all(|&agents| agents < 50_000), "{seconds:?}");
    }
}
