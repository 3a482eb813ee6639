//! The sampling schedule: ticks at a fixed phase of each interval.
//!
//! A fleet that starts at the same moment must not report in one burst. The phase is a hash of the
//! agent id, and the first tick is aligned to the wall clock, so an agent keeps its phase across
//! restarts. Later ticks follow the monotonic clock. Connections do not affect the schedule. Missed
//! ticks are skipped.

use std::time::{Duration, Instant};

use fleetgauge_proto::AgentId;

/// The ticks of one agent.
///
/// ```
/// use std::time::{Duration, Instant};
///
/// use fleetgauge_agent::schedule::Schedule;
/// use fleetgauge_proto::AgentId;
///
/// let (now, interval) = (Instant::now(), Duration::from_secs(15));
/// let unix = Duration::from_secs(1_767_225_600);
/// let mut schedule = Schedule::new(&AgentId::try_new("web-1")?, interval, now, unix);
/// let first = schedule.next();
/// assert!(first < now + interval);
/// schedule.advance(first);
/// assert_eq!(schedule.next(), first + interval);
/// # Ok::<(), fleetgauge_proto::Violation>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    interval: Duration,
    next: Instant,
}

impl Schedule {
    /// Creates the schedule of agent `id`. `now` and `unix`, the time since the Unix epoch, are the
    /// same moment. `interval` must not be zero.
    #[must_use]
    pub fn new(id: &AgentId, interval: Duration, now: Instant, unix: Duration) -> Self {
        let interval_ns = interval.as_nanos().max(1);
        let into_interval = unix.as_nanos() % interval_ns;
        let phase = phase(id, interval).as_nanos();
        let wait = (interval_ns + phase - into_interval) % interval_ns;
        // Less than one interval, so it fits.
        let wait = Duration::from_nanos(u64::try_from(wait).unwrap_or(u64::MAX));
        Self { interval, next: now + wait }
    }

    /// Returns the time of the next tick.
    #[must_use]
    pub const fn next(&self) -> Instant {
        self.next
    }

    /// Advances to the first tick after `now`.
    pub fn advance(&mut self, now: Instant) {
        let late = now.saturating_duration_since(self.next).as_nanos();
        let skipped = late / self.interval.as_nanos().max(1);
        let skipped = u32::try_from(skipped).unwrap_or(u32::MAX - 1);
        self.next += self.interval * (skipped + 1);
    }
}

/// Returns the offset of agent `id`'s tick in each interval since the Unix epoch.
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
    fn phases_of_a_fleet_are_evenly_distributed() {
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
    fn first_tick_is_at_the_phase_of_the_wall_clock() {
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
    fn restart_keeps_the_phase() {
        let now = Instant::now();
        let unix = Duration::from_secs(1_700_000_000);
        let before = Schedule::new(&id("web-1"), INTERVAL, now, unix);
        let later = Duration::from_secs(3_600) + Duration::from_millis(777);
        let after = Schedule::new(&id("web-1"), INTERVAL, now + later, unix + later);
        let apart = (after.next() - before.next()).as_nanos();
        assert_eq!(apart % INTERVAL.as_nanos(), 0);
    }

    #[test]
    fn ticks_are_one_interval_apart() {
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
