//! When those who find no room among the handshakes are to come again.
//!
//! Each is given a turn of its own, one behind the other, at the speed at which handshakes are being finished. So a
//! herd comes back as fast as it is taken and no faster, whatever its size, and whoever was sent away first
//! returns first.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::{MICROS, Millis};

/// Handshakes a second that are expected of a collector until it has shown what it can do: a fraction of what one core
/// takes, so that a wrong guess costs a second round and no crowd.
const FIRST_GUESS: u64 = 5_000;
/// Bounds of what is believed of its speed, in handshakes a second.
const SLOWEST: u64 = 100;
const FASTEST: u64 = 100_000;
/// Of its speed so much is promised to those who were sent away, in percent: the rest is for those who come unasked.
const PROMISED: u64 = 90;
/// Nobody is told to come sooner: by then the handshakes that are under way have made room.
const SOONEST: Millis = 1_000;
/// Nobody is told to come later; the last of a larger herd are spread over the second half of it.
const LATEST: Millis = 60_000;

/// Gives turns.
#[derive(Debug)]
pub struct Pacer {
    /// When the next turn is free, in microseconds of the collector's clock.
    free: AtomicU64,
    /// Handshakes a second.
    speed: AtomicU64,
    finished: AtomicU64,
    refused: AtomicU64,
}

impl Default for Pacer {
    fn default() -> Self {
        Self {
            free: AtomicU64::new(0),
            speed: AtomicU64::new(FIRST_GUESS),
            finished: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }
}

impl Pacer {
    /// An agent has reported for the first time.
    pub fn finished(&self) {
        self.finished.fetch_add(1, Ordering::Relaxed);
    }

    /// The turn of somebody who found no room, in milliseconds from now.
    pub fn turn(&self, now: Millis) -> Millis {
        self.refused.fetch_add(1, Ordering::Relaxed);
        let between = 1_000 * MICROS * 100 / (self.speed() * PROMISED);
        let soonest = (now + SOONEST) * MICROS;
        let latest = (now + LATEST) * MICROS;
        let take = |free: u64| {
            let turn = free.max(soonest) + between;
            Some(if turn <= latest { turn } else { (now + LATEST / 2) * MICROS })
        };
        let taken = self.free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        let free = taken.unwrap_or_else(|free| free).clamp(soonest, latest);
        free / MICROS - now
    }

    /// How long those wait who were given the last turns, in milliseconds; 0 if none is left.
    pub fn queue(&self, now: Millis) -> Millis {
        (self.free.load(Ordering::Relaxed) / MICROS).saturating_sub(now)
    }

    /// Learns from the time since it was called last, in which `elapsed` passed on the collector's clock.
    pub fn learn(&self, elapsed: Millis) {
        let finished = self.finished.swap(0, Ordering::Relaxed);
        // A collector that has room to spare does not show how fast it could be.
        if self.refused.swap(0, Ordering::Relaxed) == 0 || elapsed == 0 {
            return;
        }
        let seen = finished * 1_000 / elapsed;
        let speed = (self.speed() + seen) / 2;
        self.speed.store(speed.clamp(SLOWEST, FASTEST), Ordering::Relaxed);
    }

    /// Handshakes a second, as far as is known.
    pub fn speed(&self) -> u64 {
        self.speed.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(pacer: &Pacer, now: Millis, herd: usize) -> Vec<Millis> {
        (0..herd).map(|_| pacer.turn(now)).collect()
    }

    #[test]
    fn a_herd_is_spread_at_the_speed_at_which_it_is_taken() {
        let pacer = Pacer::default();
        let turns = turns(&pacer, 7_000, 15_000);
        assert_eq!(turns[0], SOONEST);
        assert!(turns.is_sorted());
        // 15,000 at nine tenths of 5,000 a second.
        assert_eq!((turns[14_999] - SOONEST) / 100, 33);
    }

    #[test]
    fn the_queue_goes_on_where_it_ended_and_is_forgotten_once_it_is_over() {
        let pacer = Pacer::default();
        let first = turns(&pacer, 0, 9_000);
        assert_eq!(*first.last().unwrap() / 100, 29);
        assert_eq!(pacer.turn(1_000), 1_998, "the next one comes after those who were told before");
        assert_eq!(pacer.turn(60_000), SOONEST);
    }

    #[test]
    fn a_slow_collector_gives_turns_further_apart() {
        let pacer = Pacer::default();
        for second in 0..20 {
            pacer.turn(second * 1_000);
            (0..200).for_each(|_| pacer.finished());
            pacer.learn(1_000);
        }
        assert_eq!(pacer.speed(), 200);
        let turns = turns(&pacer, 100_000, 181);
        assert_eq!(turns[180] - turns[0], 999, "180 a second");
    }

    #[test]
    fn a_collector_that_refuses_nobody_shows_nothing_of_its_speed() {
        let pacer = Pacer::default();
        pacer.finished();
        pacer.learn(1_000);
        assert_eq!(pacer.speed(), FIRST_GUESS);
    }

    #[test]
    fn nobody_waits_longer_than_a_minute_nor_all_of_a_huge_herd_to_the_same_moment() {
        let pacer = Pacer::default();
        let turns = turns(&pacer, 0, 1_000_000);
        assert!(turns.iter().all(|turn| (SOONEST..=LATEST).contains(turn)));
        let mut seconds = [0; 61];
        for turn in turns {
            seconds[usize::try_from(turn / 1_000).unwrap()] += 1;
        }
        assert!(seconds.iter().all(|&agents| agents < 50_000), "{seconds:?}");
    }
}
