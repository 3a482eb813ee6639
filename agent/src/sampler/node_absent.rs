//! The metrics of node_exporter on other systems than Linux: none.

use std::collections::BTreeMap;

use super::SourceSpec;
use crate::config::NodePaths;

/// A collector. There is none.
#[derive(Debug)]
pub(crate) struct Collector {
    pub(crate) name: &'static str,
    pub(crate) by_default: bool,
    source: fn(&NodeOptions) -> SourceSpec,
}

pub(crate) const COLLECTORS: &[Collector] = &[];

impl Collector {
    /// Returns the source with these options.
    pub(crate) fn source(&self, options: &NodeOptions) -> SourceSpec {
        (self.source)(options)
    }
}

/// Returns the sources besides the collectors. There are none.
pub(crate) const fn other_sources(
    _has_node: bool,
    _peaks: bool,
    _options: &NodeOptions,
) -> Vec<SourceSpec> {
    Vec::new()
}

/// Options of collectors. There are none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NodeOptions(NodePaths);

/// The name of an option that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no collector has the option {0:?}: collectors need Linux")]
pub(crate) struct OptionError(String);

impl NodeOptions {
    /// Checks the values of options.
    ///
    /// # Errors
    /// There is a value: no option exists.
    pub(crate) fn try_new(
        paths: NodePaths,
        values: BTreeMap<String, String>,
    ) -> Result<Self, OptionError> {
        match values.into_keys().next() {
            Some(name) => Err(OptionError(name)),
            None => Ok(Self(paths)),
        }
    }

    /// Returns where the host's files are.
    #[cfg(test)]
    pub(crate) const fn paths(&self) -> &NodePaths {
        &self.0
    }
}
