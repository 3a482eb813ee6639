//! Rate limiter for log lines triggered by peers: however much they do, they do not fill the disk.
//!
//! Nothing is hidden: a line that is left out is counted, the count is logged soon after, and at level debug every line
//! is there.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};

use parking_lot::Mutex;
use tracing::info;

use crate::bucket::Bucket;
use crate::clock::Millis;

/// Time between two lines of a kind.
const TELL_EVERY: Millis = 1_000;
/// Time after which lines that were left out are summed up, if none of their kind was written.
const SUM_UP_AFTER: Millis = 10_000;
/// Lines about one agent or address at once: ten sessions from connect to disconnect.
const AHEAD_FOR_ONE: Millis = 20;
/// Time in which one agent or address may cause another line.
const EVERY_FOR_ONE: Millis = 10_000;
/// Lines about all of them at once: a rack that loses power is told host by host.
const AHEAD_FOR_ALL: Millis = 1_000;
/// Time in which all of them may cause another line: some 100 MB of log a day if it never ends.
const EVERY_FOR_ALL: Millis = 100;
/// Limits of single agents and addresses, shared by those of the same hash: 8 KiB.
const SUBJECTS: usize = 1_024;
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

/// Limits of lines that each name an agent or an address.
#[derive(Debug)]
struct Subjects {
    all: Bucket,
    one: Box<[Bucket]>,
}

/// The rate limiter.
#[derive(Debug)]
pub struct Untold {
    kinds: Mutex<HashMap<Kind, Count>>,
    subjects: Mutex<Subjects>,
    /// Keyed at random, or a peer could choose an id that silences another.
    hasher: RandomState,
}

impl Default for Untold {
    fn default() -> Self {
        let subjects =
            Subjects { all: Bucket::default(), one: vec![Bucket::default(); SUBJECTS].into() };
        Self { kinds: Mutex::default(), subjects: Mutex::new(subjects), hasher: RandomState::new() }
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

    /// Records an event of this agent or address. Returns whether to write its line: single events always are, a loop or
    /// a whole fleet's are not.
    #[must_use]
    pub fn may_tell(&self, line: &'static str, subject: impl Hash, now: Millis) -> bool {
        let hash = self.hasher.hash_one(subject);
        let mut subjects = self.subjects.lock();
        let Subjects { all, one } = &mut *subjects;
        let own = &mut one[hash as usize % SUBJECTS];
        let fits = own.level(now) + EVERY_FOR_ONE <= AHEAD_FOR_ONE * EVERY_FOR_ONE
            && all.try_pour(now, EVERY_FOR_ALL, AHEAD_FOR_ALL * EVERY_FOR_ALL);
        if fits {
            own.pour(now, EVERY_FOR_ONE);
        } else {
            drop(subjects);
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

#[cfg(test)]
mod tests {
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

    /// Two lines a session, ten sessions a second, for a minute.
    #[test]
    fn an_agent_that_reconnects_in_a_loop_does_not_fill_the_log_nor_hide_another() {
        let untold = Untold::default();
        let told = |id: &str, now| untold.may_tell("agent gone", id, now);
        let lines = (0..1_200).filter(|n| told("flaps", n * 50)).count();
        assert_eq!(lines, 20 + 5);
        // It may have the same hash as the loop by one in a thousand; two of twenty never do.
        let seen = (0..20).filter(|n| told(&format!("web-{n}"), 60_000)).count();
        assert!(seen >= 18, "{seen}");
        let left_out: u64 = untold.left_out(60_000).into_iter().map(|(_, count)| count).sum();
        assert_eq!(left_out, 1_200 - 25 + 20 - seen as u64, "counted, none lost");
        assert!(untold.left_out(120_000).is_empty());
    }

    #[test]
    fn a_fleet_that_comes_back_does_not_fill_the_log() {
        let untold = Untold::default();
        let lines = (0..100_000_u64).filter(|n| untold.may_tell("agent reports", n, n / 5)).count();
        assert!((900..=1_200).contains(&lines), "{lines} lines in 20 s");
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
