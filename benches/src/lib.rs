//! CPU-time measurement, simulated fleets and recorded traces, shared by the benches.
//!
//! On a shared machine, wall time includes the work of other programs. So every bench measures CPU
//! time: of its own thread or, if it has several, of the process.

mod agent;
mod cpu_time;
mod fleet;
mod hosts;
mod resident;
mod trace;
mod traced_hosts;

pub use agent::Agent;
pub use cpu_time::{Clock, CpuTime};
pub use fleet::Fleet;
pub use hosts::{GAUGES, Hosts, SHARES, gauges};
pub use resident::resident_growth;
pub use trace::{BadLine, Page, Row, Trace};
pub use traced_hosts::TracedHosts;

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
