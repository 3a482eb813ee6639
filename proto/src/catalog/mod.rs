//! Validated catalogs: the metric families and tables of an agent's reports.
//!
//! [`crate::message::Catalog`] is the wire form. [`Catalog::try_new`] validates it.
//!
//! A **table** has **columns**, which its catalog fixes, and **rows**, which are added and
//! removed with the devices of the host. A series is a column of a row. [`crate::rows`] has the
//! rows.

mod distinct;
mod family;
mod family_kind;
mod table;

pub use family::Family;
pub use family_kind::FamilyKind;
pub use table::{Column, Table};

use std::collections::{BTreeSet, HashSet};

use crate::fingerprint::Fingerprint;
use crate::frame::{Frame, HEADER_LEN, VERSION};
use crate::limits::MAX_CATALOGS;
use crate::message::{self, Limits, Message};
use crate::stream::Streams;
use crate::violation::Violation;

/// A validated catalog.
///
/// ```
/// use fleetgauge_proto::catalog::FamilyKind;
/// use fleetgauge_proto::message::{self, Column, Family, Table};
/// use fleetgauge_proto::{Catalog, Code, Limits};
///
/// let read = Family {
///     name: "disk_read_bytes",
///     kind: FamilyKind::Counter as u8,
///     unit: "bytes",
///     help: "Bytes read from the device.",
/// };
/// let column = Column { family: 0, width: 1, decimals: 0, parameters: vec![], labels: vec![] };
/// let disk = Table { row_labels: vec!["device"], columns: vec![column] };
/// let mut message =
///     message::Catalog { stream: 0, slot: 0, families: vec![read], tables: vec![disk] };
/// let catalog = Catalog::try_new(&message, &Limits::default())?;
/// assert_eq!(&*catalog.tables[0].row_labels[0], "device");
///
/// message.families.push(read);
/// message.tables[0].columns[0].family = 1;
/// let violation = Catalog::try_new(&message, &Limits::default()).unwrap_err();
/// assert_eq!(violation.code(), Code::DuplicateFamily);
/// # Ok::<(), fleetgauge_proto::Violation>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Catalog {
    /// Metric families.
    pub families: Box<[Family]>,
    /// Tables, in the order of their values in a report.
    pub tables: Box<[Table]>,
    /// Names of row labels and column labels, sorted, without duplicates.
    pub label_names: Box<[Box<str>]>,
}

impl Catalog {
    /// Decodes and validates a Catalog frame on stream 0. Returns the slot as well.
    ///
    /// # Errors
    /// The first [`Violation`] found.
    pub fn try_from_frame(frame: Frame<'_>, limits: &Limits) -> Result<(usize, Self), Violation> {
        Self::try_from_frame_with(frame, limits, Streams::Live)
    }

    /// Decodes and validates a Catalog frame on one of these streams. Returns the slot as well.
    ///
    /// # Errors
    /// The first [`Violation`] found.
    pub fn try_from_frame_with(
        frame: Frame<'_>,
        limits: &Limits,
        streams: Streams,
    ) -> Result<(usize, Self), Violation> {
        match Message::decode_with(frame, streams)? {
            Message::Catalog(message) => {
                let slot = usize::from(message.slot);
                Ok((slot, Self::try_new(&message, limits)?))
            }
            other => Err(Violation::UnexpectedFrame {
                kind: other.kind(),
                when: "where a Catalog belongs",
            }),
        }
    }

    /// Validates a catalog.
    ///
    /// # Errors
    /// The first [`Violation`] found.
    pub fn try_new(message: &message::Catalog<'_>, limits: &Limits) -> Result<Self, Violation> {
        if usize::from(message.slot) >= MAX_CATALOGS {
            return Err(Violation::BadSlot { slot: message.slot });
        }
        let families = validate_families(&message.families, limits)?;
        let tables = validate_tables(&message.tables, &families, limits)?;
        check_families_are_used(&families, &tables)?;
        distinct::check(&families, &tables)?;
        let label_names = label_names(&tables);
        Ok(Self { families, tables: tables.into(), label_names })
    }

