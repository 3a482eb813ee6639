//! The agent's catalogs, validated and encoded, and the layout of its values.

use std::sync::Arc;

use fleetgauge_proto::frame::HEADER_LEN;
use fleetgauge_proto::limits::MAX_CATALOGS;
use fleetgauge_proto::message;
use fleetgauge_proto::rows::TableRows;
use fleetgauge_proto::{Catalog, Fingerprint, Limits, Violation, catalog, stream};

/// The catalogs of an agent, by slot. A clone shares them, so that simulated agents with the same
/// catalogs hold them once.
///
/// ```
/// use fleetgauge_agent::catalogs::Catalogs;
/// use fleetgauge_proto::catalog::FamilyKind;
/// use fleetgauge_proto::message::{Catalog, Column, Family, Table};
///
/// let family = Family { name: "queue_length", kind: FamilyKind::Gauge as u8, unit: "", help: "" };
/// let column = Column { family: 0, width: 1, decimals: 0, parameters: vec![], labels: vec![] };
/// let queues = Table { row_labels: vec!["queue"], columns: vec![column] };
/// let catalog = Catalog { stream: 0, slot: 0, families: vec![family], tables: vec![queues] };
/// let catalogs = Catalogs::try_new(vec![catalog])?;
/// assert_eq!(catalogs.tables()[0].row_labels(), 1);
/// # Ok::<(), fleetgauge_proto::Violation>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalogs(Arc<Shared>);

#[derive(Debug, PartialEq, Eq)]
struct Shared {
    catalogs: Box<[EncodedCatalog]>,
    tables: Box<[TableLayout]>,
}

/// A validated catalog, encoded as a Catalog frame.
#[derive(Debug, PartialEq, Eq)]
pub struct EncodedCatalog {
    frame: Box<[u8]>,
    fingerprint: Fingerprint,
    size: CatalogSize,
    /// Names of all labels of rows and columns, sorted.
    label_names: Box<[Box<str>]>,
}

/// Size of a catalog, in the terms of a collector's limits.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CatalogSize {
    pub(crate) payload_bytes: usize,
    pub(crate) families: usize,
    /// Columns of all tables.
    pub(crate) columns: usize,
    /// Values of a row of each table.
    pub(crate) values: usize,
    /// Bytes of label names and columns' label values.
    pub(crate) label_bytes: usize,
}

/// A table of the agent: its place on the wire and the shape of its rows.
#[derive(Debug, PartialEq, Eq)]
pub struct TableLayout {
    slot: u8,
    table: u32,
    row_labels: usize,
    columns: usize,
    decimals: Box<[u8]>,
}

impl Catalogs {
    /// Validates and encodes catalogs. The first gets slot 0, and so on, whatever slot it names.
    ///
    /// # Errors
    /// There are more than 16 catalogs, or one is illegal or exceeds the default limits of a
    /// collector.
    pub fn try_new(messages: Vec<message::Catalog<'_>>) -> Result<Self, Violation> {
        if messages.len() > MAX_CATALOGS {
            return Err(Violation::BadHello { field: "list of catalogs" });
        }
        let (mut catalogs, mut tables) = (Vec::new(), Vec::new());
        for (slot, mut message) in (0..).zip(messages) {
            message.slot = slot;
            let catalog = Catalog::try_new(&message, &Limits::default())?;
            let layout = |(table, declared)| TableLayout::new(slot, table, declared);
            tables.extend((0..).zip(&catalog.tables).map(layout));
            let (frame, fingerprint) = catalog::encode(&message)?;
            let size = CatalogSize::new(&catalog, &frame);
            let (frame, label_names) = (frame.into(), catalog.label_names);
            catalogs.push(EncodedCatalog { frame, fingerprint, size, label_names });
        }
        Ok(Self(Arc::new(Shared { catalogs: catalogs.into(), tables: tables.into() })))
    }

    /// Returns the catalogs by slot.
    #[must_use]
    pub fn by_slot(&self) -> &[EncodedCatalog] {
        &self.0.catalogs
    }

    /// Returns the tables of all catalogs, in the order of their values in a report.
    #[must_use]
    pub fn tables(&self) -> &[TableLayout] {
        &self.0.tables
    }

    /// Returns the memory that they take, in bytes, apart from their label names.
    pub(crate) fn bytes(&self) -> usize {
        let frames =
            self.by_slot().iter().map(|catalog| size_of_val(catalog) + catalog.frame.len());
        let tables = self.tables().iter().map(|table| size_of_val(table) + table.decimals.len());
        frames.sum::<usize>() + tables.sum::<usize>()
    }

    /// Returns an empty row set for every table: the rows of an agent without row labels.
    #[must_use]
    pub fn no_rows(&self) -> Vec<Arc<TableRows>> {
        vec![Arc::default(); self.tables().len()]
    }
}

impl EncodedCatalog {
    /// Returns the Catalog frame.
    #[must_use]
    pub const fn frame(&self) -> &[u8] {
        &self.frame
    }

