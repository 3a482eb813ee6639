//! What a fleet counts while it runs. Tallies are added up, over seconds and over workers.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Longest time a histogram tells from longer ones, in microseconds: ten minutes.
const LONGEST_US: u64 = 600_000_000;

/// Times, kept to two digits. On the wire they are pairs of microseconds and how often.
#[derive(Debug, Clone, PartialEq)]
pub struct Times(Histogram<u64>);

impl Default for Times {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, LONGEST_US, 2);
        Self(histogram.unwrap_or_else(|error| unreachable!("the bounds are legal: {error}")))
    }
}

impl Times {
    /// Adds one.
    pub fn add(&mut self, time: Duration) {
        self.0.saturating_record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// Adds all those of `other`.
    pub fn merge(&mut self, other: &Self) {
        let merged = self.0.add(&other.0);
        debug_assert!(merged.is_ok(), "both have the same bounds");
    }

    /// Those that came after `earlier`, which are all among these.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut since = self.clone();
        let left = since.0.subtract(&earlier.0);
        debug_assert!(left.is_ok(), "earlier ones are among the later");
        since
    }

    /// The time within which this share of them is, in milliseconds.
    #[must_use]
    pub fn quantile_ms(&self, share: f64) -> f64 {
        self.0.value_at_quantile(share) as f64 / 1e3
    }

    /// The longest, in milliseconds.
    #[must_use]
    pub fn longest_ms(&self) -> f64 {
        self.0.max() as f64 / 1e3
    }

    /// How many there are.
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

/// What is known of the times of the fleet's acts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Histograms {
    /// From connect to Welcome.
    pub connect: Times,
    /// From the end of a session to the Welcome of the agent's next.
    pub away: Times,
    /// From when a report was due to when it was written, into the kernel's buffer.
    pub written: Times,
    /// The part of that by which the generator itself turned to it late.
    pub own_lag: Times,
    /// From when a report was due to when the collector had taken it in, told by the Pong of a Ping
    /// behind it. Of some reports; where no Pong came, the time for which it was awaited. Reports
    /// whose session the agent ended while they were not late yet are left out.
    pub lag: Times,
    /// That without the generator's own lag.
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

/// Counts one more of this cause.
pub fn count(causes: &mut Causes, cause: &str) {
    match causes.get_mut(cause) {
        Some(count) => *count += 1,
        None => drop(causes.insert(cause.to_owned(), 1)),
    }
}

/// What was counted after `earlier`, by cause.
fn causes_since(now: &Causes, earlier: &Causes) -> Causes {
    let since = |cause: &String, count: u64| count - earlier.get(cause).copied().unwrap_or(0);
    let since = now.iter().map(|(cause, count)| (cause.clone(), since(cause, *count)));
    since.filter(|(_, count)| *count > 0).collect()
}

/// The counts of a fleet.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// Reports written.
    pub reports: u64,
    /// Reports that were taken in late, of those with a Ping behind them.
    pub late: u64,
    /// Reports whose Ping was answered: the collector has taken them in.
    pub answered: u64,
    /// Reports whose Ping was not answered while somebody waited for it.
    pub unanswered: u64,
    /// Welcomes that name another interval than the agents asked for.
    pub other_interval: u64,
    /// Connections welcomed.
    pub welcomed: u64,
    /// Those of them that came by a ticket of TLS.
    pub resumed: u64,
    /// Sessions that agents ended with Bye.
    pub byes: u64,
    /// Sessions that agents ended otherwise.
    pub resets: u64,
    /// Times an agent had left for a while and was welcomed again in time.
    pub returned: u64,
    /// Times it was not.
    pub not_returned: u64,
    /// Attempts that failed before a Welcome, by Reject code or error.
    pub refused: Causes,
    /// Sessions that the collector ended or broke off.
    pub ended: Causes,
    /// How long things took.
    pub times: Histograms,
}

impl Tally {
    /// A report has been written: `after` it was due, of which the generator was `own` late itself.
    pub fn written(&mut self, after: Duration, own: Duration) {
        self.reports += 1;
        self.times.written.add(after);
        self.times.own_lag.add(own);
    }

    /// A report has been taken in, or nobody waits for that any more: `lag` after it was due, of
    /// which the generator was `own` late itself. It is late if the rest is more than `late`.
    pub fn taken_in(&mut self, lag: Duration, own: Duration, late: Duration) {
        let answer = lag.saturating_sub(own);
        self.late += u64::from(answer > late);
        self.times.lag.add(lag);
        self.times.answer.add(answer);
    }

    /// What was counted after `earlier`, all of which is counted here too.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            reports: self.reports - earlier.reports,
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

    /// Adds what was counted elsewhere or in another while.
    pub fn merge(&mut self, other: &Self) {
        self.reports += other.reports;
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
            tally.taken_in(lag, own, Duration::from_millis(100));
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
