//! Staggers the actions of sessions over a time span.

/// 2^64 divided by the golden ratio. Any number of its consecutive multiples, modulo 2^64, divides
/// the range evenly.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Returns an offset below `span` for a session. Consecutive sessions are spread evenly over the
/// span, whether ten or ten thousand.
pub(crate) fn stagger(session: u64, span: u32) -> u32 {
    let share = session.wrapping_mul(GOLDEN) >> 32;
    u32::try_from((share * u64::from(span)) >> 32).unwrap_or(span)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Multiples of the golden ratio leave gaps of at most 2.7 times the mean.
    #[test]
    fn offsets_of_consecutive_sessions_leave_no_large_gap() {
        for (first, sessions) in
            [(1, 3), (1, 10), (17, 10), (123_456_789, 100), (5, 1_000), (1 << 40, 9_999)]
        {
            let span = 10_000_000;
            let mut all: Vec<_> = (first..first + sessions).map(|n| stagger(n, span)).collect();
            all.push(span);
            all.sort_unstable();
            let gaps = std::iter::once(all[0]).chain(all.windows(2).map(|two| two[1] - two[0]));
            let largest = gaps.max().unwrap();
            let even = u64::from(span) / sessions;
            assert!(
                u64::from(largest) <= even * 27 / 10,
                "{sessions} from {first}: gap {largest}, mean {even}"
            );
        }
    }

    #[test]
    fn offsets_are_below_the_span() {
        assert_eq!((stagger(7, 0), stagger(7, 1)), (0, 0));
        assert!((0..1_000).all(|session| stagger(session, u32::MAX) < u32::MAX));
    }
}
