//! The declaration of a setting.

use super::kind::Kind;

/// A setting, declared once for flags, environment and file.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The key in the file. The flag has `-` instead of `_`; the environment variable is
    /// `FLEETGAUGE_` and the name in capitals.
    pub name: &'static str,
    /// Name of the flag, without dashes; `None`: the name with `-` instead of `_`.
    pub flag: Option<&'static str>,
    /// Heading of the flag in `--help`.
    pub heading: Option<&'static str>,
    /// Kind of the value. It determines which values are valid.
    pub kind: Kind,
    /// Placeholder of the value in `--help`.
    pub value_name: &'static str,
    /// Description of the setting in `--help`, one line.
    pub help: &'static str,
    /// More sentences for the long `--help`; may be empty.
    pub details: &'static str,
    /// The default, as it would be written in a flag.
    pub default: Option<&'static str>,
    /// Description of a default that the program computes, for `--help`.
    pub default_note: Option<&'static str>,
    /// Whether the value is a list. Values of flags and variables are separated by commas.
    pub is_list: bool,
    /// Whether a list can also be one text in the file, separated by commas.
    pub is_words: bool,
    /// Whether a key of [`Tables`] must be set in every table.
    pub is_required: bool,
    /// Whether a reload applies a changed value. If not, the change requires a restart.
    pub reloads: bool,
    /// Whether the setting can be in the settings file.
    pub in_file: bool,
    /// Whether the setting has a flag.
    pub is_flag: bool,
    /// Whether the value is a secret, which must never be shown.
    pub is_secret: bool,
}

/// Declares a setting that takes one value and has no default.
#[must_use]
pub const fn setting(
    name: &'static str,
    kind: Kind,
    value_name: &'static str,
    help: &'static str,
) -> Setting {
    Setting {
        name,
        flag: None,
        heading: None,
        kind,
        value_name,
        help,
        details: "",
        default: None,
        default_note: None,
        is_list: matches!(kind, Kind::Table(_)),
        is_words: false,
        is_required: false,
        reloads: false,
        in_file: true,
        is_flag: !matches!(kind, Kind::Tables(_)),
        is_secret: false,
    }
}

impl Setting {
    /// Sets the heading of the flag in `--help`.
    #[must_use]
    pub const fn under(self, heading: &'static str) -> Self {
        Self { heading: Some(heading), ..self }
    }

    /// Sets the default, as it would be written in a flag.
    #[must_use]
    pub const fn default(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }

    /// Describes a default that the program computes.
    #[must_use]
    pub const fn default_note(self, note: &'static str) -> Self {
        Self { default_note: Some(note), ..self }
    }

    /// Adds sentences to the long `--help`.
    #[must_use]
    pub const fn details(self, details: &'static str) -> Self {
        Self { details, ..self }
    }

    /// Lets the setting have several values.
    #[must_use]
    pub const fn list(self) -> Self {
        Self { is_list: true, ..self }
    }

    /// Lets the setting have several words. In the file they are a list, or one text in which
    /// commas separate them.
    #[must_use]
    pub const fn words(self) -> Self {
        Self { is_list: true, is_words: true, ..self }
    }

    /// Makes a key of [`Tables`] required.
    #[must_use]
    pub const fn required(self) -> Self {
        Self { is_required: true, ..self }
    }

    /// Makes a key of [`Tables`] a secret: its value is never shown.
    #[must_use]
    pub const fn secret(self) -> Self {
        Self { is_secret: true, ..self }
    }

    /// Lets a reload apply a changed value.
    #[must_use]
    pub const fn reloads(self) -> Self {
        Self { reloads: true, ..self }
    }

    /// Excludes the setting from the settings file.
    #[must_use]
    pub const fn not_in_file(self) -> Self {
        Self { in_file: false, ..self }
    }

    /// Sets the name of the flag, if it differs from the name of the setting.
    #[must_use]
    pub const fn flag(self, flag: &'static str) -> Self {
        Self { flag: Some(flag), ..self }
    }

    /// Makes the setting a secret: only an environment variable can set it, and its value is never
    /// shown.
    #[must_use]
    pub const fn secret_variable(self) -> Self {
        Self { is_flag: false, in_file: false, is_secret: true, ..self }
    }

    /// Returns the name of the flag, without dashes.
    #[must_use]
    pub fn long_flag(&self) -> String {
        self.flag.map_or_else(|| self.name.replace('_', "-"), ToOwned::to_owned)
    }

    /// Returns the name of the environment variable.
    #[must_use]
    pub fn variable(&self) -> String {
        variable(self.name)
    }
}

/// Returns the name of a setting's environment variable.
pub(super) fn variable(name: &str) -> String {
    format!("{PREFIX}{}", name.to_ascii_uppercase())
}

/// Prefix of all environment variables.
pub(super) const PREFIX: &str = "FLEETGAUGE_";

/// The keys of an array of tables in the file: `[[name]]`, then `KEY = VALUE`. Only the file can
/// have one: flags and variables have no syntax for it.
#[derive(Debug, Clone, Copy)]
pub struct Tables {
    /// The keys of each table. Their kind cannot be [`Kind::Tables`].
    pub keys: &'static [Setting],
    /// Maximum number of tables.
    pub max_tables: usize,
    /// Plausible names that are not keys, each with what to do instead.
    pub hints: &'static [(&'static str, &'static str)],
}

/// The settings of a program.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// All settings of the program.
    pub settings: &'static [Setting],
    /// Names of the other program's settings: both programs may run in one environment.
    pub other: &'static [&'static str],
    /// Plausible names that are not settings, each with what to do instead.
    pub hints: &'static [(&'static str, &'static str)],
}

impl Program {
    /// Returns the setting of this name; `None` if there is none.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&'static Setting> {
        self.settings.iter().find(|setting| setting.name == name)
    }
}
