//! Rate limiter for log lines triggered by peers: however much they do, they do not fill the disk.
//!
//! Nothing is hidden: a line that is left out is counted, the count is logged soon after, and at level debug every line
//! is there.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::net::IpAddr;

use parking_lot::Mutex;
use tracing::info;

use crate::addresses::Source;
use crate::bucket::Bucket;
use crate::clock::Millis;

/// Time between two lines of a kind.
const TELL_EVERY: Millis = 1_000;
/// Time after which lines that were left out are summed up, if none of their kind was written.
const SUM_UP_AFTER: Millis = 10_000;
/// Lines of a kind about one agent or address at once.
const AHEAD_FOR_ONE: Millis = 10;
/// Time in which one agent or address may cause another line of a kind.
const EVERY_FOR_ONE: Millis = 10_000;
/// Lines of a kind that come from one address at once, whatever agents they are about: many may be behind a NAT.
const AHEAD_FOR_SOURCE: Millis = 200;
/// Time in which one address may cause another line of a kind: a tenth of what all of them may.
const EVERY_FOR_SOURCE: Millis = 10_000;
/// Lines of a kind at once: a rack that loses power is told host by host.
const AHEAD_FOR_ALL: Millis = 1_000;
/// Time until there may be another line of a kind: of the longest, which have 1,200 bytes, some 100 MB a day if it never ends.
const EVERY_FOR_ALL: Millis = 1_000;
/// Limits of single agents, and of single addresses, shared by those of the same hash: 8 KiB each.
const SLOTS: usize = 1_024;
/// Bytes of a text from a peer in a line.
const TEXT_BYTES: usize = 256;

/// A log line, and the cause that it names, if it names one of a few.
type Kind = (&'static str, &'static str);

/// What has happened and is not in the log yet.
#[derive(Debug, Default)]
struct Count {
    /// How many times.
    untold: u64,
    /// When the log last had a line of this kind.
    told: Option<Millis>,
}

/// Limits of lines that each name an agent or an address. Every kind of line has its own: however many agents come and go,
/// a line about a disputed id is written.
#[derive(Debug)]
struct Limits {
    all: HashMap<&'static str, Bucket>,
    sources: Box<[Bucket]>,
    ones: Box<[Bucket]>,
}

/// The rate limiter.
#[derive(Debug)]
pub struct Untold {
    kinds: Mutex<HashMap<Kind, Count>>,
    limits: Mutex<Limits>,
    /// Keyed at random, or a peer could choose an id that silences another.
    hasher: RandomState,
}

impl Default for Untold {
    fn default() -> Self {
        let slots = || vec![Bucket::default(); SLOTS].into();
        let limits = Limits { all: HashMap::new(), sources: slots(), ones: slots() };
        Self { kinds: Mutex::default(), limits: Mutex::new(limits), hasher: RandomState::new() }
    }
}

impl Untold {
    /// Records an event. Returns how many there were since the last line of this kind, if a line is due.
    #[must_use]
    pub fn add(&self, kind: Kind, now: Millis) -> Option<u64> {
        let mut kinds = self.kinds.lock();
        let count = kinds.entry(kind).or_default();
        count.untold += 1;
        if count.told.is_some_and(|told| now.saturating_sub(told) < TELL_EVERY) {
            return None;
        }
        count.told = Some(now);
        Some(std::mem::take(&mut count.untold))
    }

    /// Records an event of this agent or address, which comes from `source`. Returns whether to write its line: a loop's, one
    /// address' and a whole fleet's are limited, each by itself.
    #[must_use]
    pub fn may_tell(
        &self,
        line: &'static str,
        subject: impl Hash,
        source: IpAddr,
        now: Millis,
    ) -> bool {
        let slot = |hash: u64| hash as usize % SLOTS;
        let one = slot(self.hasher.hash_one((line, subject)));
        let source = slot(self.hasher.hash_one((line, Source::from(source))));
        let mut limits = self.limits.lock();
        let Limits { all, sources, ones } = &mut *limits;
        let limited = [
            (&mut ones[one], EVERY_FOR_ONE, AHEAD_FOR_ONE),
            (&mut sources[source], EVERY_FOR_SOURCE, AHEAD_FOR_SOURCE),
            (all.entry(line).or_default(), EVERY_FOR_ALL, AHEAD_FOR_ALL),
        ];
        let fits =
            limited.iter().all(|(own, every, ahead)| own.level(now) + every <= ahead * every);
        if fits {
            // What is left out counts for nothing, or a flood would fill the slots of others.
            for (own, every, _) in limited {
                own.pour(now, every);
            }
        } else {
            drop(limits);
            let mut kinds = self.kinds.lock();
            let count = kinds.entry((line, "")).or_default();
            count.untold += 1;
            count.told.get_or_insert(now);
        }
        fits
    }

    /// Logs how many lines were left out of the kinds that had none for a while.
    pub fn sum_up(&self, now: Millis) {
        for ((line, cause), count) in self.left_out(now) {
            let cause = (!cause.is_empty()).then_some(cause);
            info!(line, cause, count, "log lines left out");
        }
    }

