//! Encodes single series with labels of their own, such as the collector's metrics. Series of
//! agents have templates, which are faster.

use super::coding::{Coding, FamilyMetadata};
use super::protobuf::{SampleAt, push_label};
use crate::config::Protocol;

/// Names and values of the labels of a series, with `__name__`, sorted by name.
pub(in crate::remote_write) type SeriesLabels = Box<[(Box<str>, Box<str>)]>;

/// Encodes series one by one.
#[derive(Debug)]
pub(in crate::remote_write) struct LabeledEncoder {
    coding: Coding,
    /// The labels of a series, and what follows them. Kept, to allocate once.
    labels: Vec<u8>,
    rest: Vec<u8>,
}

impl LabeledEncoder {
    pub(in crate::remote_write) fn new(protocol: Protocol) -> Self {
        Self { coding: Coding::new(protocol), labels: Vec::new(), rest: Vec::new() }
    }

    /// Appends a series with one sample. Remote write 1.0 has no metadata there.
    pub(in crate::remote_write) fn series(
        &mut self,
        labels: &SeriesLabels,
        metadata: FamilyMetadata<'_>,
        value: f64,
        unix_ms: i64,
        out: &mut Vec<u8>,
    ) {
        let Self { coding, labels: encoded, rest } = self;
        encoded.clear();
        rest.clear();
        SampleAt::new(unix_ms).push(value, rest);
        match coding.symbols_mut() {
            None => {
                for (name, value) in labels {
                    push_label(name, value, encoded);
                }
            }
            Some(symbols) => {
                for text in labels.iter().flat_map(|(name, value)| [name, value]) {
                    Coding::push_reference(symbols.symbol(text), encoded);
                }
                let FamilyMetadata { kind, help, unit } = metadata;
                let [help, unit] = [help, unit].map(|text| symbols.symbol(text));
                Coding::push_metadata(kind, help, unit, rest);
            }
        }
        coding.push_head(encoded.len(), rest.len(), out);
        out.extend_from_slice(encoded);
        out.extend_from_slice(rest);
    }

    /// Completes a request that has all series since the last call.
    pub(in crate::remote_write) fn finish(&mut self, request: &mut Vec<u8>) {
        self.coding.finish(request);
    }
}