    /// Returns whether no table has row labels, so that all agents with this catalog have the
    /// same series.
    #[must_use]
    pub fn is_fixed(&self) -> bool {
        self.tables.iter().all(|table| table.row_labels.is_empty())
    }

    /// Returns whether a row label or column label has this name.
    #[must_use]
    pub fn has_label(&self, name: &str) -> bool {
        self.label_names.binary_search_by(|own| (**own).cmp(name)).is_ok()
    }
}

fn validate_families(
    declared: &[message::Family<'_>],
    limits: &Limits,
) -> Result<Box<[Family]>, Violation> {
    let count = declared.len();
    if count > limits.max_families as usize {
        return Err(Violation::TooManyFamilies { count, max: limits.max_families });
    }
    let mut sample_names = HashSet::new();
    let mut families = Vec::with_capacity(count);
    for declared in declared {
        let family = Family::try_new(declared)?;
        if let Some(taken) = family.sample_names().find(|name| sample_names.contains(name)) {
            return Err(Violation::DuplicateFamily(taken.into()));
        }
        sample_names.extend(family.sample_names());
        families.push(family);
    }
    Ok(families.into())
}

fn validate_tables(
    declared: &[message::Table<'_>],
    families: &[Family],
    limits: &Limits,
) -> Result<Vec<Table>, Violation> {
    let columns = declared.iter().map(|table| table.columns.len()).sum::<usize>();
    if columns > limits.max_series as usize {
        return Err(Violation::TooManyColumns { count: columns, max: limits.max_series });
    }
    // Rejecting empty tables bounds their number by that of the columns.
    if let Some(table) = declared.iter().position(|table| table.columns.is_empty()) {
        return Err(Violation::EmptyTable { table });
    }
    let mut label_bytes = 0;
    let mut width = 0;
    let mut tables = Vec::with_capacity(declared.len());
    for (index, declared) in declared.iter().enumerate() {
        let table = Table::try_new(declared, index, families)?;
        label_bytes += table.label_bytes();
        if label_bytes > limits.max_label_bytes as usize {
            let max = limits.max_label_bytes;
            return Err(Violation::LabelsTooLong { bytes: label_bytes, max });
        }
        width += table.width;
        if width > limits.max_values as usize {
            return Err(Violation::TooManyValues { count: width as u64, max: limits.max_values });
        }
        tables.push(table.with_decimals());
    }
    Ok(tables)
}

/// Checks that every family has a column, so that an agent cannot claim names without series.
fn check_families_are_used(families: &[Family], tables: &[Table]) -> Result<(), Violation> {
    let mut is_used = vec![false; families.len()];
    for column in tables.iter().flat_map(|table| &table.columns) {
        is_used[column.family] = true;
    }
    match families.iter().zip(is_used).find(|(_, is_used)| !is_used) {
        Some((family, _)) => Err(Violation::UnusedFamily(family.name.clone())),
        None => Ok(()),
    }
}

fn label_names(tables: &[Table]) -> Box<[Box<str>]> {
    let own = |table: &Table| {
        let columns = table.columns.iter().flat_map(|column| column.labels.iter());
        let columns = columns.map(|(name, _)| Box::from(name));
        table.row_labels.iter().cloned().chain(columns).collect::<Vec<Box<str>>>()
    };
    let names: BTreeSet<_> = tables.iter().flat_map(own).collect();
    names.into_iter().collect()
}

/// Encodes a catalog. Returns the Catalog frame and the fingerprint for Hello.
///
/// # Errors
/// [`Violation::FrameTooLarge`] if it does not fit a frame.
pub fn encode(message: &message::Catalog<'_>) -> Result<(Vec<u8>, Fingerprint), Violation> {
    let mut frame = Vec::new();
    Message::Catalog(message.clone()).encode(VERSION, &mut frame)?;
    let fingerprint = Fingerprint::of_payload(&frame[HEADER_LEN..])?;
    Ok((frame, fingerprint))
}
