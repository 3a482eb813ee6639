//! A segment of the log: consecutive reports with the same catalogs and rows.
//!
//! Its reports are in one buffer, each as three integers and the encoded values:
//!
//! ```text
//! | sequence - previous | time - previous | length | values, or bitmap and values |
//! ```

use std::sync::Arc;

use fleetgauge_proto::report::{EncodedValues, TableShape, Values};
use fleetgauge_proto::rows::TableRows;

use super::varint;
use crate::catalogs::Catalogs;
use crate::tables::Sample;

/// Memory of a row set apart from its texts, in bytes.
const ROW_SET_BYTES: usize = size_of::<TableRows>() + 2 * size_of::<usize>();

/// Consecutive reports with the same catalogs and rows.
#[derive(Debug)]
pub(super) struct Segment {
    catalogs: Catalogs,
    rows: Box<[Arc<TableRows>]>,
    /// Number of values of each report.
    cells: usize,
    /// Sequence number and time from which those of the first report are counted: its own.
    start: (u64, u64),
    /// Sequence number and time of the last report.
    last: (u64, u64),
    count: usize,
    reports: Vec<u8>,
    /// Memory of the catalogs and rows that the segment before does not share, in bytes.
    layout_bytes: usize,
}

/// A report as it is stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct StoredReport<'a> {
    pub(super) sequence: u64,
    pub(super) unix_ms: u64,
    /// Place of the report after this one.
    pub(super) end: Place,
    values: &'a [u8],
    is_first: bool,
}

/// A place between two reports of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Position in the buffer.
    offset: usize,
    /// Sequence number and time of the report before.
    before: (u64, u64),
}

impl Segment {
    /// Creates a segment without reports. `start` is the sequence number and the time of its first
    /// report, which has `cells` values.
    pub(super) fn new(
        catalogs: &Catalogs,
        rows: &[Arc<TableRows>],
        cells: usize,
        previous: Option<&Self>,
        start: (u64, u64),
    ) -> Self {
        let mut segment = Self {
            catalogs: catalogs.clone(),
            rows: rows.into(),
            cells,
            start,
            last: start,
            count: 0,
            reports: Vec::new(),
            layout_bytes: 0,
        };
        segment.layout_bytes = segment.unshared_bytes(previous);
        segment
    }

    /// Returns whether a sample has the catalogs and rows of this segment.
    pub(super) fn has_layout(&self, catalogs: &Catalogs, sample: &Sample) -> bool {
        let mut rows = self.rows.iter().zip(&sample.rows);
        self.catalogs == *catalogs
            && self.rows.len() == sample.rows.len()
            && rows.all(|(own, other)| Arc::ptr_eq(own, other) || own == other)
    }

    /// Adds a report: the first with all values, others with those that have changed.
    pub(super) fn push(&mut self, sequence: u64, unix_ms: u64, values: &Values<'_>) {
        let (bitmap, values) = match values {
            Values::All(values) => (&[][..], *values),
            Values::Changed { bitmap, values } => (*bitmap, *values),
        };
        varint::push(sequence.saturating_sub(self.last.0), &mut self.reports);
        varint::push(unix_ms.saturating_sub(self.last.1), &mut self.reports);
        varint::push((bitmap.len() + values.len()) as u64, &mut self.reports);
        self.reports.extend_from_slice(bitmap);
        self.reports.extend_from_slice(values);
        self.last = (sequence, unix_ms);
        self.count += 1;
    }

    /// Adds encoded reports, as [`Self::encoded`] returns them, and decodes them with `values`,
    /// those of the report before. Returns whether they are valid; if not, none is added.
    pub(super) fn push_encoded(&mut self, encoded: &[u8], values: &mut Vec<f64>) -> bool {
        let (end, last, count) = (self.reports.len(), self.last, self.count);
        self.reports.extend_from_slice(encoded);
        if self.decode_added(end, values) {
            return true;
        }
        self.reports.truncate(end);
        (self.last, self.count) = (last, count);
        false
    }

    /// Counts and decodes the reports from a position on. Returns whether they are valid.
    fn decode_added(&mut self, from: usize, values: &mut Vec<f64>) -> bool {
        let mut place = Place { offset: from, before: self.last };
        while place.offset < self.reports.len() {
            let Some(report) = self.report_at(place) else { return false };
            let now = (report.sequence, report.unix_ms);
            let is_next = if report.is_first {
                // Checked before memory is allocated for the values.
                let has_count = Values::All(report.values).check_count(self.cells).is_ok();
                has_count && now == self.start
            } else {
                now.0 > self.last.0 && now.1 > self.last.1
            };
            if !is_next {
                return false;
            }
            values.resize(self.cells, 0.0);
            if !self.decode(report, values) {
                return false;
            }
            (place, self.last) = (report.end, now);
            self.count += 1;
        }
        true
    }

    /// Changes the times of all reports by this number of milliseconds.
    pub(super) fn shift_times(&mut self, by_ms: i64) {
        for (_, unix_ms) in [&mut self.start, &mut self.last] {
            *unix_ms = unix_ms.saturating_add_signed(by_ms);
        }
    }

    /// Frees the memory that was reserved for further reports.
    pub(super) fn close(&mut self) {
        self.reports.shrink_to_fit();
    }

