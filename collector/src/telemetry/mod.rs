//! The collector's own metrics and its log.

pub mod log_limiter;
pub mod metrics;
pub mod sample;

pub(crate) mod collector_samples;
mod process;
pub(crate) mod refusal_log;

use prometheus_client::registry::Registry as MetricsRegistry;

use log_limiter::LogLimiter;
use metrics::Metrics;

/// Counters of the collector, and the rate limiter of its log.
#[derive(Debug)]
pub struct Telemetry {
    /// Metrics that are updated as events happen.
    pub metrics: Metrics,
    /// Rate limiter of log lines triggered by peers.
    pub log_limiter: LogLimiter,
}

impl Telemetry {
    /// Creates the metrics and registers them.
    #[must_use]
    pub fn new(registry: &mut MetricsRegistry) -> Self {
        Self { metrics: Metrics::new(registry), log_limiter: LogLimiter::default() }
    }
}
