//! What the benches have in common: CPU time as the measure, and fleets to measure.
//!
//! Wall time on a shared machine measures the neighbours. Every bench counts CPU time instead, of
//! its own thread or, where several threads work, of the process.

mod agent;
mod cpu_time;
mod fleet;

pub use agent::Agent;
pub use cpu_time::{Clock, CpuTime};
pub use fleet::{Fleet, SERIES, schema};

use std::time::Duration;

use criterion::Criterion;

/// A criterion that counts this CPU time, three seconds a bench.
#[must_use]
pub fn criterion(clock: Clock) -> Criterion<CpuTime> {
    Criterion::default()
        .with_measurement(CpuTime(clock))
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args()
}
