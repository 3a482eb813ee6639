//! The file of the log, with which it survives a restart of the agent.
//!
//! Reports are in the file as they are in memory. Integers are those of [`varint`](super::varint)
//! unless they have a size.
//!
//! ```text
//! file        | magic, 8 bytes | version u8 | length of id u8 | id | checksum u32 | record ...
//! record      | length of kind and content u32 | checksum u32 | kind u8 | content |
//!
//! kind        content
//! 1 catalogs  | count | length, Catalog frame ... |
//! 2 segment   | sequence | time | for each table: 0, or 1 + number of label values,
//!             |                   then length and text of each |
//! 3 reports   | reports of the last segment, as in memory ... |
//! 4 state     | acknowledged | last sequence | its time | settled time | estimated from | time of host |
//! ```
//!
//! Numbers with a size are little-endian. A segment has the last catalogs of the file. 0 means
//! that a table has the rows that it had in the segment before, or none after new catalogs. A
//! checksum (CRC-32) continues that of the record before, so that a record counts only behind
//! those that were before it when it was written.
//!
//! The file is read up to the first record that is incomplete or damaged. It is then written again
//! as a whole, so that nothing is appended behind damage.

mod encode;
mod read;
mod record;
mod storage;

pub(crate) use encode::FileEncoder;
pub(crate) use read::Restored;
use read::Unreadable;
pub(crate) use read::restore;
pub(crate) use storage::{Content, LogFile, OpenError, Storage};

/// First bytes of the file.
const MAGIC: [u8; 8] = *b"fgreplog";
/// Version of the format.
const VERSION: u8 = 1;
/// Maximum size of a record, in bytes. The largest has rows or catalogs, which fit a few frames of
/// the protocol.
const MAX_RECORD_BYTES: usize = 64 * 1024 * 1024;
