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

/// Maximum number of groups on a fleet page. A label with more values probably identifies single
/// agents.
pub const MAX_GROUPS: usize = 100;

/// The query of a request for the fleet page.
#[derive(Debug, Clone, Default)]
pub struct FleetQuery {
    /// Name of the only gauge to show; `None` for all.
    pub family: Option<String>,
    /// Static label to group agents by; `None` for no groups.
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

    /// Returns the name of the label.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a query has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// The fleet has no gauge with the requested name.
    #[error("unknown gauge: no connected agent exposes the family named by family=")]
    UnknownFamily,
    /// The label with this name has too many values to group by.
    #[error("label {0} has more than {MAX_GROUPS} values; group by a label with fewer")]
    TooManyGroups(String),
}

#[cfg(test)]
mod tests;
