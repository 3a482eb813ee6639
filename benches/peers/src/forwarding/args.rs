//! The flags of `forward`.

use std::time::Duration;

use clap::Args;
use fleetgauge_common::units::parse_duration;
use serde::Serialize;

use crate::cli::{OutputFiles, at_least_1s, fleet_size};
use crate::fleet_kind::FleetKind;

/// Flags of the comparison of senders.
#[derive(Debug, Args)]
pub struct ForwardArgs {
    /// Simulate N wide hosts
    #[arg(long, value_name = "N", value_parser = fleet_size, default_value = "1000")]
    hosts: usize,
    /// Sample hosts at this interval
    #[arg(long, value_name = "DURATION", value_parser = at_least_1s, default_value = "15s")]
    interval: Duration,
    /// Measure CPU, bytes and memory for this long
    #[arg(long, value_name = "DURATION", value_parser = at_least_1s, default_value = "45s")]
    duration: Duration,
    /// Length of the outage of the engine
    #[arg(long, value_name = "DURATION", value_parser = at_least_1s, default_value = "1m")]
    outage: Duration,
    /// Maximum wait for stale markers; 0s skips the test
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "60s")]
    pub stale_wait: Duration,
    /// Only measure programs and settings that contain TEXT, ignoring case (repeatable)
    #[arg(long, value_name = "TEXT")]
    pub only: Vec<String>,
    /// Where the results go
    #[command(flatten)]
    pub files: OutputFiles,
}

impl ForwardArgs {
    /// The settings of the run.
    #[must_use]
    pub fn plan(&self) -> Plan {
        let Self { hosts, interval, duration: window, outage, .. } = *self;
        Plan { kind: FleetKind::Wide, hosts, interval, window, outage }
    }
}

/// Settings of a run.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Plan {
    /// What the hosts report.
    pub kind: FleetKind,
    /// Number of hosts.
    pub hosts: usize,
    /// Interval between two samples of a host.
    pub interval: Duration,
    /// Length of the measurement of the cost.
    pub window: Duration,
    /// Length of the outage of the engine.
    pub outage: Duration,
}

impl Plan {
    /// Number of series of all hosts.
    #[must_use]
    pub fn series(self) -> usize {
        self.hosts.saturating_mul(self.kind.series())
    }
}
