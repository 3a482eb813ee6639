//! A catalog is accepted exactly if the documented rules allow it, otherwise rejected with the
//! documented code, and then has the declared contents.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use arbitrary::{Arbitrary, Unstructured};
use fleetgauge_proto::message::{self, Column, Family, Label, Table};
use fleetgauge_proto::{Accept, Catalog, Code, FrameBuffer, Limits, VERSION, catalog};

use crate::catalog_gen::Declared;
use crate::message::{is_metric_name, is_name, label_name_code, labels_code};

#[derive(Debug, Arbitrary)]
struct Input {
    max_families: u8,
    max_series: u8,
    max_values: u16,
    max_label_bytes: u8,
    slot: u8,
    catalog: Declared,
}

/// Validates a catalog with narrow limits, and decodes its frame.
pub fn check(data: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let limits = Limits {
        max_families: input.max_families.into(),
        max_series: input.max_series.into(),
        max_values: input.max_values.into(),
        max_label_bytes: input.max_label_bytes.into(),
        ..Limits::default()
    };
    let declared = input.catalog.message(input.slot % 17);
    let accepted = Catalog::try_new(&declared, &limits);
    let code = accepted.as_ref().map(drop).map_err(fleetgauge_proto::Violation::code);
    assert_eq!(code, documented(&declared, &limits), "{accepted:?} of {declared:?}, {limits:?}");
    let Ok(accepted) = accepted else { return };
    check_content(&accepted, &declared);
    let (frame, _) = catalog::encode(&declared).unwrap();
    let accept = Accept { version: VERSION, max_payload_bytes: limits.max_payload_bytes };
    let mut buffer = FrameBuffer::default();
    if let Ok(frame) = buffer.next(&mut &frame[..], accept) {
        let (slot, received) = Catalog::try_from_frame(frame.unwrap(), &limits).unwrap();
        assert_eq!(slot, usize::from(declared.slot));
        // Compared as text: a parameter of an unknown kind may be NaN, which equals nothing.
        assert_eq!(format!("{received:?}"), format!("{accepted:?}"));
    }
}

/// Checks a catalog as "The order of checks" in `docs/protocol.md` specifies.
fn documented(catalog: &message::Catalog<'_>, limits: &Limits) -> Result<(), Code> {
    let message::Catalog { slot, families, tables, .. } = catalog;
    refuse(*slot >= 16, Code::BadSlot)?;
    refuse(families.len() > limits.max_families as usize, Code::TooManyFamilies)?;
    let mut taken = HashSet::new();
    for family in families {
        check_family(family)?;
        let own = occupied_names(family);
        refuse(own.iter().any(|name| taken.contains(name)), Code::DuplicateFamily)?;
        taken.extend(own);
    }
    let columns = || tables.iter().flat_map(|table| &table.columns);
    refuse(columns().count() > limits.max_series as usize, Code::TooManySeries)?;
    refuse(tables.iter().any(|table| table.columns.is_empty()), Code::BadTable)?;
    let (mut label_bytes, mut values) = (0, 0);
    for table in tables {
        check_table(table, families)?;
        let shown = table.columns.iter().flat_map(shown_labels);
        label_bytes += table.row_labels.iter().map(|name| name.len()).sum::<usize>();
        label_bytes += shown.map(|label| label.name.len() + label.value.len()).sum::<usize>();
        refuse(label_bytes > limits.max_label_bytes as usize, Code::LabelTooLong)?;
        values += table.columns.iter().map(|column| u64::from(column.width)).sum::<u64>();
        refuse(values > limits.max_values.into(), Code::TooManyValues)?;
    }
    let used: HashSet<_> = columns().map(|column| column.family as usize).collect();
    refuse(used.len() < families.len(), Code::BadTable)?;
    refuse(!(0..families.len()).all(|family| is_distinct(family, tables)), Code::DuplicateSeries)
}

fn refuse(is_wrong: bool, code: Code) -> Result<(), Code> {
    if is_wrong { Err(code) } else { Ok(()) }
}