    fn left_out(&self, now: Millis) -> Vec<(Kind, u64)> {
        let mut kinds = self.kinds.lock();
        let due = |count: &Count| {
            count.untold > 0
                && count.told.is_none_or(|told| now.saturating_sub(told) >= SUM_UP_AFTER)
        };
        let due = kinds.iter_mut().filter(|(_, count)| due(count));
        due.map(|(kind, count)| {
            count.told = Some(now);
            (*kind, std::mem::take(&mut count.untold))
        })
        .collect()
    }
}

/// The beginning of a text that a peer has chosen.
pub(crate) fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES)]
}

/// Logs at this level if the first argument is true, at debug otherwise.
macro_rules! log_if {
    ($allowed:expr, $level:ident, $($line:tt)+) => {
        if $allowed { tracing::$level!($($line)+) } else { tracing::debug!($($line)+) }
    };
}
pub(crate) use log_if;

/// Logs an event that peers cause, with how many there were since the line before, if a line of this kind is due. Logs it
/// without that number at debug otherwise.
macro_rules! log_count {
    ($shared:expr, $kind:expr, $level:ident, $line:literal, $($field:tt)+) => {
        match $shared.untold.add($kind, $shared.clock.now()) {
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
    fn a_thousand_times_in_a_second_are_two_lines() {
        let untold = Untold::default();
        let lines: Vec<_> = (0..1_001).filter_map(|now| untold.add(("a", ""), now)).collect();
        assert_eq!(lines, [1, 1_000]);
    }

    #[test]
    fn much_of_one_kind_hides_nothing_of_another() {
        let untold = Untold::default();
        for kind in [("a", "x"), ("a", "y"), ("b", "x")] {
            assert_eq!(untold.add(kind, 0), Some(1), "{kind:?}");
            assert_eq!(untold.add(kind, 1), None, "{kind:?}");
        }
    }

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn from(n: u64) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from(n as u32))
    }

    /// How many of twenty agents elsewhere have such a line. A few may share the place of a flood, by their hash; ten do not.
    fn told_of_twenty(untold: &Untold, line: &'static str, now: Millis) -> usize {
        let told = |n: &u64| untold.may_tell(line, ("honest", n), from(n + (1 << 31)), now);
        (0..20).filter(told).count()
    }

    /// Ten sessions a second, for a minute.
    #[test]
    fn an_agent_that_reconnects_in_a_loop_does_not_fill_the_log_nor_hide_another() {
        let untold = Untold::default();
        let told = |id: &str, now| untold.may_tell("agent gone", id, HERE, now);
        let lines = (0..600).filter(|n| told("flaps", n * 100)).count();
        assert_eq!(lines, 10 + 5);
        // It may have the same hash as the loop by one in a thousand; ten of twenty never do.
        let seen = (0..20).filter(|n| told(&format!("web-{n}"), 60_000)).count();
        assert!(seen > 10, "{seen}");
        let left_out: u64 = untold.left_out(60_000).into_iter().map(|(_, count)| count).sum();
        assert_eq!(left_out, 600 - 15 + 20 - seen as u64, "counted, none lost");
        assert!(untold.left_out(120_000).is_empty());
    }

    /// One credential that allows every id, and a thousand of them that reconnect for a minute.
    #[test]
    fn a_flood_of_ids_hides_neither_other_agents_nor_another_kind_of_line() {
        let untold = Untold::default();
        let flood = |n: &u64| untold.may_tell("agent gone", n % 1_000, HERE, n / 10);
        let lines = (0..600_000).filter(flood).count();
        assert!(lines <= 200 + 6, "{lines}");
        assert!(told_of_twenty(&untold, "agent gone", 60_000) > 10);
        assert!(told_of_twenty(&untold, "agent not admitted", 60_000) > 10);
    }

    #[test]
    fn a_flood_from_everywhere_leaves_other_kinds_of_lines_alone() {
        let untold = Untold::default();
        let flood = |n: &u64| untold.may_tell("agent gone", n, from(*n), n / 10);
        let lines = (0..100_000).filter(flood).count();
        assert!((900..=1_010).contains(&lines), "{lines}");
        assert!(told_of_twenty(&untold, "another host takes over", 10_000) > 10);
    }

    #[test]
    fn a_fleet_that_comes_back_does_not_fill_the_log() {
        let untold = Untold::default();
        let told = |n: &u64| untold.may_tell("agent reports", n, from(*n), n / 5);
        let lines = (0..100_000_u64).filter(told).count();
        assert!((900..=1_020).contains(&lines), "{lines} lines in 20 s");
    }

    #[test]
    fn what_was_left_out_at_the_end_of_a_flood_is_summed_up_once() {
        let untold = Untold::default();
        let kind = ("refused", "bad_magic");
        assert_eq!(untold.add(kind, 0), Some(1));
        assert_eq!((untold.add(kind, 1), untold.add(kind, 2)), (None, None));
        assert!(untold.left_out(9_999).is_empty());
        assert_eq!(untold.left_out(10_000), [(kind, 2)]);
        assert!(untold.left_out(60_000).is_empty());
    }

    #[test]
    fn a_long_text_is_cut_between_two_characters() {
        assert_eq!(shortened("short"), "short");
        assert_eq!(shortened(&"ä".repeat(10_000)).len(), TEXT_BYTES);
        assert_eq!(shortened(&format!("x{}", "ä".repeat(10_000))).len(), TEXT_BYTES - 1);
    }
}
