//! Merges flags over environment over file over defaults, and collects all errors.

use std::ops::Deref;
use std::path::PathBuf;

use super::declaration::{Program, Setting};
use super::effective::Effective;
use super::environment::Environment;
use super::error::{Origin, SettingError, SettingErrors};
use super::flags::Flags;
use super::tables::Entry;
use super::values::Values;
use super::{Given, Layer, Value, file};

/// The settings of a program, merged. The getters return the value in force. If it is invalid, they
/// return a placeholder, and [`Layers::finish`] returns the error.
#[derive(Debug)]
pub struct Layers {
    program: Program,
    /// The values in force.
    values: Values,
    errors: Vec<SettingError>,
}

/// Gives access to the getters.
impl Deref for Layers {
    type Target = Values;

    fn deref(&self) -> &Values {
        &self.values
    }
}

impl Layers {
    /// Reads the flags, the environment, and the file that a flag or variable names. Checks every
    /// value, even if another source overrides it: removing the override must not cause an error.
    #[must_use]
    pub fn read(program: Program, flags: &Flags, environment: &Environment) -> Self {
        let mut errors = Vec::new();
        let flags = flags.layer();
        let variables = environment.layer(&program, &mut errors);
        let file = config(&flags, &variables).map(|path| file::read(&program, path, &mut errors));
        let mut values = Layer::new();
        for layer in [flags, variables, file.unwrap_or_default()] {
            for (name, given) in layer {
                let Some(setting) = program.find(name) else { continue };
                errors.extend(given.values.iter().filter_map(|value| check(setting, value)));
                values.entry(name).or_insert(given);
            }
        }
        Self { program, values: Values::new(program.settings, values), errors }
    }

    /// Returns the path of the settings file that a flag or variable names; `None` without one.
    #[must_use]
    pub fn config_path(
        program: &Program,
        flags: &Flags,
        environment: &Environment,
    ) -> Option<PathBuf> {
        let variables = environment.layer(program, &mut Vec::new());
        config(&flags.layer(), &variables).map(|value| PathBuf::from(&value.text))
    }

    /// Returns the tables of an array of tables; empty if it is unset. If a key is
    /// invalid, its getter returns a placeholder.
    #[must_use]
    pub fn tables(&self, name: &str) -> Vec<Entry> {
        self.values.given(name).map(|given| given.entries.clone()).unwrap_or_default()
    }

    /// Records an error of a setting, with the source that sets it.
    pub fn reject(&mut self, error: SettingError) {
        let origin = self.origin(error.setting()).cloned();
        self.errors.push(error.from(origin));
    }

    /// Returns the value of `Ok`. For `Err`, records the error and returns `None`.
    pub fn accept<T>(&mut self, result: Result<T, SettingError>) -> Option<T> {
        result.map_err(|error| self.reject(error)).ok()
    }

    /// Records an error if a setting is set without the `other` that it needs.
    pub fn requires(&mut self, name: &str, other: &str) {
        if self.is_set(name) && !self.is_set(other) {
            let other = self.name_beside(name, other);
            let problem = format!("requires {other}; set {other} too, or remove this setting");
            self.reject(SettingError::new(name, problem));
        }
    }

    /// Records an error if both settings are set.
    pub fn excludes(&mut self, name: &str, other: &str) {
        if self.is_set(name) && self.is_set(other) {
            let origin = self.origin(other).map(ToString::to_string).unwrap_or_default();
            let problem = format!("cannot be combined with {other} ({origin}); remove one of them");
            self.reject(SettingError::new(name, problem));
        }
    }

    /// Returns which of two alternative settings is in force: that of the source that overrides the
    /// other; `None` if neither is set. Records an error if one source sets both.
    pub fn either(&mut self, one: &'static str, other: &'static str) -> Option<&'static str> {
        let rank = |name| self.origin(name).map(Origin::rank);
        match (rank(one), rank(other)) {
            (None, None) => None,
            (Some(_), None) => Some(one),
            (None, Some(_)) => Some(other),
            (Some(first), Some(second)) => {
                if first == second {
                    self.excludes(one, other);
                }
                Some(if first <= second { one } else { other })
            }
        }
    }

    /// Returns the flag, variable or key of `other`, whichever the source of `name` uses.
    fn name_beside(&self, name: &str, other: &str) -> String {
        let setting = self.program.find(other);
        match (self.origin(name), setting) {
            (Some(Origin::Flag(_)), Some(setting)) => format!("--{}", setting.long_flag()),
            (Some(Origin::Variable(_)), Some(setting)) => setting.variable(),
            _ => other.to_owned(),
        }
    }

    /// Sets a default that depends on the system or on another setting.
    pub fn set_default(&mut self, name: &'static str, text: String) {
        self.values.set_default(name, text);
    }

    /// Records an error if a number exceeds a limit that the program has computed. `reason` says
    /// where the limit comes from.
    pub fn at_most(&mut self, name: &str, most: u64, reason: &str) {
        if self.is_set(name) && self.number(name) > most {
            let problem = format!("must be between 1 and {most}, {reason}");
            self.reject(SettingError::new(name, problem));
        }
    }

    /// Returns the settings in force, for `--check` and reloads.
    ///
    /// # Errors
    /// All invalid settings.
    pub fn finish(self) -> Result<Effective, SettingErrors> {
        match SettingErrors::of(self.errors) {
            Some(errors) => Err(errors),
            None => Ok(Effective::new(&self.values)),
        }
    }
}

/// Returns the value of `config` from flags or environment. The file cannot set it.
fn config<'a>(flags: &'a Layer, variables: &'a Layer) -> Option<&'a Value> {
    flags.get("config").or(variables.get("config")).and_then(Given::first)
}

fn check(setting: &Setting, value: &Value) -> Option<SettingError> {
    // The service manager's sockets are listening already.
    if value.origin == Origin::Socket {
        return None;
    }
    let problem = setting.kind.check(&value.text).err()?;
    Some(SettingError::of_value(setting, value, problem))
}
