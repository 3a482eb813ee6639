//! A copy of the registry at one moment, laid out for writing.

use std::sync::Arc;

use super::FamilyHead;
use crate::registry::SchemaEntry;

/// Bytes of an agent's labels, by estimate: an id and a role.
const LABEL_BYTES: usize = 48;

/// What stands between labels and value.
pub(crate) const CLOSE: &str = "} ";

/// What one page shows.
#[derive(Debug)]
pub struct Snapshot {
    /// The families, in the page's order.
    pub families: Vec<PageFamily>,
    /// The agents, those of one schema together.
    pub groups: Vec<Group>,
}

/// A family of the page.
#[derive(Debug)]
pub struct PageFamily {
    /// Its HELP, TYPE and UNIT lines.
    pub head: Arc<FamilyHead>,
    /// Where its series are: position of the group, and of the family in the group's schema.
    pub members: Vec<(usize, usize)>,
}

/// The agents of one schema: their labels and values in two dense arrays.
#[derive(Debug)]
pub struct Group {
    schema: Arc<SchemaEntry>,
    labels: String,
    label_ends: Vec<usize>,
    /// A row an agent, as wide as the schema.
    pub(crate) values: Vec<f64>,
}

impl Group {
    /// A group with room for about so many agents, so that its arrays need not grow.
    pub(crate) fn new(schema: Arc<SchemaEntry>, agents: usize) -> Self {
        let width = schema.schema().width;
        Self {
            schema,
            labels: String::with_capacity(agents * LABEL_BYTES),
            label_ends: Vec::with_capacity(agents),
            values: Vec::with_capacity(agents * width),
        }
    }

    /// The schema of its agents.
    #[must_use]
    pub fn schema(&self) -> &Arc<SchemaEntry> {
        &self.schema
    }

    /// Adds an agent by its labels; its values are added by the caller. The labels are kept with the brace that ends
    /// most lines' labels, so that it is written along with them.
    pub(crate) fn push_labels(&mut self, labels: &str) {
        self.labels.push_str(labels);
        self.labels.push_str(CLOSE);
        self.label_ends.push(self.labels.len());
    }

    /// Every agent's labels, with the closing brace and a space behind them, and values.
    pub fn rows(&self) -> impl Iterator<Item = (&str, &[f64])> {
        let width = self.schema.schema().width;
        let mut start = 0;
        self.label_ends.iter().enumerate().map(move |(row, &end)| {
            let labels = &self.labels[start..end];
            start = end;
            (labels, &self.values[row * width..(row + 1) * width])
        })
    }

    /// How many agents there are.
    #[must_use]
    pub fn agents(&self) -> usize {
        self.label_ends.len()
    }
}
