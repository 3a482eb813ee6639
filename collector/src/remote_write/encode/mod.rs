//! Encodes entries as series of remote write.
//!
//! A template per catalog has the labels that all agents have in common; an entry adds the values
//! of its own labels and of its rows. A series is then a few copies.

mod builder;
mod cache;
mod labels;
mod presence;
pub(super) mod protobuf;
mod template;
mod vanished;
mod writer;

pub use presence::CellSet;
pub use vanished::vanished;

use std::ops::Range;
use std::sync::Arc;

use super::rules::Rules;
use crate::registry::Layout;
use cache::TemplateCache;
use labels::AgentLabels;
use protobuf::SampleAt;
use writer::{Markers, Samples, Scratch, Source, Writer};

/// Encodes the samples of a destination.
#[derive(Debug)]
pub struct Encoder {
    rules: Arc<Rules>,
    cache: TemplateCache,
    agent: AgentLabels,
    scratch: Scratch,
}

impl Encoder {
    /// Creates an encoder without templates.
    #[must_use]
    pub fn new(rules: Arc<Rules>) -> Self {
        let (cache, agent, scratch) = Default::default();
        Self { rules, cache, agent, scratch }
    }

    /// Appends a sample for each series without absent values whose first value has an index in
    /// `cells`; `fleetgauge_agent_up` has the index `layout.cells()`. Returns the number of
    /// samples.
    pub fn samples(
        &mut self,
        labels: &str,
        layout: &Layout,
        values: &[f64],
        cells: Range<usize>,
        unix_ms: i64,
        out: &mut Vec<u8>,
    ) -> usize {
        self.encode(labels, layout, &Samples(values), cells, unix_ms, out)
    }

    /// Appends a stale marker for each series in `present` whose first value has an index in
    /// `cells`. Returns the number of markers.
    pub fn markers(
        &mut self,
        labels: &str,
        layout: &Layout,
        present: &CellSet,
        cells: Range<usize>,
        unix_ms: i64,
        out: &mut Vec<u8>,
    ) -> usize {
        self.encode(labels, layout, &Markers(present), cells, unix_ms, out)
    }

    fn encode(
        &mut self,
        labels: &str,
        layout: &Layout,
        source: &impl Source,
        cells: Range<usize>,
        unix_ms: i64,
        out: &mut Vec<u8>,
    ) -> usize {
        let Self { rules, cache, agent, scratch } = self;
        agent.parse(labels);
        let blocked = cache.blocked_metrics(rules, layout);
        let (sample, cells) = (&SampleAt::new(unix_ms), &cells);
        let mut written = 0;
        for (entry, tables) in layout.tables() {
            let template = cache.template(rules, labels, agent, blocked, Some(entry));
            let (scratch, out) = (&mut *scratch, &mut *out);
            let mut writer = Writer { template, source, sample, cells, scratch, out, written };
            writer.start(agent);
            for (table, placed) in template.tables.iter().zip(tables) {
                writer.table(table, placed.rows.map(|rows| rows.rows()), placed.start);
            }
            written = writer.written;
        }
        if rules.agent_up() {
            let template = cache.template(rules, labels, agent, blocked, None);
            let mut writer = Writer { template, source, sample, cells, scratch, out, written };
            writer.start(agent);
            for table in &template.tables {
                writer.table(table, None, layout.cells());
            }
            written = writer.written;
        }
        written
    }
}

#[cfg(test)]
pub(super) mod tests;
