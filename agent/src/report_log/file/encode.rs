//! Writes a log as records.

use std::sync::Arc;

use fleetgauge_proto::AgentId;
use fleetgauge_proto::rows::TableRows;

use super::record::{self, Kind};
use crate::catalogs::Catalogs;
use crate::report_log::restore::LogState;
use crate::report_log::segment::{Place, Segment};
use crate::report_log::{ReportLog, varint};

/// A log is encoded in pieces of about this size, so that it is locked for a short time only.
pub(crate) const CHUNK_BYTES: usize = 1024 * 1024;

/// Encodes what a file does not have yet.
#[derive(Debug)]
pub(crate) struct FileEncoder {
    /// Checksum of the last record.
    checksum: u32,
    /// First sequence number of the last segment in the file, and the place after the last report.
    written: Option<(u64, Place)>,
    /// Catalogs and rows of the last segment in the file.
    layout: Option<(Catalogs, Box<[Arc<TableRows>]>)>,
    state: Option<LogState>,
}

impl FileEncoder {
    /// Begins a file: appends its start to `out`.
    pub(crate) fn new(id: &AgentId, out: &mut Vec<u8>) -> Self {
        let checksum = record::push_start(id, out);
        Self { checksum, written: None, layout: None, state: None }
    }

    /// Appends what has been added to the log. Returns whether that is everything: it stops when
    /// `out` has [`CHUNK_BYTES`]. `host_ms` is the time of the host.
    pub(crate) fn append(&mut self, log: &ReportLog, host_ms: u64, out: &mut Vec<u8>) -> bool {
        let first = self.written.map_or(0, |(first, _)| first);
        let from = log.segments.partition_point(|segment| segment.first() < first);
        // A segment like others: when it is read, the state acknowledges it.
        let checkpoint = log.checkpoint.as_deref().filter(|_| self.written.is_none());
        for segment in checkpoint.into_iter().chain(log.segments.range(from..)) {
            let mut place = match self.written {
                Some((first, place)) if first == segment.first() => place,
                _ => {
                    self.begin_segment(segment, out);
                    segment.start()
                }
            };
            loop {
                self.written = Some((segment.first(), place));
                if out.len() >= CHUNK_BYTES {
                    return false;
                }
                let (reports, end) = segment.encoded(place, CHUNK_BYTES);
                if reports.is_empty() {
                    break;
                }
                self.push(Kind::Reports, out, |out| out.extend_from_slice(reports));
                place = end;
            }
        }
        // Without a change, the time needs no record.
        let state = log.state(0);
        if self.state.replace(state) != Some(state) {
            let state = LogState { host_ms, ..state };
            self.push(Kind::State, out, |out| push_state(&state, out));
        }
        true
    }

    pub(super) fn push(&mut self, kind: Kind, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        self.checksum = record::push(self.checksum, kind, out, write);
    }

    fn begin_segment(&mut self, segment: &Segment, out: &mut Vec<u8>) {
        let layout = (segment.catalogs().clone(), segment.rows().into());
        let before = self.layout.replace(layout).filter(|(old, _)| old == segment.catalogs());
        if before.is_none() {
            self.push(Kind::Catalogs, out, |out| push_catalogs(segment.catalogs(), out));
        }
        let before = before.map(|(_, rows)| rows);
        self.push(Kind::Segment, out, |out| push_segment(segment, before.as_deref(), out));
    }
}

fn push_catalogs(catalogs: &Catalogs, out: &mut Vec<u8>) {
    varint::push(catalogs.by_slot().len() as u64, out);
    for catalog in catalogs.by_slot() {
        push_bytes(catalog.frame(), out);
    }
}

fn push_segment(segment: &Segment, before: Option<&[Arc<TableRows>]>, out: &mut Vec<u8>) {
    varint::push(segment.first(), out);
    varint::push(segment.first_ms(), out);
    let none = Arc::default();
    for (at, (table, rows)) in segment.catalogs().tables().iter().zip(segment.rows()).enumerate() {
        let before = before.map_or(Some(&none), |before| before.get(at));
        // Those of a table without row labels are ignored.
        if table.row_labels() == 0 || before.is_some_and(|before| before == rows) {
            out.push(0);
            continue;
        }
        let values = rows.len().saturating_mul(table.row_labels());
        varint::push((values as u64).saturating_add(1), out);
        for text in rows.iter(table.row_labels()).flatten() {
            push_bytes(text.as_bytes(), out);
        }
    }
}

fn push_state(state: &LogState, out: &mut Vec<u8>) {
    let LogState { acknowledged, last, last_ms, settled_ms, estimated_from, host_ms } = *state;
    for number in [acknowledged, last, last_ms, settled_ms, estimated_from, host_ms] {
        varint::push(number, out);
    }
}

fn push_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    varint::push(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}
