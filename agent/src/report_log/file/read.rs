//! Reads a log from its file.

use std::io::Read;
use std::sync::Arc;

use fleetgauge_proto::frame::HEADER_LEN;
use fleetgauge_proto::limits::MAX_CATALOGS;
use fleetgauge_proto::message::{Message, RowChange};
use fleetgauge_proto::rows::TableRows;
use fleetgauge_proto::{Accept, AgentId, Frame, Header, VERSION};

use super::record::{self, Damaged, Kind, Records};
use crate::catalogs::{Catalogs, TableLayout};
use crate::report_log::restore::LogState;
use crate::report_log::{LogLimits, ReportLog, varint};

/// A log that was read.
#[derive(Debug)]
pub(crate) struct Restored {
    pub(crate) log: ReportLog,
    /// Number of bytes at the end of the file that could not be used.
    pub(crate) damaged_bytes: u64,
}

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    /// The file has another content. It must not be changed.
    #[error("not a log of reports; choose another log_file")]
    NotALog,
    /// The file has another version.
    #[error("written by another version of the agent (format {0})")]
    OtherVersion(u8),
    /// The file belongs to another agent.
    #[error("written by the agent {0:?}")]
    OtherAgent(String),
    /// The start of the file is damaged.
    #[error("damaged at its start")]
    DamagedStart,
    /// The file cannot be read.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// Reads the log of an agent from a file of this size. `now_ms` is the time of the host.
pub(crate) fn restore(
    mut input: impl Read,
    bytes: u64,
    id: &AgentId,
    limits: LogLimits,
    now_ms: u64,
) -> Result<Restored, Unreadable> {
    let start = record::read_start(&mut input)?.ok_or(Unreadable::NotALog)?;
    if start.version != super::VERSION {
        return Err(Unreadable::OtherVersion(start.version));
    }
    let found = start.id.ok_or(Unreadable::DamagedStart)?;
    if found != id.as_str() {
        return Err(Unreadable::OtherAgent(found));
    }
    let rest = bytes.saturating_sub(start.bytes);
    let mut records = Records::new(input, start.checksum, rest);
    let mut reader = Reader { log: ReportLog::new(limits), ..Reader::default() };
    let mut damaged_bytes = 0;
    loop {
        let rest = records.rest();
        match records.next().map(|record| record.map(|(kind, content)| reader.take(kind, content)))
        {
            Ok(None) => break,
            Ok(Some(Some(()))) => {}
            Ok(Some(None)) | Err(Damaged) => {
                damaged_bytes = rest;
                break;
            }
        }
    }
    // Both are times of the host, whose clock may differ from that of the collector.
    let saved_ms = reader.saved_ms.unwrap_or(now_ms);
    reader.log.restored(now_ms.saturating_sub(saved_ms));
    Ok(Restored { log: reader.log, damaged_bytes })
}

#[derive(Default)]
struct Reader {
    log: ReportLog,
    catalogs: Option<Catalogs>,
    /// Rows of the last segment, by table.
    rows: Vec<Arc<TableRows>>,
    /// First sequence number of the last segment.
    first: Option<u64>,
    /// Values of the last report.
    values: Vec<f64>,
    /// Time of the host when the log was saved.
    saved_ms: Option<u64>,
}

impl Reader {
    /// Takes the content of a record. Returns `None` if it is invalid.
    fn take(&mut self, kind: Kind, content: &[u8]) -> Option<()> {
        match kind {
            Kind::Catalogs => {
                let catalogs = catalogs(content)?;
                self.rows = catalogs.no_rows();
                (self.catalogs, self.first) = (Some(catalogs), None);
                Some(())
            }
            Kind::Segment => self.segment(content),
            Kind::Reports => self.log.restore_reports(self.first?, content, &mut self.values),
            Kind::State => {
                let mut rest = content;
                let mut next = || split(&mut rest);
                let (acknowledged, last, last_ms) = (next()?, next()?, next()?);
                let (settled_ms, estimated_from, host_ms) = (next()?, next()?, next()?);
                self.log.restore_state(LogState {
                    acknowledged,
                    last,
                    last_ms,
                    settled_ms,
                    estimated_from,
                    host_ms,
                });
                self.saved_ms = Some(host_ms);
                rest.is_empty().then_some(())
            }
        }
    }

    fn segment(&mut self, mut rest: &[u8]) -> Option<()> {
        let catalogs = self.catalogs.as_ref()?;
        let start = (split(&mut rest)?, split(&mut rest)?);
        for (table, rows) in catalogs.tables().iter().zip(&mut self.rows) {
            if let Some(count) = split(&mut rest)?.checked_sub(1) {
                *rows = Arc::new(table_rows(table, count, &mut rest)?);
            }
        }
        self.log.restore_segment(catalogs, &self.rows, start)?;
        self.first = Some(start.0);
        rest.is_empty().then_some(())
    }
}

fn catalogs(mut rest: &[u8]) -> Option<Catalogs> {
    let count = usize::try_from(split(&mut rest)?).ok().filter(|count| *count <= MAX_CATALOGS)?;
    let mut messages = Vec::new();
    for _ in 0..count {
        let frame = split_bytes(&mut rest)?;
        let (header, payload) = frame.split_first_chunk::<HEADER_LEN>()?;
        let accept = Accept { version: VERSION, max_payload_bytes: u32::MAX };
        let header = Header::parse(header, accept).ok()?;
        let Ok(Message::Catalog(message)) = Message::decode(Frame { header, payload }) else {
            return None;
        };
        messages.push(message);
    }
    Catalogs::try_new(messages).ok().filter(|_| rest.is_empty())
}

fn table_rows(table: &TableLayout, values: u64, rest: &mut &[u8]) -> Option<TableRows> {
    let mut added = Vec::new();
    for _ in 0..values {
        // Each takes at least one byte, so the rest bounds their number.
        added.push(std::str::from_utf8(split_bytes(rest)?).ok()?);
    }
    let add = RowChange { slot: table.slot(), table: table.table(), removed: Vec::new(), added };
    Some(TableRows::default().edit(table.row_labels(), &add).ok()?.0)
}

fn split(rest: &mut &[u8]) -> Option<u64> {
    let (number, after) = varint::split(rest)?;
    *rest = after;
    Some(number)
}

fn split_bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(split(rest)?).ok()?;
    let (bytes, after) = rest.split_at_checked(len)?;
    *rest = after;
    Some(bytes)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