/// Suffixes of the sample names of a family of this kind, including those reserved by OpenMetrics.
pub(crate) fn suffixes(kind: u8) -> &'static [&'static str] {
    match kind {
        1 | 6 | 7 => &[""],
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

fn check_family(family: &Family<'_>) -> Result<(), Code> {
    let Family { name, kind, unit, help } = *family;
    let suffixed = suffixes(kind).iter().any(|suffix| !suffix.is_empty() && name.ends_with(suffix));
    let unit_ends_the_name = unit.is_empty()
        || is_name(unit) && name.len() > unit.len() + 1 && name.ends_with(&format!("_{unit}"));
    let reserved = |name: &str| name.starts_with("fleetgauge_") || name == "clients_connected";
    refuse(!is_metric_name(name) || suffixed, Code::BadMetricName)?;
    refuse(!unit_ends_the_name, Code::BadUnit)?;
    refuse(help.len() > 1024, Code::HelpTooLong)?;
    let is_reserved = reserved(name) || occupied_names(family).iter().any(|name| reserved(name));
    refuse(is_reserved, Code::ReservedMetricName)
}

fn check_table(table: &Table<'_>, families: &[Family<'_>]) -> Result<(), Code> {
    let names = &table.row_labels;
    refuse(names.len() > 32, Code::TooManyLabels)?;
    for (position, name) in names.iter().enumerate() {
        label_name_code(name)?;
        refuse(names[..position].contains(name), Code::DuplicateLabel)?;
    }
    for column in &table.columns {
        check_column(column, families)?;
        let added = added_label(families[column.family as usize].kind);
        refuse(added.iter().any(|added| names.contains(added)), Code::ReservedLabel)?;
        let is_row_label = |label: Label<'_>| names.contains(&label.name);
        refuse(shown_labels(column).any(is_row_label), Code::DuplicateLabel)?;
    }
    Ok(())
}

fn check_column(column: &Column<'_>, families: &[Family<'_>]) -> Result<(), Code> {
    let family = families.get(column.family as usize).ok_or(Code::BadFamilyIndex)?;
    let parameters = &column.parameters;
    let rising = parameters.iter().zip(parameters.iter().skip(1)).all(|(one, next)| one < next);
    let are_legal = match family.kind {
        1 | 2 | 5..=7 => parameters.is_empty(),
        3 => rising && parameters.iter().all(|bound| bound.is_finite()),
        4 => rising && parameters.iter().all(|quantile| *quantile >= 0.0 && *quantile <= 1.0),
        _ => true,
    };
    refuse(!are_legal || parameters.len() > 256, Code::BadParameters)?;
    let width = column.width as usize;
    let fits = match family.kind {
        1 | 2 | 5..=7 => width == 1,
        3 | 4 => width == parameters.len() + 2,
        _ => (1..=258).contains(&width),
    };
    refuse(!fits, Code::BadWidth)?;
    refuse(column.decimals > 9, Code::BadTable)?;
    labels_code(&column.labels, added_label(family.kind))
}

/// Returns the label that the collector adds to samples of this kind.
fn added_label(kind: u8) -> &'static [&'static str] {
    match kind {
        3 => &["le"],
        4 => &["quantile"],
        _ => &[],
    }
}

fn shown_labels<'a>(column: &Column<'a>) -> impl Iterator<Item = Label<'a>> {
    column.labels.clone().into_iter().filter(|label| !label.value.is_empty())
}

/// A column as "Distinct series" compares it.
struct Compared<'a> {
    labels: BTreeMap<&'a str, &'a str>,
    row_labels: BTreeSet<&'a str>,
}

impl Compared<'_> {
    fn names(&self) -> (BTreeSet<&str>, &BTreeSet<&str>) {
        (self.labels.keys().copied().collect(), &self.row_labels)
    }

    /// Whether it has a label whose name is neither a label nor a row label of the other.
    fn has_label_beyond(&self, other: &Self) -> bool {
        let lacks =
            |name: &&str| !other.labels.contains_key(name) && !other.row_labels.contains(name);
        self.labels.keys().any(lacks)
    }

    fn is_distinct_from(&self, other: &Self) -> bool {
        if self.names() == other.names() {
            return self.labels != other.labels;
        }
        self.has_label_beyond(other) || other.has_label_beyond(self)
    }
}

/// Whether no two series of a family can be equal, by "Distinct series" in `docs/protocol.md`.
fn is_distinct(family: usize, tables: &[Table<'_>]) -> bool {
    let mut columns = Vec::new();
    for table in tables {
        let own = table.columns.iter().filter(|column| column.family as usize == family);
        columns.extend(own.map(|column| Compared {
            labels: shown_labels(column).map(|label| (label.name, label.value)).collect(),
            row_labels: table.row_labels.iter().copied().collect(),
        }));
    }
    let names: BTreeSet<_> = columns.iter().map(Compared::names).collect();
    let mut pairs = columns
        .iter()
        .enumerate()
        .flat_map(|(n, one)| columns[..n].iter().map(move |other| (one, other)));
    names.len() <= 8 && pairs.all(|(one, other)| one.is_distinct_from(other))
}

fn check_content(accepted: &Catalog, declared: &message::Catalog<'_>) {
    assert_eq!(accepted.families.len(), declared.families.len());
    assert_eq!(accepted.tables.len(), declared.tables.len());
    let mut names = BTreeSet::new();
    for (table, declared) in accepted.tables.iter().zip(&declared.tables) {
        let row_labels: Vec<_> = table.row_labels.iter().map(|name| &**name).collect();
        assert_eq!(row_labels, declared.row_labels);
        assert_eq!(table.columns.len(), declared.columns.len());
        names.extend(row_labels);
        let mut offset = 0;
        for (column, declared) in table.columns.iter().zip(&declared.columns) {
            let width = declared.width as usize;
            assert_eq!(column.family, declared.family as usize);
            assert_eq!((column.offset, column.width), (offset, width));
            assert_eq!(column.parameters.len(), declared.parameters.len());
            assert_eq!(table.decimals[offset..offset + width], vec![declared.decimals; width]);
            names.extend(column.labels.iter().map(|(name, _)| name));
            offset += width;
        }
        assert_eq!((table.width, table.decimals.len()), (offset, offset), "the sum of all columns");
    }
    assert_eq!(
        accepted.is_fixed(),
        declared.tables.iter().all(|table| table.row_labels.is_empty())
    );
    assert!(accepted.label_names.iter().map(|name| &**name).eq(names));
}
