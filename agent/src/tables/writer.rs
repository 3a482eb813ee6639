//! One reading of a source.

use fleetgauge_proto::limits::MAX_LABEL_VALUE_BYTES;
use fleetgauge_proto::message::RowChange;
use fleetgauge_proto::report::ABSENT;
use fleetgauge_proto::rows::TableRows;

use super::TableSpec;

/// The rows that a source sets in one reading. A row that is not set does not exist.
///
/// ```
/// use fleetgauge_agent::tables::{ColumnSpec, TableSpec, TableWriter};
/// use fleetgauge_proto::catalog::FamilyKind;
/// use fleetgauge_proto::message::Family;
///
/// const SIZE: Family<'static> =
///     Family { name: "disk_size", kind: FamilyKind::Gauge as u8, unit: "", help: "" };
/// let disk = TableSpec { row_labels: &["device"], columns: vec![ColumnSpec::new(SIZE)] };
/// let mut writer = TableWriter::new(&[disk]);
/// writer.row(0, &["sdb"])[0] = 2e9;
/// writer.row(0, &["sda"])[0] = 1e9;
/// ```
#[derive(Debug, Clone, Default)]
pub struct TableWriter {
    tables: Vec<WrittenTable>,
}

#[derive(Debug, Clone)]
struct WrittenTable {
    labels: usize,
    width: usize,
    /// Label values, row after row.
    texts: Vec<Box<str>>,
    /// Values, row after row.
    values: Vec<f64>,
}

/// A finished reading: the rows of each table in order, and their values.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Readout {
    /// Rows and values by table. The rows of a table without row labels are empty.
    pub(super) tables: Vec<(TableRows, Vec<f64>)>,
    /// Number of rows that were left out: a label value is too long, or the row was set before.
    pub skipped: usize,
}

impl TableWriter {
    /// Creates a writer for the tables of a source.
    #[must_use]
    pub fn new(tables: &[TableSpec]) -> Self {
        Self { tables: tables.iter().map(WrittenTable::new).collect() }
    }

    /// Adds a row to the source's table with this index. Returns its values, all of them absent.
    ///
    /// An empty label value means that the series do not have the label. A table without row labels
    /// has one row: all calls return the same values.
    ///
    /// # Panics
    /// The source did not declare the table, or the table has another number of row labels.
    pub fn row(&mut self, table: usize, labels: &[&str]) -> &mut [f64] {
        let table = &mut self.tables[table];
        assert_eq!(labels.len(), table.labels, "label values of a row");
        let is_fixed_and_set = table.labels == 0 && !table.values.is_empty();
        let start = if is_fixed_and_set { 0 } else { table.values.len() };
        table.texts.extend(labels.iter().map(|value| Box::from(*value)));
        table.values.resize(start + table.width, ABSENT);
        &mut table.values[start..]
    }

    /// Ends the reading. Of two rows with the same labels, the first one counts.
    #[must_use]
    pub fn finish(self) -> Readout {
        let mut readout = Readout::default();
        for table in self.tables {
            let (rows, values, skipped) = table.finish();
            readout.tables.push((rows, values));
            readout.skipped += skipped;
        }
        readout
    }
}

impl WrittenTable {
    fn new(spec: &TableSpec) -> Self {
        let (labels, width) = (spec.row_labels.len(), spec.width());
        Self { labels, width, texts: Vec::new(), values: Vec::new() }
    }

    /// Sorts the rows. Returns them with their values, and the number of skipped rows.
    fn finish(mut self) -> (TableRows, Vec<f64>, usize) {
        if self.labels == 0 {
            self.values.resize(self.width, ABSENT);
            return (TableRows::default(), self.values, 0);
        }
        let given = self.texts.len() / self.labels;
        let rows = self.texts.chunks(self.labels).zip(self.values.chunks(self.width));
        let mut rows: Vec<_> = rows.filter(|(texts, _)| is_short(texts)).collect();
        // The sort is stable: the first of equal rows stays.
        rows.sort_by_key(|(texts, _)| *texts);
        rows.dedup_by_key(|(texts, _)| *texts);

        let added = rows.iter().flat_map(|(texts, _)| texts.iter().map(|text| &**text)).collect();
        let change = RowChange { slot: 0, table: 0, removed: Vec::new(), added };
        // Sorted, unique and short rows are valid.
        let (sorted, _) = TableRows::default().edit(self.labels, &change).unwrap_or_default();
        debug_assert_eq!(sorted.len(), rows.len());
        let values = rows.iter().flat_map(|(_, values)| values.iter().copied()).collect();
        (sorted, values, given - rows.len())
    }
}

fn is_short(texts: &[Box<str>]) -> bool {
    texts.iter().all(|text| text.len() <= MAX_LABEL_VALUE_BYTES)
}
