//! Every bound of the protocol, with its unit and reason.
//!
//! The constants hold for every implementation; [`Limits`] is what a collector may set lower or higher for
//! itself and tells its agents in Welcome.

use crate::codec::{BorrowDecode, Encode};

/// Longest payload that the header's 24-bit length can announce, in bytes.
pub const MAX_PAYLOAD_BYTES: u32 = 0x00ff_ffff;
/// Longest Hello, in bytes: all that a peer nobody knows yet can make the other side keep.
pub const MAX_HELLO_BYTES: u32 = 16 * 1024;
/// Longest payload an agent accepts from its collector, in bytes; the longest is a Reject with its text.
pub const MAX_FROM_COLLECTOR_BYTES: u32 = 16 * 1024;
/// What one message may claim in memory while it is decoded, in bytes: a schema of the largest frame
/// unfolds to a few times its size; a hostile length prefix gets no further than this.
pub const DECODE_BUDGET_BYTES: usize = 64 * 1024 * 1024;
/// The same for a payload no longer than the longest Hello, in bytes: lists unfold to less than 32 times
/// their encoding, so every legal one fits, and a stranger's length prefix reserves next to nothing.
pub const SMALL_DECODE_BUDGET_BYTES: usize = 32 * MAX_HELLO_BYTES as usize;

/// Longest agent id, in bytes.
pub const MAX_AGENT_ID_BYTES: usize = 128;
/// Longest metric or label name, in bytes.
pub const MAX_NAME_BYTES: usize = 200;
/// Longest label value, in bytes: a path or an image name fits, a log line does not.
pub const MAX_LABEL_VALUE_BYTES: usize = 1024;
/// Most labels an agent, or one of its series, may carry.
pub const MAX_LABELS: usize = 32;
/// Longest help text, in bytes.
pub const MAX_HELP_BYTES: usize = 1024;
/// Most bucket bounds or quantiles a series may have.
pub const MAX_PARAMETERS: usize = 256;
/// Most values one series may carry: the parameters' worth, a count and a sum.
pub const MAX_WIDTH: u32 = MAX_PARAMETERS as u32 + 2;
/// Most extensions in one message.
pub const MAX_EXTENSIONS: usize = 16;
/// Longest free text in a Reject, in bytes.
pub const MAX_TEXT_BYTES: usize = 512;
/// Longest agent version string, in bytes.
pub const MAX_VERSION_BYTES: usize = 64;
/// Longest credential, in bytes.
pub const MAX_CREDENTIAL_BYTES: usize = 4096;

/// Shortest interval between reports, in milliseconds.
pub const MIN_INTERVAL_MS: u32 = 1_000;
/// Longest interval between reports, in milliseconds.
pub const MAX_INTERVAL_MS: u32 = 300_000;

/// What one collector allows each of its agents; sent in Welcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, BorrowDecode)]
pub struct Limits {
    /// Longest payload of a frame, in bytes.
    pub max_payload_bytes: u32,
    /// Most metric families.
    pub max_families: u32,
    /// Most series.
    pub max_series: u32,
    /// Most values in a report, over all series.
    pub max_values: u32,
    /// Most bytes of label names and values, over all series of a schema and, on its own, over the labels of
    /// the agent: whether a schema is legal depends on itself alone.
    pub max_label_bytes: u32,
}

impl Default for Limits {
    /// Room for a large host with every exporter on it, at some 2 MiB of an agent's worst behaviour.
    fn default() -> Self {
        Self {
            max_payload_bytes: 1024 * 1024,
            max_families: 1_000,
            max_series: 10_000,
            max_values: 50_000,
            max_label_bytes: 512 * 1024,
        }
    }
}
