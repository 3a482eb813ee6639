//! A schema is accepted exactly if the documented rules allow it, and then has the declared
//! contents.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use arbitrary::{Arbitrary, Unstructured};
use fleetgauge_proto::message::{self, Family, Series};
use fleetgauge_proto::{Accept, FrameBuffer, Limits, Schema, StaticLabels, VERSION, schema};

use crate::message::{is_name, labels_are_legal};
use crate::schema_gen::{Declared, Labels};

#[derive(Debug, Arbitrary)]
struct Input {
    max_families: u8,
    max_series: u8,
    max_values: u16,
    max_label_bytes: u8,
    agent: Labels,
    schema: Declared,
}

/// Validates a schema with narrow limits, and decodes its frame.
pub fn check(data: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let limits = Limits {
        max_families: input.max_families.into(),
        max_series: input.max_series.into(),
        max_values: input.max_values.into(),
        max_label_bytes: input.max_label_bytes.into(),
        ..Limits::default()
    };
    let declared = input.schema.message();
    let accepted = Schema::try_new(&declared, &limits);
    assert_eq!(
        accepted.is_ok(),
        is_legal(&declared, &limits),
        "{accepted:?} of {declared:?}, {limits:?}"
    );
    let Ok(accepted) = accepted else { return };
    check_content(&accepted, &declared);
    check_agent_labels(&accepted, &input.agent);
    let (frame, _) = schema::encode(&declared).unwrap();
    let accept = Accept { version: VERSION, max_payload_bytes: limits.max_payload_bytes };
    let mut buffer = FrameBuffer::default();
    if let Ok(frame) = buffer.next(&mut &frame[..], accept) {
        let received = Schema::try_from_frame(frame.unwrap(), &limits).unwrap();
        // Compared as text: a parameter of an unknown kind may be NaN, which equals nothing.
        assert_eq!(format!("{received:?}"), format!("{accepted:?}"));
    }
}

/// Whether a schema is valid according to "Schema rules" in `docs/protocol.md`.
fn is_legal(schema: &message::Schema<'_>, limits: &Limits) -> bool {
    let message::Schema { families, series, .. } = schema;
    let widths = series.iter().map(|series| u64::from(series.width)).sum::<u64>();
    let labels = series.iter().flat_map(|series| &series.labels);
    let shown = labels.filter(|label| !label.value.is_empty());
    let label_bytes = shown.map(|label| label.name.len() + label.value.len()).sum::<usize>();
    let fits = families.len() <= limits.max_families as usize
        && series.len() <= limits.max_series as usize
        && widths <= limits.max_values.into()
        && label_bytes <= limits.max_label_bytes as usize;
    let names: Vec<_> = families.iter().flat_map(occupied_names).collect();
    fits && names.len() == names.iter().collect::<HashSet<_>>().len()
        && families.iter().all(family_is_legal)
        && series.iter().all(|one| series_is_legal(one, families))
        && identities(series).len() == series.len()
}

/// Suffixes of the sample names of a family of this kind, including those reserved by OpenMetrics.
pub(crate) fn suffixes(kind: u8) -> &'static [&'static str] {
    match kind {
        1 | 6 => &[""],
        2 => &["_total", "_created"],
        3 => &["_bucket", "_count", "_sum", "_created"],
        4 => &["", "_count", "_sum", "_created"],
        5 => &["_info"],
        _ => &[],
    }
}

/// Returns all names that a family occupies: its own and its sample names. Returns none if the kind
/// is unknown.
pub(crate) fn names(name: &str, kind: u8) -> BTreeSet<String> {
    let exposed = suffixes(kind).iter().map(|suffix| format!("{name}{suffix}"));
    let own = (!suffixes(kind).is_empty()).then(|| name.to_owned());
    exposed.chain(own).collect()
}

fn occupied_names(family: &Family<'_>) -> BTreeSet<String> {
    names(family.name, family.kind)
}

fn family_is_legal(family: &Family<'_>) -> bool {
    let Family { name, kind, unit, help } = *family;
    let suffixed = suffixes(kind).iter().any(|suffix| !suffix.is_empty() && name.ends_with(suffix));
    let unit_ends_the_name = unit.is_empty()
        || is_name(unit) && name.len() > unit.len() + 1 && name.ends_with(&format!("_{unit}"));
    let reserved = |name: &str| {
        name.starts_with("fleetgauge_")
            || name.starts_with("process_")
            || name == "clients_connected"
    };
    is_name(name)
        && !suffixed
        && unit_ends_the_name
        && help.len() <= 1024
        && !reserved(name)
        && !occupied_names(family).iter().any(|name| reserved(name))
}

fn series_is_legal(series: &Series<'_>, families: &[Family<'_>]) -> bool {
    let Some(family) = families.get(series.family as usize) else { return false };
    let parameters = &series.parameters;
    let rising = parameters.iter().zip(parameters.iter().skip(1)).all(|(one, next)| one < next);
    let width = series.width as usize;
    let shaped = match family.kind {
        1 | 2 | 5 | 6 => parameters.is_empty() && width == 1,
        3 => rising && parameters.iter().all(|b| b.is_finite()) && width == parameters.len() + 2,
        4 => {
            let quantiles = parameters.iter().all(|q| *q >= 0.0 && *q <= 1.0);
            rising && quantiles && width == parameters.len() + 2
        }
        _ => width <= 258,
    };
    shaped && parameters.len() <= 256 && labels_are_legal(&series.labels)
}

/// Returns the set of families and labels of these series, regardless of the order of labels. It is
/// as large as `series` unless two series are equal.
fn identities<'a>(series: &[Series<'a>]) -> BTreeSet<(u32, BTreeMap<&'a str, &'a str>)> {
    let shown = |one: &Series<'a>| {
        let shown = one.labels.iter().filter(|label| !label.value.is_empty());
        shown.map(|label| (label.name, label.value)).collect()
    };
    series.iter().map(|one| (one.family, shown(one))).collect()
}

fn check_content(accepted: &Schema, declared: &message::Schema<'_>) {
    assert_eq!(
        (accepted.series, accepted.families.len()),
        (declared.series.len(), declared.families.len())
    );
    let mut offset = 0;
    let mut next = vec![0; declared.families.len()];
    for series in &declared.series {
        let family = series.family as usize;
        let found = &accepted.families[family].series[next[family]];
        next[family] += 1;
        assert_eq!((found.offset, found.width), (offset, series.width as usize));
        assert_eq!(found.parameters.len(), series.parameters.len());
        offset += found.width;
    }
    assert_eq!(accepted.width, offset, "the width of a report is the sum of all series");
}

/// Checks that labels which the agent and a series both set are refused.
fn check_agent_labels(accepted: &Schema, agent: &Labels) {
    let Ok(labels) = StaticLabels::try_new(&agent.message()) else { return };
    let series = accepted.families.iter().flat_map(|family| &family.series);
    let own: BTreeSet<_> = series.flat_map(|series| series.labels.iter().map(|l| l.0)).collect();
    let both = agent.shown().any(|(name, _)| own.contains(name));
    assert_eq!(accepted.check_static_labels(&labels).is_err(), both);
}
