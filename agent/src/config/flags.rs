//! The command-line flags of the agent.

use clap::{ArgMatches, Args, Command, FromArgMatches};
use fleetgauge_common::settings::{self, Setting};

use super::declarations::PROGRAM;

/// The flags that an agent was started with.
#[derive(Debug, Clone, Default)]
pub struct Flags(pub(super) settings::Flags);

impl Flags {
    /// Returns whether to check the settings and exit.
    #[must_use]
    pub fn check(&self) -> bool {
        self.0.check
    }

    /// Returns all settings of the agent.
    #[must_use]
    pub fn settings() -> &'static [Setting] {
        PROGRAM.settings
    }
}

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        settings::Flags::add_to(command, PROGRAM.settings)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(settings::Flags::of_matches(PROGRAM.settings, matches)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
