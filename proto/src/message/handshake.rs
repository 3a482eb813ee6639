//! Hello and Welcome.

use crate::capability;
use crate::codec::{self, BorrowDecode, Encode};
use crate::fingerprint::Fingerprint;
use crate::labels::Label;
use crate::violation::Violation;

/// The agent's first frame: identity, catalogs and credential.
#[derive(Debug, Clone, PartialEq, Eq, Encode, BorrowDecode)]
pub struct Hello<'a> {
    /// Lowest protocol version that the agent supports.
    pub min_version: u8,
    /// Highest protocol version that the agent supports.
    pub max_version: u8,
    /// Bits of [`crate::capability`] that the agent offers.
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
    /// Fingerprints of its catalogs, by slot.
    pub catalogs: Vec<Fingerprint>,
    /// Token, if the collector requires one.
    pub credential: Option<Secret<'a>>,
    /// [`LOG`], and extensions of later versions.
    pub extensions: Vec<Extension<'a>>,
}

/// Id of the extension of Hello that announces the agent's log. Present if and only if the agent
/// offers [`capability::REPLAY`].
pub const LOG: u16 = 2;

impl Hello<'_> {
    /// Returns the first sequence number in the agent's log that is not acknowledged; `None` if the
    /// agent does not keep a log.
    #[must_use]
    pub fn log(&self) -> Option<u64> {
        codec::decode(self.log_data()?).ok()
    }

    fn log_data(&self) -> Option<&[u8]> {
        let mut extensions = self.extensions.iter();
        extensions.find(|extension| extension.id == LOG).map(|extension| extension.data)
    }

    /// Checks that there is a legal log extension exactly if the agent offers to send reports
    /// again.
    pub(super) fn check_log(&self) -> Result<(), Violation> {
        let offered = self.capabilities & capability::REPLAY != 0;
        let what = match self.log_data() {
            Some(_) if !offered => "is present without its capability",
            None if offered => "is missing, but its capability is offered",
            Some(data) if codec::decode::<u64>(data).is_err() => "is not an integer",
            _ => return Ok(()),
        };
        Err(Violation::BadLogExtension { what })
    }
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
    /// Bits of [`crate::capability`] that agent and collector share.
    pub capabilities: u64,
    /// Number of the session, unique while the collector runs.
    pub session_id: u64,
    /// Interval between reports that the agent must keep, in milliseconds.
    pub interval_ms: u32,
    /// Time of the collector, in milliseconds since the Unix epoch. The time of a report is this
    /// plus the time that the agent's monotonic clock has counted since Welcome.
    pub unix_ms: u64,
    /// Limits of the collector.
    pub limits: Limits,
    /// Which of Hello's catalogs the collector knows: one bit each, the lowest for slot 0. The
    /// agent sends the others.
    pub catalogs_known: u16,
    /// [`PINNED_LABELS`], and extensions of later versions.
    pub extensions: Vec<Extension<'a>>,
}

/// Id of the extension of Welcome that lists the names of pinned labels, separated by commas: those
/// that the collector sets for this agent, and that its series must not have.
pub const PINNED_LABELS: u16 = 1;

impl<'a> Welcome<'a> {
    /// Returns the names of the labels that the collector sets for this agent.
    pub fn pinned_labels(&self) -> impl Iterator<Item = &'a str> {
        let lists = self.extensions.iter().filter(|extension| extension.id == PINNED_LABELS);
        let texts = lists.filter_map(|list| std::str::from_utf8(list.data).ok());
        texts.flat_map(|text| text.split(',')).filter(|name| !name.is_empty())
    }
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
    /// Maximum number of metric families of a catalog.
    pub max_families: u32,
    /// Maximum number of series, over all rows; also the maximum number of columns of all catalogs
    /// together.
    pub max_series: u32,
    /// Maximum number of values in a report, over all rows.
    pub max_values: u32,
    /// Maximum size of label names and values, in bytes. A catalog, all rows together and the
    /// agent's own labels are measured separately, so that a catalog is valid for all agents or
    /// for none.
    pub max_label_bytes: u32,
}

impl Default for Limits {
    /// Returns limits that fit a large host with many exporters.
    fn default() -> Self {
        Self {
            max_payload_bytes: 1024 * 1024,
            max_families: 1_000,
            max_series: 50_000,
            max_values: 100_000,
            max_label_bytes: 512 * 1024,
        }
    }
}

/// An addition of a later version. Receivers ignore an extension with an unknown id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, BorrowDecode)]
pub struct Extension<'a> {
    /// Extension id. Version 1 defines [`PINNED_LABELS`] of Welcome and [`LOG`] of Hello.
    pub id: u16,
    /// Payload, in the format that the extension id defines.
    pub data: &'a [u8],
}

impl<'a> Extension<'a> {
    /// Returns the [`LOG`] extension of a log whose first report that is not acknowledged has this
    /// sequence number. `data` holds the encoded number.
    pub fn log(first: u64, data: &'a mut Vec<u8>) -> Self {
        data.clear();
        codec::encode(&first, data);
        Self { id: LOG, data }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Accept, FrameBuffer, VERSION};
    use crate::limits::MAX_HELLO_BYTES;
    use crate::message::Message;

    #[test]
    fn log_of_hello_survives_encoding() {
        for first in [0, 250, 251, u64::MAX] {
            let mut data = Vec::new();
            let hello = Hello {
                min_version: VERSION,
                max_version: VERSION,
                capabilities: capability::LOG,
                agent_id: "web-1",
                host_nonce: [1; 16],
                process_nonce: [2; 16],
                labels: vec![],
                interval_ms: 1_000,
                agent_version: "",
                catalogs: vec![],
                credential: None,
                extensions: vec![Extension::log(first, &mut data)],
            };
            let mut frame = Vec::new();
            Message::Hello(hello).encode(VERSION, &mut frame).expect("fits");
            let accept = Accept { version: VERSION, max_payload_bytes: MAX_HELLO_BYTES };
            let mut buffer = FrameBuffer::default();
            let frame = buffer.next(&mut &frame[..], accept).expect("legal").expect("complete");
            let Ok(Message::Hello(hello)) = Message::decode(frame) else { panic!("no Hello") };
            assert_eq!(hello.log(), Some(first));
        }
    }
}
