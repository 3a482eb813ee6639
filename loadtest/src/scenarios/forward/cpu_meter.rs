//! CPU time of collectors that are killed and restarted.

use std::time::Duration;

use crate::scenarios::scenario_run::ScenarioRun;
use crate::usage::Usage;

/// Sums the CPU time of the collectors.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct CpuMeter {
    /// CPU time of the processes before the measurement.
    before: Duration,
    /// CPU time of processes that have ended.
    ended: Duration,
}

impl CpuMeter {
    /// Begins the measurement.
    pub(super) fn start(run: &ScenarioRun) -> Self {
        Self { before: used(run), ended: Duration::ZERO }
    }

    /// Adds the time of all processes, which are about to end.
    pub(super) fn processes_end(&mut self, run: &ScenarioRun) {
        self.ended += used(run);
    }

    /// Adds the time of a process that is about to end.
    pub(super) fn process_ends(&mut self, usage: Option<Usage>) {
        self.ended += usage.map_or(Duration::ZERO, |usage| usage.cpu);
    }

    /// CPU time since the start of the measurement.
    pub(super) fn total(&self, run: &ScenarioRun) -> Duration {
        (self.ended + used(run)).saturating_sub(self.before)
    }
}

fn used(run: &ScenarioRun) -> Duration {
    run.fleet.collectors_usage().map_or(Duration::ZERO, |usage| usage.cpu)
}
