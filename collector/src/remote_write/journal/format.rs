//! The file format of the journal: records after a header.
//!
//! ```text
//! file    = magic "fleetgauge-agents", version (u8), records
//! record  = length of the body (u32), the same inverted, CRC-32 of the body (u32), body
//! body    = 1, number (u32), Catalog frame              a catalog that records refer to
//!         | 2, id, ended (u64), interval (u32), series  an agent, replacing its last record
//!         | 3, id                                       an agent whose series have ended
//!         | 4, time (u64)                               a heartbeat
//! id      = length (u8), text
//! ```
//!
//! Integers are little-endian; times are unix milliseconds. `ended` is the time of the agent's
//! stale markers, 0 while it is connected. [`super::series`] has the series.
//!
//! A record that is not complete at the end of the file was being written when the collector was
//! killed, and is cut. Records before a damaged one are used.

use std::collections::HashMap;
use std::io::{self, Read};

use flate2::Crc;
use fleetgauge_proto::AgentId;

use super::cursor::Cursor;

const MAGIC: &[u8] = b"fleetgauge-agents";
/// The format version that is written, and the only one that can be read.
pub(super) const VERSION: u8 = 1;
/// Bytes of a file's header.
const HEADER_BYTES: usize = MAGIC.len() + 1;
/// Bytes of a record before its body.
const RECORD_HEADER_BYTES: usize = 12;
/// Maximum bytes of a body: a catalog in the largest frame. Larger agents are not journaled.
pub(super) const MAX_BODY_BYTES: usize = fleetgauge_proto::limits::MAX_PAYLOAD_BYTES as usize + 64;
/// Maximum number of agents that are read, so that small records cannot exhaust the memory.
const MAX_AGENTS: usize = 1_000_000;

const CATALOG: u8 = 1;
const AGENT: u8 = 2;
const GONE: u8 = 3;
const HEARTBEAT: u8 = 4;

/// What a journal says of the agents at its end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JournalContents {
    /// Time of the last heartbeat, in unix milliseconds.
    pub heartbeat_ms: Option<u64>,
    /// Catalog frames by the numbers that agents refer to.
    pub catalogs: HashMap<u32, Box<[u8]>>,
    /// Agents whose series have not ended.
    pub agents: HashMap<AgentId, JournaledAgent>,
    /// Whether the last record was incomplete.
    pub is_torn: bool,
}

/// An agent in a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournaledAgent {
    /// Time of its stale markers, in unix milliseconds; `None` if it was connected.
    pub ended_ms: Option<u64>,
    /// Its report interval, in milliseconds.
    pub interval_ms: u32,
    /// Its series, encoded.
    pub series: Box<[u8]>,
}

/// Why a part of a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalDamage {
    /// The file cannot be read.
    #[error("cannot read the file: {0}")]
    Unreadable(#[from] io::Error),
    /// The file is not a journal.
    #[error("not a journal")]
    Foreign,
    /// The file has this format version, which cannot be read.
    #[error("format version {0}; this collector reads version {VERSION}")]
    Version(u8),
    /// The record at this position claims a length that no record has, or two lengths.
    #[error("byte {0}: wrong length of a record")]
    Length(u64),
    /// The checksum of the record at this position does not match.
    #[error("byte {0}: wrong checksum")]
    Checksum(u64),
    /// The record at this position is invalid although its checksum matches.
    #[error("byte {0}: invalid record")]
    Record(u64),
    /// The file has more bytes or agents than the collector keeps.
    #[error("more than {0}")]
    TooLarge(String),
}

/// Appends the header of a file.
pub fn write_header(out: &mut Vec<u8>) {
    out.extend_from_slice(MAGIC);
    out.push(VERSION);
}

/// Appends a catalog.
pub fn write_catalog(number: u32, frame: &[u8], out: &mut Vec<u8>) {
    record(CATALOG, out, |out| {
        out.extend_from_slice(&number.to_le_bytes());
        out.extend_from_slice(frame);
    });
}

/// Appends an agent.
pub fn write_agent(id: &AgentId, agent: &JournaledAgent, out: &mut Vec<u8>) {
    record(AGENT, out, |out| {
        write_id(id, out);
        out.extend_from_slice(&agent.ended_ms.unwrap_or(0).to_le_bytes());
        out.extend_from_slice(&agent.interval_ms.to_le_bytes());
        out.extend_from_slice(&agent.series);
    });
}

/// Appends the end of an agent's series.
pub fn write_gone(id: &AgentId, out: &mut Vec<u8>) {
    record(GONE, out, |out| write_id(id, out));
}

/// Appends a heartbeat.
pub fn write_heartbeat(unix_ms: u64, out: &mut Vec<u8>) {
    record(HEARTBEAT, out, |out| out.extend_from_slice(&unix_ms.to_le_bytes()));
}

fn write_id(id: &AgentId, out: &mut Vec<u8>) {
    // An id has at most 128 bytes.
    out.push(u8::try_from(id.as_str().len()).unwrap_or(u8::MAX));
    out.extend_from_slice(id.as_str().as_bytes());
}

