//! Options of collectors, named as node_exporter's flags after `--collector.`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use regex_lite::Regex;

use super::filter::Filter;
use super::{COLLECTORS, Collector};
use crate::config::NodePaths;

/// Maximum size of a compiled pattern, in bytes. The defaults need a few kilobytes.
const MAX_PATTERN_BYTES: usize = 256 * 1024;

/// Declares an option of a collector.
#[derive(Debug)]
pub(crate) struct NodeOption {
    /// Name, as in node_exporter's flag `--collector.NAME`: `filesystem.fs-types-exclude`.
    pub(crate) name: &'static str,
    /// What values it has.
    pub(crate) kind: OptionKind,
    /// Default value.
    pub(crate) default: &'static str,
}

/// The values that an option has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OptionKind {
    /// A regular expression that is not anchored. Empty: no pattern.
    Pattern,
    /// `true` or `false`.
    Switch,
    /// Some of these words, separated by commas.
    Words(&'static [&'static str]),
}

/// Paths and options of all collectors. All values are valid.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NodeOptions(Arc<Inner>);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Inner {
    paths: NodePaths,
    /// Values by option name, where they are not the defaults.
    values: BTreeMap<String, String>,
}

/// Why an option is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OptionError {
    /// No collector has this option.
    #[error("no collector has the option {0:?}")]
    Unknown(String),
    /// The value is not one of its kind.
    #[error("{name}: {problem}")]
    BadValue {
        /// Name of the option.
        name: &'static str,
        /// What is wrong.
        problem: String,
    },
}

impl NodeOptions {
    /// Checks the values of options.
    ///
    /// # Errors
    /// An option does not exist, or has an invalid value.
    pub(crate) fn try_new(
        paths: NodePaths,
        values: BTreeMap<String, String>,
    ) -> Result<Self, OptionError> {
        for (name, value) in &values {
            let option = declared(name).ok_or_else(|| OptionError::Unknown(name.clone()))?;
            option
                .kind
                .check(value)
                .map_err(|problem| OptionError::BadValue { name: option.name, problem })?;
        }
        Ok(Self(Arc::new(Inner { paths, values })))
    }

    /// Returns where the host's files are.
    #[cfg(test)]
    pub(crate) fn paths(&self) -> &NodePaths {
        &self.0.paths
    }

    /// Returns the path of a file below the mount point of procfs.
    pub(in crate::sampler) fn procfs(&self, file: impl AsRef<Path>) -> PathBuf {
        self.0.paths.procfs.join(file)
    }

    /// Returns the path of a file below the mount point of sysfs.
    pub(in crate::sampler) fn sysfs(&self, file: impl AsRef<Path>) -> PathBuf {
        self.0.paths.sysfs.join(file)
    }

    /// Returns the path on this host of an absolute path of the host that is sampled.
    pub(super) fn rootfs(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.0.paths.rootfs.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Returns the root of the host's filesystems.
    pub(super) fn root(&self) -> &Path {
        &self.0.paths.rootfs
    }

    /// Returns the path of a file of udev's data.
    pub(super) fn udev_data(&self, file: impl AsRef<Path>) -> PathBuf {
        self.0.paths.udev_data.join(file)
    }

    /// Returns the text of an option.
    pub(crate) fn text(&self, name: &str) -> &str {
        debug_assert!(declared(name).is_some(), "{name} is not declared");
        match self.0.values.get(name) {
            Some(value) => value,
            None => declared(name).map_or("", |option| option.default),
        }
    }

    /// Returns the words of an option.
    pub(super) fn words(&self, name: &str) -> impl Iterator<Item = &str> {
        split(self.text(name))
    }

    /// Returns whether a switch is on.
    pub(super) fn switch(&self, name: &str) -> bool {
        self.text(name) == "true"
    }

    /// Returns the filter of two options with patterns. An include pattern replaces the default of
    /// the exclude pattern. An empty name: the collector has no such option.
    pub(super) fn filter(&self, include: &str, exclude: &str) -> Filter {
        let include = self.pattern(include);
        let is_replaced = include.is_some() && !self.0.values.contains_key(exclude);
        Filter::new(include, if is_replaced { None } else { self.pattern(exclude) })
    }

    /// Returns the pattern of an option; `None` if it is empty.
    fn pattern(&self, name: &str) -> Option<Regex> {
        let text = if name.is_empty() { "" } else { self.text(name) };
        (!text.is_empty()).then(|| compile(text).ok()).flatten()
    }
}

impl OptionKind {
    fn check(self, value: &str) -> Result<(), String> {
        match self {
            Self::Pattern => compile(value).map(drop),
            Self::Switch if matches!(value, "true" | "false") => Ok(()),
            Self::Switch => Err(format!("{value:?} is neither true nor false")),
            Self::Words(words) => match split(value).find(|word| !words.contains(word)) {
                None => Ok(()),
                Some(word) => Err(format!("{word:?} is none of the words {}", words.join(", "))),
            },
        }
    }
}

/// Returns the words of a list with commas.
fn split(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').filter(|word| !word.is_empty())
}

fn compile(pattern: &str) -> Result<Regex, String> {
    let mut builder = regex_lite::RegexBuilder::new(pattern);
    builder.size_limit(MAX_PATTERN_BYTES);
    builder.build().map_err(|error| format!("{pattern:?} is not a regular expression: {error}"))
}

/// Returns the declaration of an option.
fn declared(name: &str) -> Option<&'static NodeOption> {
    let options = |collector: &'static Collector| collector.options;
    COLLECTORS.iter().flat_map(options).find(|option| option.name == name)
}
