//! What the hosts have offered: the time of each report. Its values are those of a
//! [`Reading`](crate::reading::Reading) with its sequence number.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The time of each report of each host, in milliseconds since 1970 UTC. Report 1 is the first.
#[derive(Debug)]
pub struct Offered {
    interval_ms: u64,
    is_scraped: bool,
    times: Vec<Mutex<Vec<u64>>>,
}

impl Offered {
    /// No reports of this number of hosts. If they are scraped, the sender decides on the times of
    /// the samples; else they are the times of the reports.
    #[must_use]
    pub fn new(hosts: usize, interval: Duration, is_scraped: bool) -> Self {
        let interval_ms = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX).max(1);
        Self { interval_ms, is_scraped, times: (0..hosts).map(|_| Mutex::default()).collect() }
    }

    /// Number of hosts.
    #[must_use]
    pub fn hosts(&self) -> usize {
        self.times.len()
    }

    /// Records a report. Returns its sequence number; 0 for a host that does not exist.
    pub fn push(&self, host: usize, unix_ms: u64) -> u64 {
        let Some(mut times) = self.host(host) else { return 0 };
        times.push(unix_ms);
        times.len() as u64
    }

    /// Times of the reports of a host.
    #[must_use]
    pub fn times(&self, host: usize) -> Vec<u64> {
        self.host(host).map_or_else(Vec::new, |times| times.clone())
    }

    /// Time of a report.
    #[must_use]
    pub fn time(&self, host: usize, sequence: u64) -> Option<u64> {
        let index = usize::try_from(sequence.checked_sub(1)?).ok()?;
        self.host(host)?.get(index).copied()
    }

    /// Sequence number of the newest report; 0 before the first.
    #[must_use]
    pub fn newest(&self, host: usize) -> u64 {
        self.host(host).map_or(0, |times| times.len() as u64)
    }

    fn host(&self, host: usize) -> Option<MutexGuard<'_, Vec<u64>>> {
        self.times.get(host).map(|times| times.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Index of the report that a sample of this time belongs to.
    ///
    /// Prometheus stamps a sample with the start of the scrape, or with the time at which it was
    /// due if both differ by at most 2 ms; vmagent with the time at which it was due, if both
    /// differ by at most a tenth of the interval.
    #[must_use]
    pub fn index_at(&self, times: &[u64], unix_ms: u64) -> Option<usize> {
        if !self.is_scraped {
            return times.binary_search(&unix_ms).ok();
        }
        let early = unix_ms.saturating_sub(self.interval_ms * 15 / 100);
        let index = times.partition_point(|time| *time < early);
        let late = unix_ms.saturating_add(self.interval_ms * 8 / 10);
        times.get(index).filter(|time| **time <= late).map(|_| index)
    }

    /// Number of reports that a host should have offered in this time, and did not because nothing
    /// scraped it.
    #[must_use]
    pub fn missed(&self, times: &[u64], within: &Range<u64>) -> u64 {
        let half = self.interval_ms / 2;
        // Scrapes that were due between two others.
        let between = times.windows(2).flat_map(|pair| {
            let (earlier, later) = (pair[0], pair[pair.len() - 1]);
            let steps = (later.saturating_sub(earlier) + half) / self.interval_ms;
            (1..steps).map(move |step| earlier + step * self.interval_ms)
        });
        let last = times.last().copied().unwrap_or(within.start);
        let since_last = within.end.saturating_sub(last).saturating_sub(half) / self.interval_ms;
        between.filter(|due| within.contains(due)).count() as u64 + since_last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(is_scraped: bool) -> Offered {
        Offered::new(1, Duration::from_secs(10), is_scraped)
    }

    #[test]
    fn sample_of_a_scrape_belongs_to_the_page_that_was_served_next() {
        let (times, scraped) = ([10_000, 20_000, 40_000], offered(true));
        let index = |unix_ms| scraped.index_at(&times, unix_ms);
        assert_eq!([index(9_998), index(20_900), index(19_000)], [Some(0), Some(1), Some(1)]);
        assert_eq!([index(31_000), index(45_000)], [None, None]);
    }

    #[test]
    fn sample_of_an_agent_has_exactly_the_time_of_its_report() {
        let (times, reported) = ([10_000, 20_000], offered(false));
        assert_eq!(reported.index_at(&times, 20_000), Some(1));
        assert_eq!(reported.index_at(&times, 20_001), None);
    }

    #[test]
    fn scrapes_that_are_missing_between_others_and_at_the_end_are_counted() {
        let scraped = offered(true);
        let missed = |times: &[u64], end| scraped.missed(times, &(15_000..end));
        assert_eq!(missed(&[10_000, 20_100, 29_900, 40_000], 45_000), 0);
        assert_eq!(missed(&[10_000, 20_000, 50_500], 52_000), 2);
        assert_eq!(missed(&[10_000, 20_000], 46_000), 2);
        assert_eq!(missed(&[0, 10_000, 20_000, 30_000], 34_000), 0);
        // The scrape after the gap was later than the end.
        assert_eq!(missed(&[10_000, 20_000, 50_000], 45_000), 2);
        assert_eq!(missed(&[0, 30_000, 40_000], 45_000), 1);
    }
}
