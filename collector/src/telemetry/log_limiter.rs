//! Rate limiter for log lines triggered by untrusted peers, so that they cannot fill the disk.
//!
//! The number of suppressed lines is logged soon after. At level debug no line is suppressed.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::net::IpAddr;

use parking_lot::Mutex;
use tracing::info;

use crate::admission::address_limits::Source;
use crate::clock::Millis;
use crate::limits::leaky_bucket::LeakyBucket;

/// Minimum interval between two log lines of a kind of event counted by [`LogLimiter::add`].
const LOG_INTERVAL: Millis = 1_000;
/// Time without a log line of a kind after which the number of its suppressed lines is logged.
const SUM_UP_AFTER: Millis = 10_000;
/// Maximum lines in a burst with the same message about one agent or address.
const BURST_OF_SUBJECT: Millis = 10;
/// Interval of log lines with the same message about one agent or address, after the burst.
const INTERVAL_OF_SUBJECT: Millis = 10_000;
/// Maximum lines in a burst with the same message caused by one source address; many agents can
/// share a NAT address.
const BURST_OF_SOURCE: Millis = 200;
/// Interval of log lines with the same message caused by one source address, after the burst: a
/// tenth of the rate of [`INTERVAL_OF_ALL`].
const INTERVAL_OF_SOURCE: Millis = 10_000;
/// Maximum lines in a burst with the same message: if a rack loses power, each of its hosts gets a
/// line.
const BURST_OF_ALL: Millis = 1_000;
/// Interval of log lines with the same message, after the burst. With lines of 1,200 bytes, the
/// longest, each message logs about 104 MB a day at most.
const INTERVAL_OF_ALL: Millis = 1_000;
/// Number of leaky buckets in each of two tables, of 8 KiB each: subjects and sources. A hash
/// selects the bucket.
const SLOTS: usize = 1_024;
/// Maximum bytes of a text chosen by a peer in a log line.
const TEXT_BYTES: usize = 256;

/// Message of a log line, and its cause if the causes are a fixed set; otherwise empty.
pub(crate) type Kind = (&'static str, &'static str);

/// Events of a kind since its last log line.
#[derive(Debug, Default)]
struct Count {
    /// Number of events since the last line.
    unlogged: u64,
    /// Time at which a line of this kind was last logged; `None` before the first.
    logged_at: Option<Millis>,
}

/// Rate limits of log lines about an agent or address. Each message has its own limits, so a
/// reconnecting fleet does not suppress a line about a contested id.
#[derive(Debug)]
struct Limits {
    all: HashMap<&'static str, LeakyBucket>,
    sources: Box<[LeakyBucket]>,
    subjects: Box<[LeakyBucket]>,
}

/// Rate limiter for log lines triggered by untrusted peers.
#[derive(Debug)]
pub struct LogLimiter {
    kinds: Mutex<HashMap<Kind, Count>>,
    limits: Mutex<Limits>,
    /// Hashes with a random key. Otherwise a peer could choose an id that shares a bucket with
    /// another.
    hasher: RandomState,
}

impl Default for LogLimiter {
    fn default() -> Self {
        let slots = || vec![LeakyBucket::default(); SLOTS].into();
        let limits = Limits { all: HashMap::new(), sources: slots(), subjects: slots() };
        Self { kinds: Mutex::default(), limits: Mutex::new(limits), hasher: RandomState::new() }
    }
}

impl LogLimiter {
    /// Counts an event. Returns the number of events since the last line of this kind if a line is
    /// due.
    #[must_use]
    pub fn add(&self, kind: Kind, now: Millis) -> Option<u64> {
        let mut kinds = self.kinds.lock();
        let count = kinds.entry(kind).or_default();
        count.unlogged += 1;
        if count.logged_at.is_some_and(|at| now.saturating_sub(at) < LOG_INTERVAL) {
            return None;
        }
        count.logged_at = Some(now);
        Some(std::mem::take(&mut count.unlogged))
    }

    /// Counts an event of `subject`, an agent or address, caused by `source`. Returns whether the
    /// line may be logged: lines are limited by subject, by source and by message.
    #[must_use]
    pub fn may_log(
        &self,
        line: &'static str,
        subject: impl Hash,
        source: IpAddr,
        now: Millis,
    ) -> bool {
        let slot = |hash: u64| hash as usize % SLOTS;
        let subject = slot(self.hasher.hash_one((line, subject)));
        let source = slot(self.hasher.hash_one((line, Source::from(source))));
        let mut limits = self.limits.lock();
        let Limits { all, sources, subjects } = &mut *limits;
        let limited = [
            (&mut subjects[subject], INTERVAL_OF_SUBJECT, BURST_OF_SUBJECT),
            (&mut sources[source], INTERVAL_OF_SOURCE, BURST_OF_SOURCE),
            (all.entry(line).or_default(), INTERVAL_OF_ALL, BURST_OF_ALL),
        ];
        let fits =
            limited.iter().all(|(bucket, every, burst)| bucket.level(now) + every <= burst * every);
        if fits {
            // Suppressed lines are not charged, or a flood would fill the buckets of others.
            for (bucket, every, _) in limited {
                bucket.pour(now, every);
            }
        } else {
            drop(limits);
            let mut kinds = self.kinds.lock();
            let count = kinds.entry((line, "")).or_default();
            count.unlogged += 1;
            count.logged_at.get_or_insert(now);
        }
        fits
    }

    /// Logs the number of suppressed lines of each kind that had no line for ten seconds.
    pub fn sum_up(&self, now: Millis) {
        for ((line, cause), count) in self.suppressed(now) {
            let cause = (!cause.is_empty()).then_some(cause);
            info!(line, cause, count, "log lines suppressed");
        }
    }

