//! Encodes entries as series of remote write.
//!
//! A template per catalog has the labels that all agents have in common; an entry adds the values
//! of its own labels and of its rows. A series is then a few copies.

mod builder;
mod cache;
mod coding;
mod fixed;
mod labeled;
mod labels;
mod points;
mod presence;
pub(super) mod protobuf;
mod symbols;
mod template;
mod vanished;
mod writer;

pub(super) use coding::FamilyMetadata;
pub(super) use labeled::{LabeledEncoder, SeriesLabels};
pub(super) use points::STALE;
pub use points::{Points, Written};
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
use points::{Kind, Source};
use template::Template;
use writer::{Scratch, Writer};

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

    /// Appends the series of one agent that have points, those whose first value has an index in
    /// `cells`; `fleetgauge_agent_up` has the index `layout.cells()`. `points` are of reports that
    /// have these labels and this layout, and in the order of their times. Returns their number.
    pub fn series(
        &mut self,
        labels: &str,
        layout: &Layout,
        points: &[Points<'_>],
        cells: Range<usize>,
        out: &mut Vec<u8>,
    ) -> Written {
        match points {
            [] => Written::default(),
            [Points(Kind::Samples(samples))] => self.encode(labels, layout, samples, cells, out),
            [Points(Kind::Markers(markers))] => self.encode(labels, layout, markers, cells, out),
            _ => self.encode(labels, layout, points, cells, out),
        }
    }

    fn encode(
        &mut self,
        labels: &str,
        layout: &Layout,
        source: &(impl Source + ?Sized),
        cells: Range<usize>,
        out: &mut Vec<u8>,
    ) -> Written {
        let Self { rules, cache, agent, scratch, coding } = self;
        agent.parse(labels);
        let (blocked, protocol) = (cache.blocked_metrics(rules, layout), coding.protocol());
        let (cells, mut written) = (&cells, Written::default());
        let catalogs = layout.tables().map(|(entry, tables)| (Some(&**entry), Some(tables)));
        let agent_up = rules.agent_up().then_some((None, None));
        for (entry, tables) in catalogs.chain(agent_up) {
            let Template { fixed, shape, .. } =
                cache.template(rules, labels, agent, blocked, entry, protocol);
            let (scratch, coding, out) = (&mut *scratch, &mut *coding, &mut *out);
            let mut writer = Writer { shape, fixed, coding, source, cells, scratch, out, written };
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
