//! Every fixed limit of the protocol, with its unit and reason.
//!
//! All implementations share these constants. A collector announces further limits of its own in
//! Welcome: see [`crate::Limits`].

/// Longest payload, in bytes: the header's length field has 24 bits.
pub const MAX_PAYLOAD_BYTES: u32 = 0x00ff_ffff;
/// Longest Hello, in bytes. Bounds what an unauthenticated peer can make the collector buffer.
pub const MAX_HELLO_BYTES: u32 = 16 * 1024;
/// Longest payload that an agent accepts, in bytes. Leaves room for later versions: in version 1 a
/// Reject is the longest, under 600 bytes.
pub const MAX_FROM_COLLECTOR_BYTES: u32 = 16 * 1024;
/// Memory that decoding one message may claim, in bytes. A catalog decodes to a few times the
/// size of its frame; a hostile length prefix fails at this limit.
pub const DECODE_BUDGET_BYTES: usize = 64 * 1024 * 1024;
/// Memory that decoding a payload of at most [`MAX_HELLO_BYTES`] may claim, in bytes. Lists decode
/// to less than 32 times their encoded size, so every valid payload fits.
pub const SMALL_DECODE_BUDGET_BYTES: usize = 32 * MAX_HELLO_BYTES as usize;

/// Longest agent id, in bytes.
pub const MAX_AGENT_ID_BYTES: usize = 128;
/// Longest metric or label name, in bytes.
pub const MAX_NAME_BYTES: usize = 200;
/// Longest label value, in bytes. Fits a path or an image name, not a log line.
pub const MAX_LABEL_VALUE_BYTES: usize = 1024;
/// Maximum number of labels of an agent, of a column, and of a row.
pub const MAX_LABELS: usize = 32;
/// Maximum number of catalogs of an agent.
pub const MAX_CATALOGS: usize = 16;
/// Maximum number of decimal places of a column.
pub const MAX_DECIMALS: u8 = 9;
/// Longest help text, in bytes.
pub const MAX_HELP_BYTES: usize = 1024;
/// Maximum number of bucket bounds or quantiles of a column.
pub const MAX_PARAMETERS: usize = 256;
/// Maximum number of values of a column in a row: one for each parameter, a count and a sum.
pub const MAX_WIDTH: u32 = MAX_PARAMETERS as u32 + 2;
/// Maximum number of extensions of a message.
pub const MAX_EXTENSIONS: usize = 16;
/// Longest text of a Reject, in bytes.
pub const MAX_TEXT_BYTES: usize = 512;
/// Longest agent version, in bytes.
pub const MAX_VERSION_BYTES: usize = 64;
/// Longest credential, in bytes.
pub const MAX_CREDENTIAL_BYTES: usize = 4096;

/// Shortest interval between reports, in milliseconds.
pub const MIN_INTERVAL_MS: u32 = 1_000;
/// Longest interval between reports, in milliseconds.
pub const MAX_INTERVAL_MS: u32 = 300_000;
