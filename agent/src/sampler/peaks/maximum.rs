//! The maximum of the rates since the sample before.

use std::time::Duration;

use super::{RATES, Rates};

/// Maximum age of rates that are reported again: if samples are as frequent as readings, there is
/// sometimes no reading between two samples.
const MAX_AGE: Duration = Duration::from_secs(2);

/// The maximum of rates, and the newest ones. Times are those of a monotonic clock.
#[derive(Debug, Default)]
pub(super) struct Maximum {
    maximum: Rates,
    newest: Rates,
    /// Time of the last reading, also of one without rates.
    read_at: Duration,
}

impl Maximum {
    /// Creates a maximum without rates. `now` counts as time of a reading.
    pub(super) fn new(now: Duration) -> Self {
        Self { read_at: now, ..Self::default() }
    }

    /// Adds the rates of a reading.
    pub(super) fn add(&mut self, now: Duration, rates: Rates) {
        for (maximum, rate) in self.maximum.iter_mut().zip(rates) {
            *maximum = match (*maximum, rate) {
                (Some(maximum), Some(rate)) => Some(maximum.max(rate)),
                (maximum, rate) => maximum.or(rate),
            };
        }
        (self.newest, self.read_at) = (rates, now);
    }

    /// Returns the maximum since the last call, and the time since the last reading.
    pub(super) fn take(&mut self, now: Duration) -> (Rates, Duration) {
        let mut peaks = std::mem::replace(&mut self.maximum, [None; RATES]);
        let age = now.saturating_sub(self.read_at);
        if age <= MAX_AGE {
            for (peak, newest) in peaks.iter_mut().zip(self.newest) {
                *peak = peak.or(newest);
            }
        }
        (peaks, age)
    }
}
