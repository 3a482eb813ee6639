//! Hello and Welcome.

use crate::codec::{BorrowDecode, Encode};
use crate::fingerprint::Fingerprint;
use crate::labels::Label;

/// The agent's first frame: identity, schema and credential.
#[derive(Debug, Clone, PartialEq, Eq, Encode, BorrowDecode)]
pub struct Hello<'a> {
    /// Lowest protocol version that the agent supports.
    pub min_version: u8,
    /// Highest protocol version that the agent supports.
    pub max_version: u8,
    /// Capability bits that the agent offers. Version 1 defines none.
    pub capabilities: u64,
    /// Agent id, unique in the fleet.
    pub agent_id: &'a str,
    /// Identifies a boot of the host: the same for all processes until the host reboots.
    pub host_nonce: [u8; 16],
    /// Random bytes that identify the agent's process.
    pub process_nonce: [u8; 16],
    /// The agent's static labels, added to all its series.
    pub labels: Vec<Label<'a>>,
    /// Interval between reports that the agent asks for, in milliseconds.
    pub interval_ms: u32,
    /// Version of the agent program, for logs.
    pub agent_version: &'a str,
    /// Fingerprint of the schema of the agent's reports.
    pub schema: Fingerprint,
    /// Token, if the collector requires one.
    pub credential: Option<Secret<'a>>,
    /// Extensions of later versions.
    pub extensions: Vec<Extension<'a>>,
}

/// A secret. `Debug` prints only its length.
#[derive(Clone, Copy, PartialEq, Eq, Encode, BorrowDecode)]
pub struct Secret<'a>(
    /// The secret itself.
    pub &'a [u8],
);

impl std::fmt::Debug for Secret<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<{} bytes>", self.0.len())
    }
}

/// The collector's answer to Hello: the session begins.
#[derive(Debug, Clone, PartialEq, Eq, Encode, BorrowDecode)]
pub struct Welcome<'a> {
    /// Protocol version of this and all later frames except Hello and Reject.
    pub version: u8,
    /// Capability bits that agent and collector share.
    pub capabilities: u64,
    /// Number of the session, unique while the collector runs.
    pub session_id: u64,
    /// Interval between reports that the agent must keep, in milliseconds.
    pub interval_ms: u32,
    /// Limits that the collector sets for the agent.
    pub limits: Limits,
    /// Whether the collector knows the schema that Hello names. If so, the agent skips Schema.
    pub schema_known: bool,
    /// Extensions of later versions.
    pub extensions: Vec<Extension<'a>>,
}

/// Limits that a collector sets for each of its agents. Part of Welcome.
///
/// ```
/// use fleetgauge_proto::Limits;
///
/// let limits = Limits { max_series: 100, ..Limits::default() };
/// assert_eq!(limits.max_families, 1_000);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, BorrowDecode)]
pub struct Limits {
    /// Longest payload that the collector accepts, in bytes.
    pub max_payload_bytes: u32,
    /// Maximum number of metric families in a schema.
    pub max_families: u32,
    /// Maximum number of series in a schema.
    pub max_series: u32,
    /// Maximum number of values in a report, over all series.
    pub max_values: u32,
    /// Maximum size of label names and values, in bytes: of all series of a schema, and separately
    /// of the agent's own labels. So a schema's validity does not depend on the agent.
    pub max_label_bytes: u32,
}

impl Default for Limits {
    /// Returns limits that fit a large host with many exporters. With them, a hostile agent can
    /// claim about 2 MiB of memory.
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

/// An addition of a later version. Receivers ignore an extension with an unknown id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, BorrowDecode)]
pub struct Extension<'a> {
    /// Extension id. Version 1 defines none.
    pub id: u16,
    /// Payload, in the format that the extension id defines.
    pub data: &'a [u8],
}
