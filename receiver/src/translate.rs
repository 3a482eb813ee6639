//! Translation of requests of remote write 2.0 to 1.0, which is what the ledger takes.

use std::collections::BTreeSet;

use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};

use crate::labels::{Labels, MAX_LABELS};
use crate::scan::{self, Fields, Undecodable, Value};
use crate::wire::{Label, MetricMetadata};

/// Field numbers of a `WriteRequest` and a `TimeSeries` of 1.0.
const SERIES: u32 = 1;
const METADATA: u32 = 3;
const LABEL: u32 = 1;
const SAMPLE: u32 = 2;

/// References of a series: name and value of each label.
const MAX_REFERENCES: usize = 2 * MAX_LABELS;

/// Translates a request. The result has at most `limit` bytes: a long symbol can have many
/// references.
pub(crate) fn to_1_0(message: &[u8], limit: usize) -> Result<Vec<u8>, Undecodable> {
    let symbols = symbols(message)?;
    let mut translated = Vec::new();
    let mut families = BTreeSet::new();
    for field in Fields::new(message) {
        let (5, value) = field? else { continue };
        let Value::Bytes(series) = value else {
            return Err(Undecodable("wrong wire type in a request"));
        };
        let (series, metadata) = translate(series, &symbols, limit)?;
        push(&mut translated, SERIES, &series);
        if let Some(metadata) = metadata
            && families.insert(metadata.metric_family_name.clone())
        {
            push(&mut translated, METADATA, &metadata.encode_to_vec());
        }
        if translated.len() > limit {
            return Err(Undecodable("request too long with its symbols in place"));
        }
    }
    Ok(translated)
}

fn symbols(message: &[u8]) -> Result<Vec<&str>, Undecodable> {
    let mut symbols = Vec::new();
    for field in Fields::new(message) {
        match field? {
            (4, Value::Bytes(symbol)) => symbols.push(scan::text(symbol)?),
            (4, _) => return Err(Undecodable("wrong wire type in a request")),
            _ => {}
        }
    }
    match symbols.first() {
        Some(first) if !first.is_empty() => Err(Undecodable("first symbol is not empty")),
        _ => Ok(symbols),
    }
}

/// Translates a series; returns its metadata as well.
fn translate(
    message: &[u8],
    symbols: &[&str],
    limit: usize,
) -> Result<(Vec<u8>, Option<MetricMetadata>), Undecodable> {
    let (mut labels, mut samples, mut metadata) = (Vec::new(), Vec::new(), None);
    let mut references = Vec::new();
    for field in Fields::new(message) {
        match field? {
            (1, Value::Bytes(packed)) => scan::integers(packed, MAX_REFERENCES, &mut references)?,
            (1, Value::Varint(_)) => return Err(Undecodable("references that are not packed")),
            (2, Value::Bytes(sample)) => push(&mut samples, SAMPLE, sample),
            (5, Value::Bytes(message)) => metadata = Some(message),
            (1 | 2 | 5, _) => return Err(Undecodable("wrong wire type in a series")),
            _ => {}
        }
    }
    let (pairs, rest) = references.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(Undecodable("label without a value"));
    }
    for &[name, value] in pairs {
        let label = Label {
            name: symbol(symbols, name)?.to_owned(),
            value: symbol(symbols, value)?.to_owned(),
        };
        push(&mut labels, LABEL, &label.encode_to_vec());
        if labels.len() > limit {
            return Err(Undecodable("series too long with its symbols in place"));
        }
    }
    let metadata = match metadata {
        Some(message) => Some(translate_metadata(message, Labels::new(&labels), symbols)?),
        None => None,
    };
    labels.append(&mut samples);
    Ok((labels, metadata))
}

fn translate_metadata(
    message: &[u8],
    labels: Labels<'_>,
    symbols: &[&str],
) -> Result<MetricMetadata, Undecodable> {
    let metric_family_name = labels.metric().to_owned();
    let mut metadata = MetricMetadata { metric_family_name, ..Default::default() };
    for field in Fields::new(message) {
        match field? {
            (1, Value::Varint(kind)) => metadata.kind = i32::try_from(kind).unwrap_or(0),
            (3, Value::Varint(help)) => metadata.help = symbol(symbols, help)?.to_owned(),
            (4, Value::Varint(unit)) => metadata.unit = symbol(symbols, unit)?.to_owned(),
            _ => {}
        }
    }
    Ok(metadata)
}

fn symbol<'a>(symbols: &[&'a str], index: u64) -> Result<&'a str, Undecodable> {
    let symbol = usize::try_from(index).ok().and_then(|index| symbols.get(index));
    symbol.copied().ok_or(Undecodable("reference to a symbol that is not there"))
}

/// Appends a field that has a length.
fn push(message: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    encode_key(number, WireType::LengthDelimited, message);
    encode_varint(u64::try_from(bytes.len()).unwrap_or(u64::MAX), message);
    message.extend_from_slice(bytes);
}
