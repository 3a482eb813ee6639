//! Retry delays of agents that got no handshake permit, for example after a collector restart.
//!
//! A retry slot is a time at which one agent reconnects. Agents get successive slots in order of
//! arrival. Slots are spaced by the measured handshake rate, so a fleet reconnects as fast as the
//! collector can accept it.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::{MICROS, Millis};

/// Assumed handshakes per second before the first measurement. One core can do more. If it is too
/// low, agents wait longer than necessary; if it is too high, they are refused again.
const INITIAL_RATE: u64 = 5_000;
/// Minimum and maximum of the estimated rate, in handshakes per second.
const MIN_RATE: u64 = 100;
const MAX_RATE: u64 = 100_000;
/// Percentage of the handshake rate that is given to retry slots; the rest serves agents without a
/// slot.
const SLOT_SHARE: u64 = 90;
/// Minimum retry delay, in milliseconds: time for the handshakes in progress to finish.
const MIN_DELAY: Millis = 1_000;
/// Maximum retry delay, in milliseconds. Agents that would have to wait longer get slots between
/// half of it and all of it.
const MAX_DELAY: Millis = 60_000;

/// Assigns retry slots to agents that got no handshake permit.
#[derive(Debug)]
pub struct RetryPacer {
    /// Time of the next free slot, in microseconds of the collector's clock.
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

    /// Assigns a retry slot to an agent that got no permit. Returns the retry delay in
    /// milliseconds.
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

    /// Returns the time in which a collector like this one can accept `agents`, in milliseconds.
    pub fn time_for(&self, agents: usize) -> Millis {
        (agents as u64).saturating_mul(1_000 * 100) / (self.rate() * SLOT_SHARE)
    }

    /// Returns the time until the next free slot, in milliseconds; 0 if no agent waits.
    pub fn queue(&self, now: Millis) -> Millis {
        (self.next.load(Ordering::Relaxed) / MICROS).saturating_sub(now)
    }

    /// Updates the estimated rate; `elapsed` is the time since the last call, in milliseconds.
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

    fn delays(pacer: &RetryPacer, now: Millis, agents: usize) -> Vec<Millis> {
        (0..agents).map(|_| pacer.retry_slot(now)).collect()
    }

    #[test]
    fn retries_are_spread_at_the_estimated_rate() {
        let pacer = RetryPacer::default();
        let delays = delays(&pacer, 7_000, 15_000);
        assert_eq!(delays[0], MIN_DELAY);
        assert!(delays.is_sorted());
        // 15,000 agents at 90 % of 5,000 per second.
        assert_eq!((delays[14_999] - MIN_DELAY) / 100, 33);
    }

    #[test]
    fn slots_continue_behind_the_last_one_until_it_has_passed() {
        let pacer = RetryPacer::default();
        let first = delays(&pacer, 0, 9_000);
        assert_eq!(*first.last().unwrap() / 100, 29);
        assert_eq!(pacer.retry_slot(1_000), 1_998, "behind the slots assigned before");
        assert_eq!(pacer.retry_slot(60_000), MIN_DELAY);
    }

    #[test]
    fn slots_of_a_slow_collector_are_further_apart() {
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
    fn time_for_a_fleet_follows_from_the_rate() {
        let pacer = RetryPacer::default();
        assert_eq!((pacer.time_for(0), pacer.time_for(9_000)), (0, 2_000));
    }

    #[test]
    fn rate_is_not_measured_without_refusals() {
        let pacer = RetryPacer::default();
        pacer.finished();
        pacer.learn(1_000);
        assert_eq!(pacer.rate(), INITIAL_RATE);
    }

    #[test]
    fn delays_of_a_huge_fleet_stay_within_a_minute_and_do_not_coincide() {
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
