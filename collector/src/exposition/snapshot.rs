//! A copy of the registry at one moment, laid out for writing.

use std::sync::Arc;

use super::FamilyHead;
use crate::registry::SchemaEntry;

/// What stands between labels and value. An agent's labels are kept with it behind them, so that it is written along.
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

/// The agents of one schema: their labels and values in dense arrays.
#[derive(Debug)]
pub struct Group {
    schema: Arc<SchemaEntry>,
    /// Every row's labels, one after another.
    labels: String,
    /// Bytes of each row's labels; 0 for a row without an agent.
    label_lens: Vec<u32>,
    /// A row as wide as the schema for each of `label_lens`.
    values: Vec<f64>,
}

impl Group {
    /// A group with room for so many agents and bytes of labels, so that its arrays need not grow.
    pub(crate) fn new(schema: Arc<SchemaEntry>, agents: usize, label_bytes: usize) -> Self {
        let width = schema.schema().width;
        Self {
            schema,
            labels: String::with_capacity(label_bytes),
            label_lens: Vec::with_capacity(agents),
            values: Vec::with_capacity(agents * width),
        }
    }

    /// The schema of its agents.
    #[must_use]
    pub fn schema(&self) -> &Arc<SchemaEntry> {
        &self.schema
    }

    /// Adds an agent.
    pub(crate) fn push(&mut self, labels: &str, values: &[f64]) {
        let len = u32::try_from(labels.len()).unwrap_or(u32::MAX);
        self.push_all(labels, &[len], values);
    }

    /// Adds rows: labels one after another, the length of each row's, and as many values as the schema is wide for each.
    pub(crate) fn push_all(&mut self, labels: &str, label_lens: &[u32], values: &[f64]) {
        self.labels.push_str(labels);
        self.label_lens.extend_from_slice(label_lens);
        self.values.extend_from_slice(values);
    }

    /// Every agent's labels, with the closing brace and a space behind them, and values.
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

    /// Whether no agent is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.label_lens.iter().all(|len| *len == 0)
    }
}
