//! The command line and the environment as sources of settings.

use clap::{ArgMatches, Args, Command, FromArgMatches};
use fleetgauge_common::settings::{self, Environment, Setting};

use super::declarations::PROGRAM;

/// The flags of a collector.
#[derive(Debug, Clone, Default)]
pub struct Flags(pub(crate) settings::Flags);

/// What settings are read from: flags, environment, and the file that either of them names.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The flags.
    pub flags: Flags,
    /// The environment.
    pub environment: Environment,
}

/// Flags alone: no environment.
impl From<Flags> for Sources {
    fn from(flags: Flags) -> Self {
        Self { flags, environment: Environment::default() }
    }
}

impl Flags {
    /// Adds a flag by the name of its setting, as on the command line.
    ///
    /// # Panics
    /// There is no such setting.
    #[must_use]
    pub fn with(self, name: &str, text: impl AsRef<str>) -> Self {
        let setting = PROGRAM.find(name);
        let setting = setting.unwrap_or_else(|| panic!("the collector has no setting {name}"));
        Self(self.0.with(setting, text.as_ref()))
    }

    /// Removes a flag.
    #[must_use]
    pub fn without(self, name: &str) -> Self {
        Self(self.0.without(name))
    }

    /// Whether to check the settings and exit.
    #[must_use]
    pub fn check(&self) -> bool {
        self.0.check
    }

    /// The settings that these are flags of.
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
