//! The values of settings, and getters for each kind.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;

use super::declaration::Setting;
use super::error::Origin;
use super::flags::split;
use super::kind::{parse_number, parse_switch};
use super::{Given, Layer};
use crate::units::{parse_duration, parse_size};

/// The values of a program's settings, or of the keys of one table.
#[derive(Debug, Clone)]
pub struct Values {
    settings: &'static [Setting],
    /// The values in force of each setting that any source sets.
    given: Layer,
    /// Defaults that the program has computed, by the name of the setting.
    computed: BTreeMap<&'static str, String>,
}

impl Values {
    pub(super) fn new(settings: &'static [Setting], given: Layer) -> Self {
        Self { settings, given, computed: BTreeMap::new() }
    }

    /// Iterates over the declarations, in their order.
    pub(super) fn settings(&self) -> impl Iterator<Item = &'static Setting> {
        self.settings.iter()
    }

    /// Returns what the strongest source sets; `None` if no source does.
    pub(super) fn given(&self, name: &str) -> Option<&Given> {
        self.given.get(name)
    }

    pub(super) fn origin(&self, name: &str) -> Option<&Origin> {
        self.given.get(name).map(|given| &given.origin)
    }

    pub(super) fn set_default(&mut self, name: &'static str, text: String) {
        self.computed.insert(name, text);
    }

    /// Returns the default of a setting, as it would be written in a flag.
    pub(super) fn default_of(&self, name: &str) -> Option<&str> {
        let setting = || self.settings.iter().find(|setting| setting.name == name);
        let declared = || setting().and_then(|setting| setting.default);
        self.computed.get(name).map(String::as_str).or_else(declared)
    }

    /// Returns whether any source sets the setting; a default does not count.
    #[must_use]
    pub fn is_set(&self, name: &str) -> bool {
        self.given.contains_key(name)
    }

    /// Returns whether a switch is on.
    #[must_use]
    pub fn switch(&self, name: &str) -> bool {
        self.text(name).is_some_and(|text| parse_switch(text) == Ok(true))
    }

    /// Returns a text, path or choice as written; `None` if it is unset and has no default.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.given.get(name) {
            Some(given) => given.first().map(|value| value.text.as_str()),
            None => self.default_of(name),
        }
    }

    /// Returns a path; `None` if it is unset.
    #[must_use]
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.text(name).filter(|text| !text.is_empty()).map(PathBuf::from)
    }

    /// Returns the values of a list or the entries of a table; empty if it is unset and has no
    /// default.
    #[must_use]
    pub fn list(&self, name: &str) -> Vec<String> {
        match self.given.get(name) {
            Some(given) => given.values.iter().map(|value| value.text.clone()).collect(),
            None => self.default_of(name).map(split).unwrap_or_default(),
        }
    }

    /// Returns a number; 0 if it is unset and has no default.
    #[must_use]
    pub fn number(&self, name: &str) -> u64 {
        self.text(name).and_then(|text| parse_number(text).ok()).unwrap_or_default()
    }

    /// Returns a duration; zero if it is unset and has no default.
    #[must_use]
    pub fn duration(&self, name: &str) -> Duration {
        self.text(name).and_then(|text| parse_duration(text).ok()).unwrap_or_default()
    }

    /// Returns a size in bytes; 0 if it is unset and has no default.
    #[must_use]
    pub fn size(&self, name: &str) -> u64 {
        self.text(name).and_then(|text| parse_size(text).ok()).unwrap_or_default()
    }

    /// Returns a choice; the default of `E` if it is unset and has no default.
    #[must_use]
    pub fn choice<E: ValueEnum + Default>(&self, name: &str) -> E {
        self.text(name).and_then(|text| E::from_str(text, false).ok()).unwrap_or_default()
    }

    /// Returns the choices of a list, each once.
    #[must_use]
    pub fn choices<E: ValueEnum + PartialEq>(&self, name: &str) -> Vec<E> {
        let mut choices = Vec::new();
        for text in self.list(name) {
            if let Ok(choice) = E::from_str(&text, false)
                && !choices.contains(&choice)
            {
                choices.push(choice);
            }
        }
        choices
    }
}
