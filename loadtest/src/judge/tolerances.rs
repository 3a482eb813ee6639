//! What the judge grants the collector: every bound that pages are judged by.

use std::time::Duration;

/// A report that was written this long before a request must be on the page.
pub const SETTLED: Duration = Duration::from_secs(1);
/// An agent that was gone this long before a request must not be on the page.
pub const GONE: Duration = Duration::from_millis(100);
/// The same after a mass departure.
pub const GONE_MASS: Duration = Duration::from_secs(1);
/// A mass departure is more agents than this within [`GONE_MASS`] before the request.
pub const MASS_DEPARTURE: usize = 1_000;
