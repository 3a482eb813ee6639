//! What the fleet counts while it runs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::sync::watch;

/// A report is late if it was written so long after it was due, the generator's own lag not counted.
pub const LATE: Duration = Duration::from_millis(100);
/// Longest time a histogram tells from longer ones, in microseconds: ten minutes.
const LONGEST_US: u64 = 600_000_000;

/// Times, kept to two digits.
#[derive(Debug)]
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

/// What is known of the times of the fleet's acts.
#[derive(Debug, Default)]
pub struct Histograms {
    /// From connect to Welcome.
    pub connect: Times,
    /// From when a report was due to when it was written.
    pub lag: Times,
    /// The part of that by which the generator's own timer woke late.
    pub own_lag: Times,
    /// From when the generator turned to a report to the answer of a Ping that followed it.
    pub answer: Times,
}

/// Counts by cause.
#[derive(Debug, Default)]
pub struct Causes(Mutex<BTreeMap<String, u64>>);

impl Causes {
    /// One more of this cause.
    pub fn add(&self, cause: &str) {
        let mut causes = lock(&self.0);
        match causes.get_mut(cause) {
            Some(count) => *count += 1,
            None => drop(causes.insert(cause.to_owned(), 1)),
        }
    }

    /// All of them.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<String, u64> {
        lock(&self.0).clone()
    }
}

/// The counts of a fleet.
#[derive(Debug)]
pub struct Tally {
    /// Reports written.
    pub reports: AtomicU64,
    /// Reports that were late, see [`LATE`].
    pub late: AtomicU64,
    /// Connections welcomed.
    pub welcomed: AtomicU64,
    /// Sessions that agents ended with Bye.
    pub byes: AtomicU64,
    /// Sessions that agents ended by a reset.
    pub resets: AtomicU64,
    /// Attempts that failed before a Welcome, by Reject code or error.
    pub refused: Causes,
    /// Sessions that the collector ended or broke off.
    pub ended: Causes,
    /// Agents in a session now.
    pub present: AtomicU64,
    /// Agents that have had a session and reported in it.
    pub reporting: watch::Sender<usize>,
    times: Mutex<Histograms>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            reports: AtomicU64::new(0),
            late: AtomicU64::new(0),
            welcomed: AtomicU64::new(0),
            byes: AtomicU64::new(0),
            resets: AtomicU64::new(0),
            refused: Causes::default(),
            ended: Causes::default(),
            present: AtomicU64::new(0),
            reporting: watch::Sender::new(0),
            times: Mutex::default(),
        }
    }
}

impl Tally {
    /// The times so far.
    pub fn times(&self) -> MutexGuard<'_, Histograms> {
        lock(&self.times)
    }

    /// A report has been written: `lag` after it was due, of which the generator was `own` late itself.
    pub fn report(&self, lag: Duration, own: Duration) {
        add(&self.reports);
        if lag.saturating_sub(own) > LATE {
            add(&self.late);
        }
        let mut times = self.times();
        times.lag.add(lag);
        times.own_lag.add(own);
    }
}

/// Counts one more.
pub fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// The count.
#[must_use]
pub fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Counts are whole after every statement, whoever panicked meanwhile.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