/// Appends a record. A body that is too large for a record becomes one that readers reject, so
/// callers check [`MAX_BODY_BYTES`].
fn record(kind: u8, out: &mut Vec<u8>, fields: impl FnOnce(&mut Vec<u8>)) {
    write_record(out, |out| {
        out.push(kind);
        fields(out);
    });
}

/// Appends a record with the body that `body` appends. For fuzzing: it may be invalid.
pub fn write_record(out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; RECORD_HEADER_BYTES]);
    body(out);
    let (_, record) = out.split_at_mut(start);
    let Some((header, body)) = record.split_first_chunk_mut::<RECORD_HEADER_BYTES>() else {
        return;
    };
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    let fields = [length, !length, checksum(body)];
    for (place, field) in header.chunks_exact_mut(size_of::<u32>()).zip(fields) {
        place.copy_from_slice(&field.to_le_bytes());
    }
}

fn checksum(body: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(body);
    crc.sum()
}

/// Reads at most `max_bytes` of a journal. Returns what its intact records say, and why reading
/// ended before the end of the file.
pub fn read_journal(from: impl Read, max_bytes: u64) -> (JournalContents, Option<JournalDamage>) {
    let mut reader = Reader { from: from.take(max_bytes), at: 0, body: Vec::new() };
    let mut contents = JournalContents::default();
    let damage = reader.read(&mut contents).err().or_else(|| {
        // Without a limit there would have been more.
        let is_cut = contents.is_torn && reader.from.limit() == 0;
        is_cut.then(|| JournalDamage::TooLarge(format!("{max_bytes} bytes")))
    });
    (contents, damage)
}

struct Reader<R> {
    from: io::Take<R>,
    /// Position of the record.
    at: u64,
    body: Vec<u8>,
}

impl<R: Read> Reader<R> {
    fn read(&mut self, contents: &mut JournalContents) -> Result<(), JournalDamage> {
        self.header()?;
        while self.record(contents)? {
            if contents.agents.len() > MAX_AGENTS {
                return Err(JournalDamage::TooLarge(format!("{MAX_AGENTS} agents")));
            }
        }
        Ok(())
    }

    fn header(&mut self) -> Result<(), JournalDamage> {
        self.fill(HEADER_BYTES)?;
        self.at = HEADER_BYTES as u64;
        match self.body.split_last() {
            Some((&VERSION, MAGIC)) => Ok(()),
            Some((version, MAGIC)) => Err(JournalDamage::Version(*version)),
            _ => Err(JournalDamage::Foreign),
        }
    }

    /// Reads a record. Returns whether there may be another one.
    fn record(&mut self, contents: &mut JournalContents) -> Result<bool, JournalDamage> {
        if !self.fill(RECORD_HEADER_BYTES)? {
            contents.is_torn = !self.body.is_empty();
            return Ok(false);
        }
        let mut header = Cursor::new(&self.body);
        let fields = (header.u32(), header.u32(), header.u32());
        let (Some(length), Some(inverted), Some(sum)) = fields else { return Ok(false) };
        let bytes = usize::try_from(length).unwrap_or(usize::MAX);
        if bytes == 0 || bytes > MAX_BODY_BYTES || inverted != !length {
            return Err(JournalDamage::Length(self.at));
        }
        if !self.fill(bytes)? {
            contents.is_torn = true;
            return Ok(false);
        }
        if checksum(&self.body) != sum {
            return Err(JournalDamage::Checksum(self.at));
        }
        contents.apply(&self.body).ok_or(JournalDamage::Record(self.at))?;
        self.at += RECORD_HEADER_BYTES as u64 + u64::from(length);
        Ok(true)
    }

    /// Reads bytes into `body`. Returns `false` if the file ends before. Memory grows only with the
    /// bytes that are there, whatever length a record claims.
    fn fill(&mut self, bytes: usize) -> io::Result<bool> {
        self.body.clear();
        self.from.by_ref().take(bytes as u64).read_to_end(&mut self.body)?;
        Ok(self.body.len() == bytes)
    }
}

impl JournalContents {
    /// Applies the body of a record; `None` if it is invalid.
    fn apply(&mut self, body: &[u8]) -> Option<()> {
        let mut body = Cursor::new(body);
        match body.u8()? {
            CATALOG => {
                let number = body.u32()?;
                self.catalogs.insert(number, body.rest().into());
            }
            AGENT => {
                let id = id(&mut body)?;
                let ended_ms = Some(body.u64()?).filter(|ended_ms| *ended_ms != 0);
                let interval_ms = body.u32()?;
                let series = body.rest().into();
                self.agents.insert(id, JournaledAgent { ended_ms, interval_ms, series });
            }
            GONE => {
                let id = id(&mut body)?;
                body.end()?;
                self.agents.remove(&id);
            }
            HEARTBEAT => {
                self.heartbeat_ms = Some(body.u64()?);
                body.end()?;
            }
            _ => return None,
        }
        Some(())
    }
}

fn id(body: &mut Cursor<'_>) -> Option<AgentId> {
    let bytes = body.u8()?;
    AgentId::try_new(body.text(usize::from(bytes))?).ok()
}

#[cfg(test)]
#[path = "format_tests.rs"]
mod tests;
