//! Snapshots: copies of the registry, laid out for rendering.

use std::sync::Arc;

use super::FamilyHead;
use crate::registry::SchemaEntry;

/// The text between the labels and the value of a line. Rows store it after their labels, so that
/// the labels and this text are copied at once.
pub(crate) const CLOSE: &str = "} ";

/// A copy of the families and agents that a page shows.
#[derive(Debug)]
pub struct Snapshot {
    /// The families, in the order of the page.
    pub families: Vec<PageFamily>,
    /// The agents, grouped by schema.
    pub groups: Vec<Group>,
}

/// A family on a page.
#[derive(Debug)]
pub struct PageFamily {
    /// The family's HELP, TYPE and UNIT lines.
    pub head: Arc<FamilyHead>,
    /// For each group whose schema has this family: the index of the group, and of the family in
    /// the schema.
    pub members: Vec<(usize, usize)>,
}

/// The agents of one schema: their labels and values in dense arrays.
#[derive(Debug)]
pub struct Group {
    schema: Arc<SchemaEntry>,
    /// Labels of all rows, concatenated.
    labels: String,
    /// Length of each row's labels, in bytes; 0 for a vacant row.
    label_lens: Vec<u32>,
    /// Values of all rows, concatenated; each row has as many values as the schema.
    values: Vec<f64>,
}

impl Group {
    /// Creates a group with capacity for this many agents and bytes of labels.
    pub(crate) fn new(schema: Arc<SchemaEntry>, agents: usize, label_bytes: usize) -> Self {
        let width = schema.schema().width;
        Self {
            schema,
            labels: String::with_capacity(label_bytes),
            label_lens: Vec::with_capacity(agents),
            values: Vec::with_capacity(agents * width),
        }
    }

    /// Returns the schema.
    #[must_use]
    pub fn schema(&self) -> &Arc<SchemaEntry> {
        &self.schema
    }

    /// Adds an agent's rendered labels and values.
    pub(crate) fn push(&mut self, labels: &str, values: &[f64]) {
        let len = u32::try_from(labels.len()).unwrap_or(u32::MAX);
        self.push_all(labels, &[len], values);
    }

    /// Adds rows: their concatenated labels, the length of each row's labels, and their values.
    pub(crate) fn push_all(&mut self, labels: &str, label_lens: &[u32], values: &[f64]) {
        self.labels.push_str(labels);
        self.label_lens.extend_from_slice(label_lens);
        self.values.extend_from_slice(values);
    }

    /// Returns the rendered labels (with the closing brace) and the values of each agent.
    pub fn rows(&self) -> impl Iterator<Item = (&str, &[f64])> {
        let width = self.schema.schema().width;
        let mut labels = self.labels.as_str();
        let rows = self.label_lens.iter().enumerate().filter(|(_, len)| **len > 0);
        rows.map(move |(row, len)| {
            let (own, rest) = labels.split_at(*len as usize);
            labels = rest;
            (own, &self.values[row * width..(row + 1) * width])
        })
    }

    /// Whether the group has no agents.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.label_lens.iter().all(|len| *len == 0)
    }
}