    /// Keeps only the last report. Returns `None` if there is none.
    pub(super) fn into_last_report(self, encoder: &mut EncodedValues) -> Option<Self> {
        if self.count <= 1 {
            return (self.count == 1).then_some(self);
        }
        let mut values = vec![0.0; self.cells];
        if !self.reports().all(|report| self.decode(report, &mut values)) {
            return None;
        }
        let mut alone = Self::new(&self.catalogs, &self.rows, self.cells, None, self.last);
        encoder.encode_all(&values, shape(&self.catalogs, &self.rows));
        alone.push(self.last.0, self.last.1, &encoder.values());
        alone.close();
        Some(alone)
    }

    /// Counts the catalogs and rows as its own that another segment does not have.
    pub(super) fn share_layout(&mut self, other: Option<&Self>) {
        self.layout_bytes = self.unshared_bytes(other);
    }

    /// Counts all catalogs and rows as its own: the segment before is dropped.
    pub(super) fn own_layout(&mut self) {
        self.layout_bytes = self.unshared_bytes(None);
    }

    /// Returns the sequence number of the last report.
    pub(super) const fn last(&self) -> u64 {
        self.last.0
    }

    /// Returns the time of the last report.
    pub(super) const fn last_ms(&self) -> u64 {
        self.last.1
    }

    /// Returns the sequence number of the first report.
    pub(super) const fn first(&self) -> u64 {
        self.start.0
    }

    /// Returns the time of the first report.
    pub(super) const fn first_ms(&self) -> u64 {
        self.start.1
    }

    /// Returns the number of reports.
    pub(super) const fn len(&self) -> usize {
        self.count
    }

    /// Returns the number of reports above a sequence number.
    pub(super) fn reports_after(&self, sequence: u64) -> usize {
        if self.first() > sequence {
            return self.count;
        }
        self.reports().filter(|report| report.sequence > sequence).count()
    }

    /// Returns the memory of the segment, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let rows = self.rows.len() * size_of::<Arc<TableRows>>();
        size_of::<Self>() + self.reports.capacity() + rows + self.layout_bytes
    }

    /// Returns the catalogs of its reports.
    pub(super) const fn catalogs(&self) -> &Catalogs {
        &self.catalogs
    }

    /// Returns the rows of its reports, by table.
    pub(super) const fn rows(&self) -> &[Arc<TableRows>] {
        &self.rows
    }

    /// Returns the number of values of each report.
    pub(super) const fn cells(&self) -> usize {
        self.cells
    }

    /// Returns the place of the first report.
    pub(super) const fn start(&self) -> Place {
        Place { offset: 0, before: self.start }
    }

    /// Returns the encoded reports from a place on, and the place after them: as many as fit into
    /// this number of bytes, but at least one unless the place is at the end.
    pub(super) fn encoded(&self, from: Place, max_bytes: usize) -> (&[u8], Place) {
        let mut end = from;
        while let Some(report) = self.report_at(end) {
            if end != from && report.end.offset - from.offset > max_bytes {
                break;
            }
            end = report.end;
        }
        (self.reports.get(from.offset..end.offset).unwrap_or_default(), end)
    }

    /// Iterates over the reports.
    pub(super) fn reports(&self) -> impl Iterator<Item = StoredReport<'_>> {
        std::iter::successors(self.report_at(self.start()), |report| self.report_at(report.end))
    }

    /// Returns the report at a place; `None` at the end.
    pub(super) fn report_at(&self, place: Place) -> Option<StoredReport<'_>> {
        let rest = self.reports.get(place.offset..)?;
        let (sequence, rest) = varint::split(rest)?;
        let (unix_ms, rest) = varint::split(rest)?;
        let (len, rest) = varint::split(rest)?;
        let (values, rest) = rest.split_at_checked(usize::try_from(len).ok()?)?;
        let sequence = place.before.0.saturating_add(sequence);
        let unix_ms = place.before.1.saturating_add(unix_ms);
        let offset = self.reports.len() - rest.len();
        let end = Place { offset, before: (sequence, unix_ms) };
        Some(StoredReport { sequence, unix_ms, end, values, is_first: place.offset == 0 })
    }

    /// Writes the values of a report into `cells`, which hold those of the report before. Returns
    /// whether that succeeded.
    pub(super) fn decode(&self, report: StoredReport<'_>, cells: &mut [f64]) -> bool {
        let shape = shape(&self.catalogs, &self.rows);
        let values = if report.is_first {
            Values::All(report.values)
        } else {
            let Some((bitmap, values)) = report.values.split_at_checked(self.cells.div_ceil(8))
            else {
                return false;
            };
            Values::Changed { bitmap, values }
        };
        values.decode(cells, shape).is_ok()
    }

    fn unshared_bytes(&self, previous: Option<&Self>) -> usize {
        let shares_catalogs = previous.is_some_and(|previous| previous.catalogs == self.catalogs);
        let catalogs = if shares_catalogs { 0 } else { self.catalogs.bytes() };
        let previous = previous.map_or(&[][..], |previous| &previous.rows);
        let is_shared = |table: usize, rows: &Arc<TableRows>| {
            previous.get(table).is_some_and(|previous| Arc::ptr_eq(previous, rows))
        };
        let own = self.rows.iter().enumerate().filter(|(table, rows)| !is_shared(*table, rows));
        catalogs + own.map(|(_, rows)| ROW_SET_BYTES + rows.bytes()).sum::<usize>()
    }
}

/// Returns the shape of the values of reports with these catalogs and rows.
pub(super) fn shape<'a>(
    catalogs: &'a Catalogs,
    rows: &'a [Arc<TableRows>],
) -> impl Iterator<Item = TableShape<'a>> {
    let tables = catalogs.tables().iter().zip(rows);
    tables.map(|(table, rows)| (table.row_count(rows), table.decimals()))
}
