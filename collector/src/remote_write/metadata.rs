//! Metadata of metric families, as engines store it from a scrape of the text format.
//!
//! `MetricMetadata { MetricType type = 1; string metric_family_name = 2; string help = 4;
//! string unit = 5; }` in field 3 of `WriteRequest`.

use fleetgauge_proto::catalog::{Family, FamilyKind};

use super::encode::protobuf::{push_len, push_varint};
use super::rules::{Blocked, Rules};
use crate::exposition::KindLines;

/// Tag of field 3 of the request: `metadata`.
const METADATA: u8 = 0x1a;
/// Tags of the fields of `MetricMetadata`.
const TYPE: u8 = 0x08;
const NAME: u8 = 0x12;
const HELP: u8 = 0x22;
const UNIT: u8 = 0x2a;

/// Appends the metadata of a family. Returns false without writing anything if the family has no
/// metadata: its kind is unknown, its samples are dropped, or they are renamed to names that have
/// no family.
pub fn write_metadata(family: &Family, rules: &Rules, out: &mut Vec<u8>) -> bool {
    let Some(kind) = family.kind else { return false };
    let Some(name) = family_name(&family.name, kind, rules) else { return false };
    let mut message = Vec::new();
    message.push(TYPE);
    push_varint(type_number(kind).into(), &mut message);
    for (tag, text) in [(NAME, &*name), (HELP, &*family.help), (UNIT, &*family.unit)] {
        if !text.is_empty() {
            message.push(tag);
            push_len(text.len(), &mut message);
            message.extend_from_slice(text.as_bytes());
        }
    }
    out.push(METADATA);
    push_len(message.len(), out);
    out.extend_from_slice(&message);
    true
}

/// Returns the name of a family whose samples are forwarded. Renames that do not apply to an agent,
/// because the new name is in use, apply here: metadata belongs to no agent.
fn family_name(name: &str, kind: FamilyKind, rules: &Rules) -> Option<String> {
    let lines = KindLines::of(kind);
    let parameter = lines.parameter.iter().map(|parameter| parameter.suffix);
    let mut suffixes = parameter.chain(lines.plain.iter().copied());
    // The first sample name that is forwarded decides. Its suffix is none of the family's name.
    let suffix = suffixes.find(|suffix| rules.keeps_metric(&format!("{name}{suffix}")))?;
    let sample = format!("{name}{suffix}");
    let sample = rules.rename_metrics().new_name(&sample, Blocked::default());
    match kind {
        FamilyKind::Histogram | FamilyKind::Summary => {
            sample.strip_suffix(suffix).filter(|name| !name.is_empty()).map(str::to_owned)
        }
        _ => Some(sample.to_owned()),
    }
}

/// Returns the number of `MetricType` that Prometheus has for this kind after a scrape of the text
/// format. Both versions of remote write have the same numbers.
pub(super) fn type_number(kind: FamilyKind) -> u8 {
    match kind {
        FamilyKind::Unknown => 0,
        FamilyKind::Counter | FamilyKind::CounterAsNamed => 1,
        FamilyKind::Gauge | FamilyKind::Info => 2,
        FamilyKind::Histogram => 3,
        FamilyKind::Summary => 5,
    }
}

#[cfg(test)]
#[path = "metadata_tests.rs"]
mod tests;
