//! What strangers cause, and the log tells of: whoever causes much of it does not fill the disk.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::clock::Millis;

/// Time between two lines of a kind.
const TELL_EVERY: Millis = 1_000;

/// A line of the log, and the cause that it names, if it names one of a few.
type Kind = (&'static str, &'static str);

/// What has happened and the log has not told of yet, by kind; and when it told of that last.
#[derive(Debug, Default)]
pub struct Untold(Mutex<HashMap<Kind, (u64, Option<Millis>)>>);

impl Untold {
    /// It happens once more at this time; how many times a line is to tell of, if one is due.
    #[must_use]
    pub fn add(&self, kind: Kind, now: Millis) -> Option<u64> {
        let mut kinds = self.0.lock();
        let (count, told) = kinds.entry(kind).or_default();
        *count += 1;
        if told.is_some_and(|told| now.saturating_sub(told) < TELL_EVERY) {
            return None;
        }
        *told = Some(now);
        Some(std::mem::take(count))
    }
}

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
}
