//! When to sample: a grid that is fixed by the agent's id and the interval.
//!
//! A fleet started by one command must not report in one burst, and an agent that reconnects must
//! not move to where the crowd is. So the phase comes from a hash of the id, and the first tick
//! from the wall clock; later ticks follow the monotonic clock and know nothing of connections. A
//! tick that was missed is skipped: a sample of the past is worth nothing.

use std::time::{Duration, Instant};

use fleetgauge_proto::AgentId;

/// The ticks of one agent.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    interval: Duration,
    next: Instant,
}

impl Schedule {
    /// The grid of the agent named `id`, seen at the moment that both clocks show: `now`, and
    /// `unix` since 1970. `interval` is not zero.
    #[must_use]
    pub fn new(id: &AgentId, interval: Duration, now: Instant, unix: Duration) -> Self {
        let interval_ns = interval.as_nanos().max(1);
        let into_interval = unix.as_nanos() % interval_ns;
        let phase = phase(id, interval).as_nanos();
        let wait = (interval_ns + phase - into_interval) % interval_ns;
        // Below one interval, which is minutes at most.
        let wait = Duration::from_nanos(u64::try_from(wait).unwrap_or(u64::MAX));
        Self { interval, next: now + wait }
    }

    /// The next tick.
    #[must_use]
    pub const fn next(&self) -> Instant {
        self.next
    }

    /// Moves on to the first tick after `now`.
    pub fn advance(&mut self, now: Instant) {
        let late = now.saturating_duration_since(self.next).as_nanos();
        let skipped = late / self.interval.as_nanos().max(1);
        let skipped = u32::try_from(skipped).unwrap_or(u32::MAX - 1);
        self.next += self.interval * (skipped + 1);
    }
}

/// Where in each interval, counted from 1970, the agent named `id` samples: less than `interval`.
#[must_use]
pub fn phase(id: &AgentId, interval: Duration) -> Duration {
    let micros = u64::try_from(interval.as_micros()).unwrap_or(u64::MAX).max(1);
    Duration::from_micros(id.fnv1a() % micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(15);

    fn id(text: &str) -> AgentId {
        AgentId::try_new(text).unwrap()
    }

    #[test]
    fn a_fleet_spreads_evenly() {
        let mut seconds = [0_u32; 15];
        for host in 0..15_000 {
            let phase = phase(&id(&format!("web-{host}.fra.example")), INTERVAL);
            seconds[usize::try_from(phase.as_secs()).unwrap()] += 1;
        }
        for (second, count) in seconds.iter().enumerate() {
            assert!((850..1150).contains(count), "second {second}: {count} of 15000");
        }
    }

    #[test]
    fn ticks_meet_the_phase_on_the_wall_clock() {
        let now = Instant::now();
        for unix_ms in [0, 1, 14_999, 1_700_000_000_123, 1_700_000_014_999] {
            let unix = Duration::from_millis(unix_ms);
            let schedule = Schedule::new(&id("web-1"), INTERVAL, now, unix);
            let wait = schedule.next() - now;
            assert!(wait < INTERVAL, "{wait:?}");
            let at = (unix + wait).as_nanos() % INTERVAL.as_nanos();
            assert_eq!(at, phase(&id("web-1"), INTERVAL).as_nanos(), "from {unix_ms}");
        }
    }

    #[test]
    fn an_agent_started_again_keeps_its_grid() {
        let now = Instant::now();
        let unix = Duration::from_secs(1_700_000_000);
        let before = Schedule::new(&id("web-1"), INTERVAL, now, unix);
        let later = Duration::from_secs(3_600) + Duration::from_millis(777);
        let after = Schedule::new(&id("web-1"), INTERVAL, now + later, unix + later);
        let apart = (after.next() - before.next()).as_nanos();
        assert_eq!(apart % INTERVAL.as_nanos(), 0);
    }

    #[test]
    fn a_tick_follows_the_one_before_by_an_interval() {
        let mut schedule = Schedule::new(&id("web-1"), INTERVAL, Instant::now(), Duration::ZERO);
        let first = schedule.next();
        schedule.advance(first);
        assert_eq!(schedule.next(), first + INTERVAL);
        schedule.advance(first + INTERVAL + Duration::from_millis(3));
        assert_eq!(schedule.next(), first + 2 * INTERVAL);
    }

    #[test]
    fn missed_ticks_are_skipped() {
        let mut schedule = Schedule::new(&id("web-1"), INTERVAL, Instant::now(), Duration::ZERO);
        let first = schedule.next();
        schedule.advance(first + INTERVAL * 40 + Duration::from_secs(1));
        assert_eq!(schedule.next(), first + INTERVAL * 41);
    }
}
