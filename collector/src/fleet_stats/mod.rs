//! The distribution of each gauge over all agents.
//!
//! Values are copied without labels into columns, one for each gauge and group. All results are
//! exact.

mod bounds;
mod columns;
mod distribution;
mod text;

use fleetgauge_proto::StaticLabels;
use fleetgauge_proto::message::Label;

pub use columns::{Column, Columns};
pub use distribution::{Distribution, QUANTILES};
pub use text::write;

/// Maximum groups on a page. A label with more values is likely to identify single agents.
pub const MAX_GROUPS: usize = 100;

/// A query of the page.
#[derive(Debug, Clone, Default)]
pub struct FleetQuery {
    /// Only this gauge.
    pub family: Option<String>,
    /// Group by this static label.
    pub by: Option<GroupLabel>,
}

/// The name of a static label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupLabel(String);

impl GroupLabel {
    /// Parses a label name; `None` if no agent can set it.
    #[must_use]
    pub fn try_new(name: &str) -> Option<Self> {
        let label = Label { name, value: "any" };
        StaticLabels::try_new(&[label]).ok().map(|_| Self(name.to_owned()))
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a query has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// No gauge of this name is on the shared pages.
    #[error("unknown gauge in family=; no connected agent exposes it")]
    UnknownFamily,
    /// The label has too many values.
    #[error("label {0} has more than {MAX_GROUPS} values; group by a label with fewer")]
    TooManyGroups(String),
}

#[cfg(test)]
mod tests;
