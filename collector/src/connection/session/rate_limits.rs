//! Rate limits of an agent's frames and row changes.

use fleetgauge_proto::{Code, Kind};

use crate::clock::{MICROS, Millis};
use crate::config::Bounds;
use crate::limits::leaky_bucket::LeakyBucket;
use crate::peers::refusal::Refusal;

/// Maximum burst of frames, in report intervals. Bursts are allowed because frames that a frozen
/// collector or a network failure has delayed arrive at once.
const BURST_INTERVALS: Millis = 20;

/// A second of the rate limits' clock.
const SECOND: u64 = 1_000 * MICROS;

/// Rate limits of an agent. Their levels are in microseconds.
#[derive(Debug, Default)]
pub(super) struct RateLimits {
    frames: LeakyBucket,
    row_changes: LeakyBucket,
}

impl RateLimits {
    /// Charges a frame. A Catalog costs as much as all Reports of an interval.
    pub(super) fn charge_frame(
        &mut self,
        kind: Kind,
        now: Millis,
        interval_ms: Millis,
        bounds: &Bounds,
    ) -> Result<(), Refusal> {
        let reports = bounds.reports_per_interval;
        let interval = interval_ms * MICROS;
        let cost = if kind == Kind::Catalog { interval } else { interval / reports };
        if self.frames.try_pour(now * MICROS, cost, BURST_INTERVALS * interval) {
            return Ok(());
        }
        let burst = reports * BURST_INTERVALS;
        let detail = format!(
            "too many frames; the last was of kind {kind}. The limit is {reports} per \
             {interval_ms} ms, and {burst} in a burst; a Catalog counts as {reports}"
        );
        Err(Refusal { detail, ..Refusal::of(Code::TooManyReports) })
    }

    /// Charges added and removed rows. Bursts are allowed because an agent adds all its rows when
    /// it connects.
    pub(super) fn charge_rows(
        &mut self,
        changed: usize,
        now: Millis,
        bounds: &Bounds,
    ) -> Result<(), Refusal> {
        let max = bounds.row_changes_per_second;
        let burst = u64::from(bounds.limits.max_series);
        let cost = cost_of_rows(changed as u64, max);
        if self.row_changes.try_pour(now * MICROS, cost, cost_of_rows(burst, max)) {
            return Ok(());
        }
        let detail = format!(
            "too many row changes: the limit is {max} per second, and {burst} in a burst; each \
             added or removed row counts"
        );
        Err(Refusal { detail, ..Refusal::of(Code::TooManyRowChanges) })
    }
}

/// Returns the cost of changed rows in microseconds, if `max` per second are allowed.
fn cost_of_rows(rows: u64, max: u64) -> u64 {
    rows.saturating_mul(SECOND) / max
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cost of one row was once rounded down to whole microseconds.
    #[test]
    fn rows_are_not_cheaper_than_their_rate_allows() {
        assert_eq!(cost_of_rows(700_000, 700_000), SECOND);
        assert_eq!(cost_of_rows(1_000_000, 1_000_000), SECOND);
        assert_eq!(cost_of_rows(50_000, 300), 50_000 * SECOND / 300);
    }
}
