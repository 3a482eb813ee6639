//! Flags for the series of simulated hosts.

use std::time::Duration;

use clap::Args;

use super::help_headings::FLEET;
use super::value_parsers as parse;
use crate::host_profile::{HostModel, HostProfile};

/// The series of each host, and how fast its rows change.
#[derive(Debug, Clone, Args)]
pub struct HostArgs {
    /// Series of each host
    #[arg(long, value_name = "PROFILE", value_enum, default_value_t, help_heading = FLEET)]
    pub profile: HostProfile,
    /// Percentage of each host's rows to replace, add or remove per second
    ///
    /// Counts all rows, but only those of disks, file systems and network devices change. Requires
    /// --profile node or node-large.
    ///
    /// Example: --profile node --row-churn 0.5%/s
    #[arg(long, value_name = "PERCENT/s", default_value = "0%/s", help_heading = FLEET)]
    #[arg(value_parser = parse::row_churn)]
    pub row_churn: f64,
}

impl HostArgs {
    /// Checks settings that depend on each other.
    ///
    /// # Errors
    /// Names the invalid flag and the allowed values.
    pub fn check(&self, interval: Duration) -> Result<(), String> {
        match HostModel::try_new(self.profile, self.row_churn, interval) {
            Ok(_) => Ok(()),
            Err(max) if max > 0.0 => Err(format!(
                "--row-churn {}%/s: must be at most {max:.3}%/s with reports every {} s: a row \
                 changes at most once per report; use a shorter --interval",
                self.row_churn,
                interval.as_secs_f64()
            )),
            Err(_) => Err("--row-churn needs --profile node or node-large".to_owned()),
        }
    }

    /// Returns the hosts; without row churn if [`HostArgs::check`] fails.
    #[must_use]
    pub fn model(&self, interval: Duration) -> HostModel {
        let stable = HostModel { profile: self.profile, ..HostModel::default() };
        HostModel::try_new(self.profile, self.row_churn, interval).unwrap_or(stable)
    }
}