    fn suppressed(&self, now: Millis) -> Vec<(Kind, u64)> {
        let mut kinds = self.kinds.lock();
        let due = |count: &Count| {
            count.unlogged > 0
                && count.logged_at.is_none_or(|at| now.saturating_sub(at) >= SUM_UP_AFTER)
        };
        let due = kinds.iter_mut().filter(|(_, count)| due(count));
        due.map(|(kind, count)| {
            count.logged_at = Some(now);
            (*kind, std::mem::take(&mut count.unlogged))
        })
        .collect()
    }
}

/// Truncates a text chosen by a peer.
pub(crate) fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES)]
}

/// Logs at the given level if the first argument is true, else at debug.
macro_rules! log_if {
    ($allowed:expr, $level:ident, $($line:tt)+) => {
        if $allowed { tracing::$level!($($line)+) } else { tracing::debug!($($line)+) }
    };
}
pub(crate) use log_if;

/// Logs an event caused by a peer at the given level, with the number of events since the last
/// line, if a line of this kind is due. Otherwise logs it at debug, without the number.
macro_rules! log_count {
    ($collector:expr, $kind:expr, $level:ident, $line:literal, $($field:tt)+) => {
        match $collector.log_due($kind) {
            Some(count) => tracing::$level!($($field)+, count, $line),
            None => tracing::debug!($($field)+, $line),
        }
    };
}
pub(crate) use log_count;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn events_of_a_kind_are_logged_once_a_second() {
        let limiter = LogLimiter::default();
        let lines: Vec<_> = (0..1_001).filter_map(|now| limiter.add(("a", ""), now)).collect();
        assert_eq!(lines, [1, 1_000]);
    }

    #[test]
    fn kinds_are_limited_separately() {
        let limiter = LogLimiter::default();
        for kind in [("a", "x"), ("a", "y"), ("b", "x")] {
            assert_eq!(limiter.add(kind, 0), Some(1), "{kind:?}");
            assert_eq!(limiter.add(kind, 1), None, "{kind:?}");
        }
    }

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn from(n: u64) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from(n as u32))
    }

    /// Returns the number of lines logged about twenty other agents. A few of them can share a
    /// bucket with the flood; it is practically impossible that ten do.
    fn logged_of_twenty_others(limiter: &LogLimiter, line: &'static str, now: Millis) -> usize {
        let logged = |n: &u64| limiter.may_log(line, ("honest", n), from(n + (1 << 31)), now);
        (0..20).filter(logged).count()
    }

    /// One agent connects ten times per second, for a minute.
    #[test]
    fn reconnect_loop_of_one_agent_neither_fills_the_log_nor_hides_others() {
        let limiter = LogLimiter::default();
        let logged = |id: &str, now| limiter.may_log("agent disconnected", id, HERE, now);
        let lines = (0..600).filter(|n| logged("flaps", n * 100)).count();
        assert_eq!(lines, 10 + 5);
        // One in a thousand has the hash of the looping agent; ten of twenty never do.
        let seen = (0..20).filter(|n| logged(&format!("web-{n}"), 60_000)).count();
        assert!(seen > 10, "{seen}");
        let suppressed: u64 = limiter.suppressed(60_000).into_iter().map(|(_, count)| count).sum();
        assert_eq!(suppressed, 600 - 15 + 20 - seen as u64, "every suppressed line is counted");
        assert!(limiter.suppressed(120_000).is_empty());
    }

    /// One credential that allows every id; a thousand ids reconnect for a minute.
    #[test]
    fn flood_of_ids_hides_neither_other_agents_nor_other_kinds() {
        let limiter = LogLimiter::default();
        let flood = |n: &u64| limiter.may_log("agent disconnected", n % 1_000, HERE, n / 10);
        let lines = (0..600_000).filter(flood).count();
        assert!(lines <= 200 + 6, "{lines}");
        assert!(logged_of_twenty_others(&limiter, "agent disconnected", 60_000) > 10);
        assert!(logged_of_twenty_others(&limiter, "agent id claim failed", 60_000) > 10);
    }

    #[test]
    fn flood_from_all_addresses_does_not_hide_other_kinds() {
        let limiter = LogLimiter::default();
        let flood = |n: &u64| limiter.may_log("agent disconnected", n, from(*n), n / 10);
        let lines = (0..100_000).filter(flood).count();
        assert!((900..=1_010).contains(&lines), "{lines}");
        let line = "agent id taken over by another host";
        assert!(logged_of_twenty_others(&limiter, line, 10_000) > 10);
    }

    #[test]
    fn returning_fleet_does_not_fill_the_log() {
        let limiter = LogLimiter::default();
        let logged = |n: &u64| limiter.may_log("agent connected", n, from(*n), n / 5);
        let lines = (0..100_000_u64).filter(logged).count();
        assert!((900..=1_020).contains(&lines), "{lines} lines in 20 s");
    }

    #[test]
    fn lines_suppressed_at_the_end_of_a_flood_are_summed_up_once() {
        let limiter = LogLimiter::default();
        let kind = ("connection rejected", "bad_magic");
        assert_eq!(limiter.add(kind, 0), Some(1));
        assert_eq!((limiter.add(kind, 1), limiter.add(kind, 2)), (None, None));
        assert!(limiter.suppressed(9_999).is_empty());
        assert_eq!(limiter.suppressed(10_000), [(kind, 2)]);
        assert!(limiter.suppressed(60_000).is_empty());
    }

    #[test]
    fn long_text_is_truncated_at_a_character_boundary() {
        assert_eq!(shortened("short"), "short");
        assert_eq!(shortened(&"ä".repeat(10_000)).len(), TEXT_BYTES);
        assert_eq!(shortened(&format!("x{}", "ä".repeat(10_000))).len(), TEXT_BYTES - 1);
    }
}
