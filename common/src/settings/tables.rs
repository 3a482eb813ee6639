//! Arrays of tables in the settings file: `[[name]]`, then `KEY = VALUE`.

use std::collections::BTreeSet;
use std::ops::Deref;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::declaration::{Setting, Tables};
use super::error::{Origin, SettingError, unknown};
use super::file::{File, unknown_key};
use super::kind::Kind;
use super::values::Values;
use super::{Given, Layer};

/// One table of an array of tables. Its getters are those of [`Values`].
#[derive(Debug, Clone)]
pub struct Entry {
    /// The name of the array, and the number of the table, counted from 1: `scrape 2`.
    label: String,
    origin: Origin,
    values: Values,
}

/// Gives access to the getters.
impl Deref for Entry {
    type Target = Values;

    fn deref(&self) -> &Values {
        &self.values
    }
}

impl Entry {
    /// Returns the name of the array and the number of the table, counted from 1: `scrape 2`.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Returns the line of the table's header.
    pub(super) fn header(&self) -> &Origin {
        &self.origin
    }

    /// Creates an error of a key, at the line of the key or, if it is unset, of the table.
    #[must_use]
    pub fn error(&self, key: &str, problem: impl Into<String>) -> SettingError {
        let origin = self.values.origin(key).unwrap_or(&self.origin);
        self.error_at(key, problem, origin.clone())
    }

    fn error_at(&self, key: &str, problem: impl Into<String>, origin: Origin) -> SettingError {
        SettingError::new(format!("{}: {key}", self.label), problem).from(Some(origin))
    }

    /// Checks that a key is not set without the `other` that it needs.
    ///
    /// # Errors
    /// It is.
    pub fn requires(&self, key: &str, other: &str) -> Result<(), SettingError> {
        if self.is_set(key) && !self.is_set(other) {
            let problem = format!("requires {other}; set {other} too, or remove this key");
            return Err(self.error(key, problem));
        }
        Ok(())
    }

    /// Checks that not both keys are set.
    ///
    /// # Errors
    /// They are.
    pub fn excludes(&self, key: &str, other: &str) -> Result<(), SettingError> {
        if self.is_set(key) && self.is_set(other) {
            let problem = format!("cannot be combined with {other}; remove one of them");
            return Err(self.error(key, problem));
        }
        Ok(())
    }
}

/// Returns the placeholder of a key's value, with quotes if the value needs them.
fn placeholder(key: &Setting) -> String {
    match key.kind {
        Kind::Switch | Kind::Number(..) => key.value_name.to_owned(),
        _ => format!("\"{}\"", key.value_name),
    }
}

impl File<'_> {
    /// Reads an array of tables. `at` is the line of its key.
    pub(super) fn tables(
        &self,
        setting: &Setting,
        tables: &'static Tables,
        value: &Spanned<DeValue<'_>>,
        at: Origin,
        errors: &mut Vec<SettingError>,
    ) -> Option<Given> {
        let name = setting.name;
        let problem = match value.get_ref() {
            DeValue::Array(array) if array.len() <= tables.max_tables => {
                let numbered = array.iter().zip(1..);
                let entries = numbered.filter_map(|(value, number)| {
                    self.entry(format!("{name} {number}"), tables, value, errors)
                });
                let entries = entries.collect();
                return Some(Given { origin: at, values: Vec::new(), entries });
            }
            DeValue::Array(array) => {
                format!("has {} tables; at most {} are allowed", array.len(), tables.max_tables)
            }
            DeValue::Table(_) => format!("must have two brackets: [[{name}]]"),
            _ => format!("must be an array of tables: [[{name}]], then KEY = VALUE"),
        };
        errors.push(SettingError::new(name, problem).from(Some(at)));
        None
    }

    fn entry(
        &self,
        label: String,
        tables: &'static Tables,
        value: &Spanned<DeValue<'_>>,
        errors: &mut Vec<SettingError>,
    ) -> Option<Entry> {
        let origin = self.origin(value.span().start);
        let DeValue::Table(table) = value.get_ref() else {
            let problem = "must be a table: { KEY = VALUE }";
            errors.push(SettingError::new(label, problem).from(Some(origin)));
            return None;
        };
        let mut entry = Entry { label, origin, values: Values::new(tables.keys, Layer::new()) };
        let layer = self.keys(&entry, tables, table, errors);
        let present: BTreeSet<&str> = table.keys().map(|key| &**key.get_ref()).collect();
        let missing = tables.keys.iter().filter(|key| key.is_required);
        errors.extend(missing.filter(|key| !present.contains(key.name)).map(|key| {
            let problem = format!("is required; add {} = {}", key.name, placeholder(key));
            entry.error(key.name, problem)
        }));
        entry.values = Values::new(tables.keys, layer);
        Some(entry)
    }

    /// Reads and checks the keys of a table.
    fn keys(
        &self,
        entry: &Entry,
        tables: &'static Tables,
        table: &DeTable<'_>,
        errors: &mut Vec<SettingError>,
    ) -> Layer {
        let mut layer = Layer::new();
        for (key, value) in table {
            let name: &str = key.get_ref();
            let origin = self.origin(key.span().start);
            let Some(setting) = tables.keys.iter().find(|setting| setting.name == name) else {
                let problem = unknown_key(name, tables.keys, tables.hints, "key");
                errors.push(unknown(&format!("{}: {name}", entry.label), origin, problem));
                continue;
            };
            let written_as = format!("{name} = {{ NAME = \"VALUE\" }}");
            match self.values(setting, &written_as, value) {
                Ok(values) => {
                    errors.extend(values.iter().filter_map(|value| {
                        let problem = setting.kind.check(&value.text).err()?;
                        Some(entry.error_at(name, problem, value.origin.clone()))
                    }));
                    layer.insert(setting.name, Given { origin, values, entries: Vec::new() });
                }
                Err((at, problem)) => {
                    let origin = at.map_or(origin, |at| self.origin(at));
                    errors.push(entry.error_at(name, problem, origin));
                }
            }
        }
        layer
    }
}
