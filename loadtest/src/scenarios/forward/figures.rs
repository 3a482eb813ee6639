//! Measurements of `forward`.

use std::time::Duration;

use fleetgauge_receiver::Ledger;
use serde::Serialize;

use super::backlog::BacklogFigures;
use super::roster::RosterFigures;
use crate::child::collector::CollectorProcess;
use crate::cli::forward_args::ForwardArgs;
use crate::results::quantiles::Quantiles;
use crate::scenarios::scenario_run::ScenarioRun;
use crate::tally::Times;
use crate::usage;

/// What the engine has received by some moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Received {
    /// Samples, with those that were sent again.
    samples: u64,
    repeated: u64,
    bytes: u64,
    requests: u64,
}

impl Received {
    pub(super) fn of(ledger: &Ledger) -> Self {
        let repeated = ledger.repeated_total();
        Self {
            samples: ledger.samples_total().saturating_add(repeated),
            repeated,
            bytes: ledger.bytes_total(),
            requests: ledger.requests_total(),
        }
    }

    /// Samples, with those that were sent again.
    pub(super) fn samples(self) -> u64 {
        self.samples
    }

    /// Samples that were sent again.
    pub(super) fn repeated(self) -> u64 {
        self.repeated
    }

    /// Bytes of the requests.
    pub(super) fn bytes(self) -> u64 {
        self.bytes
    }

    pub(super) fn since(self, before: Self) -> Self {
        Self {
            samples: self.samples - before.samples,
            repeated: self.repeated - before.repeated,
            bytes: self.bytes - before.bytes,
            requests: self.requests - before.requests,
        }
    }
}

/// Outcome of the scenario, from the time of the troubles.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    /// The time before that, if agents started with logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) backlog: Option<BacklogFigures>,
    /// Samples that the engine received.
    samples: u64,
    /// Samples that it had already.
    repeated: u64,
    requests: u64,
    /// Reports that agents sent again.
    pub(super) replayed: u64,
    samples_per_second: f64,
    /// CPU time of the collectors for each sample, with that for the agents.
    cpu_per_sample_us: f64,
    few_ticks: bool,
    bytes_per_sample: f64,
    /// Age of samples when they arrived.
    age: Quantiles,
    /// Time from the death of an agent until all its series were marked.
    marked_after: Quantiles,
    /// Peak resident memory of all collectors.
    resident_peak_bytes: Option<u64>,
    /// What queries of the engine would have shown while collectors were restarted.
    pub(super) roster: Option<RosterFigures>,
}

impl Figures {
    pub(super) fn new(
        args: &ForwardArgs,
        received: Received,
        cpu: Duration,
        lag: &Times,
        run: &ScenarioRun,
        took: Duration,
    ) -> Self {
        let samples = received.samples.max(1) as f64;
        let pids = run.fleet.collectors.iter().map(CollectorProcess::pid);
        Self {
            backlog: None,
            samples: received.samples,
            repeated: received.repeated,
            requests: received.requests,
            replayed: 0,
            samples_per_second: samples / took.as_secs_f64(),
            cpu_per_sample_us: cpu.as_secs_f64() * 1e6 / samples,
            few_ticks: usage::is_of_few_ticks(cpu, args.collectors),
            bytes_per_sample: received.bytes as f64 / samples,
            age: Quantiles::from(lag),
            marked_after: Quantiles::default(),
            resident_peak_bytes: usage::peak(pids),
            roster: None,
        }
    }

    /// Takes the time until the series of agents that left were marked.
    pub(super) fn markers(&mut self, delays: &Times) {
        self.marked_after = Quantiles::from(delays);
    }
}