    /// Appends the Catalog frame for [`stream::REPLAY`].
    pub(crate) fn push_replay_frame(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.frame);
        // The stream is the first field of the payload, and takes one byte here as well.
        if let Some(first) = out.get_mut(start + HEADER_LEN) {
            *first = stream::REPLAY as u8;
        }
    }

    /// Returns the fingerprint for Hello.
    #[must_use]
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Returns whether a row label or column label has this name.
    pub(crate) fn has_label(&self, name: &str) -> bool {
        self.label_names.binary_search_by(|own| (**own).cmp(name)).is_ok()
    }

    pub(crate) const fn size(&self) -> &CatalogSize {
        &self.size
    }
}

impl CatalogSize {
    fn new(catalog: &Catalog, frame: &[u8]) -> Self {
        let tables = &catalog.tables;
        Self {
            payload_bytes: frame.len() - HEADER_LEN,
            families: catalog.families.len(),
            columns: tables.iter().map(|table| table.columns.len()).sum(),
            values: tables.iter().map(|table| table.width).sum(),
            label_bytes: tables.iter().map(catalog::Table::label_bytes).sum(),
        }
    }
}

impl TableLayout {
    fn new(slot: u8, table: u32, declared: &catalog::Table) -> Self {
        let of_column = |column: &catalog::Column| vec![column.decimals; column.width];
        Self {
            slot,
            table,
            row_labels: declared.row_labels.len(),
            columns: declared.columns.len(),
            decimals: declared.columns.iter().flat_map(of_column).collect(),
        }
    }

    /// Returns the slot of its catalog.
    #[must_use]
    pub const fn slot(&self) -> u8 {
        self.slot
    }

    /// Returns its index in its catalog.
    #[must_use]
    pub const fn table(&self) -> u32 {
        self.table
    }

    /// Returns the number of its row labels. Without any, it has exactly one row.
    #[must_use]
    pub const fn row_labels(&self) -> usize {
        self.row_labels
    }

    /// Returns the number of series of a row.
    #[must_use]
    pub const fn columns(&self) -> usize {
        self.columns
    }

    /// Returns the number of values of a row.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.decimals.len()
    }

    /// Returns the decimal places of each value of a row.
    #[must_use]
    pub const fn decimals(&self) -> &[u8] {
        &self.decimals
    }

    /// Returns the number of rows: 1 for a table without row labels, else that of `rows`.
    #[must_use]
    pub fn row_count(&self, rows: &TableRows) -> usize {
        if self.row_labels == 0 { 1 } else { rows.len() }
    }
}

#[cfg(test)]
mod tests {
    use fleetgauge_proto::catalog::FamilyKind;
    use fleetgauge_proto::message::{Column, Family, Table};

    use super::*;

    /// Returns a catalog with a gauge in a fixed table and a histogram in a table of rows.
    fn message(name: &str) -> message::Catalog<'_> {
        let gauge = Family { name, kind: FamilyKind::Gauge as u8, unit: "", help: "" };
        let kind = FamilyKind::Histogram as u8;
        let latency = Family { name: "latency_seconds", kind, unit: "seconds", help: "" };
        let plain = Column { family: 0, width: 1, decimals: 2, parameters: vec![], labels: vec![] };
        let buckets = Column { family: 1, width: 3, parameters: vec![0.5], ..plain.clone() };
        message::Catalog {
            stream: 0,
            slot: 0,
            families: vec![gauge, latency],
            tables: vec![
                Table { row_labels: vec![], columns: vec![plain] },
                Table { row_labels: vec!["queue"], columns: vec![buckets] },
            ],
        }
    }

    #[test]
    fn catalogs_get_the_slots_of_their_positions() {
        let catalogs = Catalogs::try_new(vec![message("first"), message("second")]).unwrap();
        let fingerprints: Vec<_> =
            catalogs.by_slot().iter().map(EncodedCatalog::fingerprint).collect();
        let alone = Catalogs::try_new(vec![message("second")]).unwrap();
        assert_eq!(fingerprints[1], alone.by_slot()[0].fingerprint());
        assert_ne!(catalogs.by_slot()[1].frame(), alone.by_slot()[0].frame());
        let places: Vec<_> =
            catalogs.tables().iter().map(|table| (table.slot(), table.table())).collect();
        assert_eq!(places, [(0, 0), (0, 1), (1, 0), (1, 1)]);
    }

    #[test]
    fn histogram_counts_as_one_series_of_several_values() {
        let catalogs = Catalogs::try_new(vec![message("first")]).unwrap();
        let [fixed, queues] = catalogs.tables() else { panic!("{catalogs:?}") };
        assert_eq!((fixed.row_labels(), fixed.columns(), fixed.decimals()), (0, 1, &[2][..]));
        assert_eq!((queues.row_labels(), queues.columns(), queues.width()), (1, 1, 3));
        assert_eq!(
            (fixed.row_count(&TableRows::default()), queues.row_count(&TableRows::default())),
            (1, 0)
        );
    }

    #[test]
    fn seventeen_catalogs_are_an_error() {
        let catalogs = |count| Catalogs::try_new(vec![message("first"); count]);
        assert!(catalogs(16).is_ok());
        assert_eq!(catalogs(17), Err(Violation::BadHello { field: "list of catalogs" }));
    }
}
