//! Counts and durations of a fleet, merged over seconds and workers.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Maximum duration in a histogram, in microseconds: a day. After an outage samples are hours old.
const LONGEST_US: u64 = 86_400_000_000;

/// A histogram of durations, to two significant digits. Serialized as pairs of microseconds and
/// count.
#[derive(Debug, Clone, PartialEq)]
pub struct Times(Histogram<u64>);

impl Default for Times {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, LONGEST_US, 2);
        Self(histogram.unwrap_or_else(|error| unreachable!("the bounds are legal: {error}")))
    }
}

impl Times {
    /// Adds a duration.
    pub fn add(&mut self, time: Duration) {
        self.0.saturating_record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// Adds all durations of `other`.
    pub fn merge(&mut self, other: &Self) {
        let merged = self.0.add(&other.0);
        debug_assert!(merged.is_ok(), "both have the same bounds");
    }

    /// Returns the durations that were added after `earlier`, a former state of this histogram.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut since = self.clone();
        let left = since.0.subtract(&earlier.0);
        debug_assert!(left.is_ok(), "earlier ones are among the later");
        since
    }

    /// The quantile of this share (0 to 1), in milliseconds.
    #[must_use]
    pub fn quantile_ms(&self, share: f64) -> f64 {
        self.0.value_at_quantile(share) as f64 / 1e3
    }

    /// The longest recorded duration, in milliseconds.
    #[must_use]
    pub fn longest_ms(&self) -> f64 {
        self.0.max() as f64 / 1e3
    }

    /// Number of recorded durations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }
}

impl Serialize for Times {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let steps = self.0.iter_recorded();
        serializer.collect_seq(steps.map(|s| (s.value_iterated_to(), s.count_at_value())))
    }
}

impl<'de> Deserialize<'de> for Times {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut times = Self::default();
        for (us, count) in Vec::<(u64, u64)>::deserialize(deserializer)? {
            times.0.saturating_record_n(us, count);
        }
        Ok(times)
    }
}

/// Histograms of the durations in a fleet.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Histograms {
    /// Time from connect to Welcome.
    pub connect: Times,
    /// Time from the end of a session to the agent's next Welcome.
    pub away: Times,
    /// Time from the due time of a report until it was written to the socket.
    pub written: Times,
    /// The part of `written` that the load test itself caused.
    pub own_lag: Times,
    /// Time from the due time of a report until its Pong, for reports that a Ping follows. A Ping
    /// without an answer counts with its age at the end of the phase, or after 16 newer ones. If
    /// the session ends before the Pong, the report counts only if it is already late.
    pub lag: Times,
    /// `lag` without the delays of the load test itself.
    pub answer: Times,
}

impl Histograms {
    fn since(&self, earlier: &Self) -> Self {
        Self {
            connect: self.connect.since(&earlier.connect),
            away: self.away.since(&earlier.away),
            written: self.written.since(&earlier.written),
            own_lag: self.own_lag.since(&earlier.own_lag),
            lag: self.lag.since(&earlier.lag),
            answer: self.answer.since(&earlier.answer),
        }
    }
}

/// Counts by cause.
pub type Causes = BTreeMap<String, u64>;

/// Adds one to the count of this cause.
pub fn count(causes: &mut Causes, cause: &str) {
    match causes.get_mut(cause) {
        Some(count) => *count += 1,
        None => drop(causes.insert(cause.to_owned(), 1)),
    }
}

/// Counts added after `earlier`, by cause.
fn causes_since(now: &Causes, earlier: &Causes) -> Causes {
    let since = |cause: &String, count: u64| count - earlier.get(cause).copied().unwrap_or(0);
    let since = now.iter().map(|(cause, count)| (cause.clone(), since(cause, *count)));
    since.filter(|(_, count)| *count > 0).collect()
}

