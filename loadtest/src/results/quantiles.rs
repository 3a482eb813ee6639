//! Quantiles of a histogram of durations.

use serde::Serialize;

use crate::tally::Times;

/// Number of recorded durations, and their quantiles in milliseconds.
#[derive(Debug, Default, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Quantiles {
    pub count: u64,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub p999_ms: f64,
    pub max_ms: f64,
}

impl From<&Times> for Quantiles {
    fn from(times: &Times) -> Self {
        Self {
            count: times.count(),
            p50_ms: times.quantile_ms(0.5),
            p90_ms: times.quantile_ms(0.9),
            p99_ms: times.quantile_ms(0.99),
            p999_ms: times.quantile_ms(0.999),
            max_ms: times.longest_ms(),
        }
    }
}
