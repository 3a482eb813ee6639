//! Settings from the command line, the environment and a TOML file.
//!
//! A program declares each [`Setting`] once. From the declarations come the flags and their help
//! ([`Flags`]), the variables `FLEETGAUGE_<NAME>` ([`Environment`]) and the keys of the file.
//! [`Layers`] merges the three over the defaults, checks every value of every source, and collects
//! the errors, so that all of them are reported at once.

mod declaration;
mod effective;
mod environment;
mod error;
mod file;
mod flags;
mod kind;
mod layers;
pub mod names;
mod nearest;
mod tables;
mod values;

use std::collections::BTreeMap;
use std::fmt;

pub use declaration::{Program, Setting, Tables, setting};
pub use effective::Effective;
pub use environment::Environment;
pub use error::{Origin, SettingError, SettingErrors};
pub use flags::Flags;
pub use kind::Kind;
pub use layers::Layers;
pub use tables::Entry;
pub use values::Values;

/// A value as text, with its source.
#[derive(Clone, PartialEq, Eq)]
pub struct Value {
    /// The text. An entry of a table is `NAME=VALUE`.
    pub text: String,
    /// Where the value was written.
    pub origin: Origin,
}

/// Hides the text, which may be a secret.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Value").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// The values of a setting in one source.
#[derive(Debug, Clone)]
struct Given {
    /// Where the setting was written.
    origin: Origin,
    /// The value, or all values of a list or table.
    values: Vec<Value>,
    /// The tables of an array of tables.
    entries: Vec<Entry>,
}

/// The values of one source, by the name of the setting.
type Layer = BTreeMap<&'static str, Given>;

impl Given {
    fn new(origin: Origin, texts: impl IntoIterator<Item = String>) -> Self {
        let value = |text| Value { text, origin: origin.clone() };
        let values = texts.into_iter().map(value).collect();
        Self { values, origin, entries: Vec::new() }
    }

    /// Returns the first value: the only one, unless the setting is a list or table.
    fn first(&self) -> Option<&Value> {
        self.values.first()
    }
}

#[cfg(test)]
mod tables_tests;
#[cfg(test)]
mod tests;