/// Counts of events in a fleet.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// Reports that agents wrote to their sockets.
    pub reports: u64,
    /// Reports that agents sent again from their logs.
    pub replayed: u64,
    /// Reports with a Ping that were processed late.
    pub late: u64,
    /// Reports whose Ping was answered: the collector has processed them.
    pub answered: u64,
    /// Reports whose Ping was not answered in time.
    pub unanswered: u64,
    /// Welcomes with another interval than requested.
    pub other_interval: u64,
    /// Sessions that began with a Welcome.
    pub welcomed: u64,
    /// TLS sessions resumed.
    pub resumed: u64,
    /// Sessions that agents ended with Bye.
    pub byes: u64,
    /// Sessions that agents ended without Bye.
    pub resets: u64,
    /// Agents that disconnected for a while and were welcomed again in time.
    pub returned: u64,
    /// Agents that disconnected for a while and were not welcomed again in time.
    pub not_returned: u64,
    /// Attempts that failed before Welcome, by Reject code or error.
    pub refused: Causes,
    /// Sessions that the collector ended, by code or error.
    pub ended: Causes,
    /// Durations in the fleet.
    pub times: Histograms,
}

impl Tally {
    /// Counts a report that was written `after` its due time. `own` is the delay of the load test
    /// itself.
    pub fn written(&mut self, after: Duration, own: Duration) {
        self.reports += 1;
        self.times.written.add(after);
        self.times.own_lag.add(own);
    }

    /// Counts a report that was processed, or whose Ping was abandoned, `lag` after its due time.
    /// `own` is the delay of the load test itself. The report is late if `lag` without `own`
    /// exceeds `late`.
    pub fn record_processed(&mut self, lag: Duration, own: Duration, late: Duration) {
        let answer = lag.saturating_sub(own);
        self.late += u64::from(answer > late);
        self.times.lag.add(lag);
        self.times.answer.add(answer);
    }

    /// Counts that were added after `earlier`, a former state of this tally.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            reports: self.reports - earlier.reports,
            replayed: self.replayed - earlier.replayed,
            late: self.late - earlier.late,
            answered: self.answered - earlier.answered,
            unanswered: self.unanswered - earlier.unanswered,
            other_interval: self.other_interval - earlier.other_interval,
            welcomed: self.welcomed - earlier.welcomed,
            resumed: self.resumed - earlier.resumed,
            byes: self.byes - earlier.byes,
            resets: self.resets - earlier.resets,
            returned: self.returned - earlier.returned,
            not_returned: self.not_returned - earlier.not_returned,
            refused: causes_since(&self.refused, &earlier.refused),
            ended: causes_since(&self.ended, &earlier.ended),
            times: self.times.since(&earlier.times),
        }
    }

    /// Adds the counts of another worker or period.
    pub fn merge(&mut self, other: &Self) {
        self.reports += other.reports;
        self.replayed += other.replayed;
        self.late += other.late;
        self.answered += other.answered;
        self.unanswered += other.unanswered;
        self.other_interval += other.other_interval;
        self.welcomed += other.welcomed;
        self.resumed += other.resumed;
        self.byes += other.byes;
        self.resets += other.resets;
        self.returned += other.returned;
        self.not_returned += other.not_returned;
        for (all, more) in [(&mut self.refused, &other.refused), (&mut self.ended, &other.ended)] {
            for (cause, count) in more {
                *all.entry(cause.clone()).or_default() += count;
            }
        }
        let (times, more) = (&mut self.times, &other.times);
        times.connect.merge(&more.connect);
        times.away.merge(&more.away);
        times.written.merge(&more.written);
        times.lag.merge(&more.lag);
        times.own_lag.merge(&more.own_lag);
        times.answer.merge(&more.answer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(lags_ms: &[u64], refused: &str) -> Tally {
        let mut tally = Tally { welcomed: 1, ..Tally::default() };
        for ms in lags_ms {
            let (lag, own) = (Duration::from_millis(*ms), Duration::from_millis(1));
            tally.written(lag, own);
            tally.record_processed(lag, own, Duration::from_millis(100));
        }
        count(&mut tally.refused, refused);
        tally
    }

    #[test]
    fn tallies_merge_after_serialization() {
        let (one, other) = (tally(&[1, 2, 150], "timed_out"), tally(&[3, 4], "server_full"));
        let mut sum = Tally::default();
        for tally in [&one, &other] {
            let line = serde_json::to_string(tally).unwrap();
            sum.merge(&serde_json::from_str(&line).unwrap());
        }
        let mut expected = tally(&[1, 2, 150, 3, 4], "timed_out");
        count(&mut expected.refused, "server_full");
        expected.welcomed = 2;
        assert_eq!(sum, expected);
        assert_eq!((sum.reports, sum.late, sum.times.lag.count()), (5, 1, 5));
        assert_eq!(sum.since(&one), other);
    }
}
