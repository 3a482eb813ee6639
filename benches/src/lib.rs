//! Shared by the benches: CPU time as the measurement, and fleets to measure.
//!
//! On a shared machine wall time includes other programs. So every bench measures CPU time: of its
//! own thread or, if it has several, of the process.

mod agent;
mod cpu_time;
mod fleet;

pub use agent::Agent;
pub use cpu_time::{Clock, CpuTime};
pub use fleet::{Fleet, SERIES, schema};

use std::time::Duration;

use criterion::Criterion;

/// Configures criterion to measure this CPU time, for three seconds per bench.
#[must_use]
pub fn criterion(clock: Clock) -> Criterion<CpuTime> {
    Criterion::default()
        .with_measurement(CpuTime(clock))
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args()
}
