//! Encodes entries as series of remote write.
//!
//! A template per catalog has the labels that all agents have in common; an entry adds the values
//! of its own labels and of its rows. A series is then a few copies.

mod builder;
mod cache;
mod coding;
mod fixed;
mod labels;
mod presence;
pub(super) mod protobuf;
mod symbols;
mod template;
mod vanished;
mod writer;

pub use presence::CellSet;
pub use vanished::vanished;

use std::ops::Range;
use std::sync::Arc;

use super::rules::Rules;
use crate::config::Protocol;
use crate::registry::Layout;
use cache::TemplateCache;
use coding::Coding;
use labels::AgentLabels;
use protobuf::SampleAt;
use template::Template;
use writer::{Markers, Samples, Scratch, Source, Writer};

/// Encodes the samples of a destination.
#[derive(Debug)]
pub struct Encoder {
    rules: Arc<Rules>,
    cache: TemplateCache,
    agent: AgentLabels,
    scratch: Scratch,
    coding: Coding,
}

impl Encoder {
    /// Creates an encoder of remote write 1.0 without templates.
    #[must_use]
    pub fn new(rules: Arc<Rules>) -> Self {
        Self::with_protocol(rules, Protocol::V1)
    }

    /// Creates an encoder without templates.
    #[must_use]
    pub fn with_protocol(rules: Arc<Rules>, protocol: Protocol) -> Self {
        let (cache, agent, scratch) = Default::default();
        Self { rules, cache, agent, scratch, coding: Coding::new(protocol) }
    }

    /// Completes a request that has all series since the last call.
    pub fn finish(&mut self, request: &mut Vec<u8>) {
        self.coding.finish(request);
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
        let Self { rules, cache, agent, scratch, coding } = self;
        agent.parse(labels);
        let (blocked, protocol) = (cache.blocked_metrics(rules, layout), coding.protocol());
        let (sample, cells) = (&SampleAt::new(unix_ms), &cells);
        let mut written = 0;
        let catalogs = layout.tables().map(|(entry, tables)| (Some(&**entry), Some(tables)));
        let agent_up = rules.agent_up().then_some((None, None));
        for (entry, tables) in catalogs.chain(agent_up) {
            let Template { fixed, shape, .. } =
                cache.template(rules, labels, agent, blocked, entry, protocol);
            let (scratch, coding, out) = (&mut *scratch, &mut *coding, &mut *out);
            let mut writer =
                Writer { shape, fixed, coding, source, sample, cells, scratch, out, written };
            writer.start(agent);
            match tables {
                Some(tables) => {
                    for (table, placed) in shape.tables.iter().zip(tables) {
                        writer.table(table, placed.rows.map(|rows| rows.rows()), placed.start);
                    }
                }
                None => {
                    shape.tables.iter().for_each(|up| writer.table(up, None, layout.cells()));
                }
            }
            written = writer.written;
        }
        written
    }
}

#[cfg(test)]
pub(super) mod tests;
