//! What the fleet looks like as a whole: of every gauge how its values are spread over the agents.
//!
//! The values are copied as columns, one a gauge and group, without labels; what is said of a column is exact.

mod bounds;
mod columns;
mod page;
mod spread;

use fleetgauge_proto::StaticLabels;
use fleetgauge_proto::message::Label;

pub use columns::{Column, Columns};
pub use page::write;
pub use spread::{QUANTILES, Spread};

/// Most groups that a page has: a label of more is rather the name of an agent.
pub const MAX_GROUPS: usize = 100;

/// What is asked about.
#[derive(Debug, Clone, Default)]
pub struct Question {
    /// One gauge alone.
    pub family: Option<String>,
    /// Grouped by this label that agents give themselves.
    pub by: Option<GroupLabel>,
}

/// A label that agents can give themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupLabel(String);

impl GroupLabel {
    /// `None` if no agent could have it.
    #[must_use]
    pub fn try_new(name: &str) -> Option<Self> {
        let label = Label { name, value: "any" };
        StaticLabels::try_new(&[label]).ok().map(|_| Self(name.to_owned()))
    }

    /// Its name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// The gauge is on no page.
    #[error("no connected agent shows a gauge of the name that family= asks for")]
    UnknownFamily,
    /// The label is as good as an id.
    #[error("the label {0} has more than {MAX_GROUPS} values: group by one that has fewer")]
    TooManyGroups(String),
}

#[cfg(test)]
mod tests;
