//! The command line and the environment as sources of settings.

use clap::{ArgMatches, Args, Command, FromArgMatches};
use fleetgauge_common::settings::{self, Environment, Setting};

use super::declarations::PROGRAM;

/// The flags of a collector.
#[derive(Debug, Clone, Default)]
pub struct Flags(pub(crate) settings::Flags);

/// What settings are read from: flags and environment. Both can name a settings file.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The flags.
    pub flags: Flags,
    /// The environment.
    pub environment: Environment,
}

/// Uses only the flags, and no environment variables.
impl From<Flags> for Sources {
    fn from(flags: Flags) -> Self {
        Self { flags, environment: Environment::default() }
    }
}

impl Flags {
    /// Sets a setting to the value `text`, as a flag on the command line does.
    ///
    /// # Panics
    /// If there is no setting with this name.
    #[must_use]
    pub fn with(self, name: &str, text: impl AsRef<str>) -> Self {
        let setting = PROGRAM.find(name);
        let setting = setting.unwrap_or_else(|| panic!("the collector has no setting {name}"));
        Self(self.0.with(setting, text.as_ref()))
    }

    /// Removes the flag of the setting with this name.
    #[must_use]
    pub fn without(self, name: &str) -> Self {
        Self(self.0.without(name))
    }

    /// Whether `--check` is given: the collector checks the settings and exits.
    #[must_use]
    pub fn check(&self) -> bool {
        self.0.check
    }

    /// All settings of the collector. Each has a flag, except arrays of tables.
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
