//! Tolerances of the judge: the delays that it allows the collector.

use std::time::Duration;

/// A page must show every report that was written this long before the request.
pub const SETTLED: Duration = Duration::from_secs(1);
/// A page must not show agents that disconnected this long before the request.
pub const GONE: Duration = Duration::from_millis(100);
/// Replaces [`GONE`] after a mass departure.
pub const GONE_MASS: Duration = Duration::from_secs(1);
/// In a mass departure more agents than this disconnect within [`GONE_MASS`] before the request.
pub const MASS_DEPARTURE: usize = 1_000;
