//! Frames: an eight-byte header and a payload. Only this file knows the header's byte offsets.
//!
//! ```text
//! 0      2         3      4               7       8
//! | "FG" | version | kind | length u24 LE | flags | payload …
//! ```
//!
//! A header is checked before any of its payload is buffered. [`crate::message`] decodes payloads.

use crate::kind::Kind;
use crate::violation::Violation;

/// The protocol version of this crate. Version 1 is the only one so far.
pub const VERSION: u8 = 1;

/// Length of the header, in bytes.
pub const HEADER_LEN: usize = 8;

/// The first bytes of every frame.
pub const MAGIC: [u8; 2] = *b"FG";
const VERSION_AT: usize = 2;
const KIND_AT: usize = 3;
const LENGTH_AT: usize = 4;
const FLAGS_AT: usize = 7;
/// The header version of Hello and Reject in all protocol versions, so that two peers without a
/// common version still understand each other's Reject.
const HANDSHAKE_VERSION: u8 = 1;

/// Which frames a receiver accepts in its current state.
#[derive(Debug, Clone, Copy)]
pub struct Accept {
    /// The version that Welcome chose; 1 before Welcome.
    pub version: u8,
    /// Longest payload that the receiver accepts, in bytes.
    pub max_payload_bytes: u32,
}

/// A header that has been checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Protocol version of the payload.
    pub version: u8,
    /// Kind of the payload.
    pub kind: Kind,
    /// Payload length, in bytes; below 2^24.
    pub len: u32,
}

impl Header {
    /// Parses and checks a header.
    ///
    /// # Errors
    /// The first of: wrong magic, non-zero flags, an unknown kind, a version or a payload length
    /// that `accept` does not allow.
    pub fn parse(bytes: &[u8; HEADER_LEN], accept: Accept) -> Result<Self, Violation> {
        check_magic(bytes)?;
        if bytes[FLAGS_AT] != 0 {
            return Err(Violation::BadFlags { flags: bytes[FLAGS_AT] });
        }
        let Some(kind) = Kind::from_u8(bytes[KIND_AT]) else {
            return Err(Violation::UnknownKind { kind: bytes[KIND_AT] });
        };
        let version = bytes[VERSION_AT];
        let expected = match kind {
            Kind::Hello | Kind::Reject => HANDSHAKE_VERSION,
            _ => accept.version,
        };
        if version != expected {
            return Err(Violation::UnsupportedVersion { version });
        }
        let len =
            u32::from_le_bytes([bytes[LENGTH_AT], bytes[LENGTH_AT + 1], bytes[LENGTH_AT + 2], 0]);
        if len > accept.max_payload_bytes {
            return Err(Violation::FrameTooLarge { len, max: accept.max_payload_bytes });
        }
        Ok(Self { version, kind, len })
    }

    /// Encodes the header, with the low 24 bits of the length.
    #[must_use]
    pub fn to_bytes(self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[..MAGIC.len()].copy_from_slice(&MAGIC);
        bytes[VERSION_AT] = match self.kind {
            Kind::Hello | Kind::Reject => HANDSHAKE_VERSION,
            _ => self.version,
        };
        bytes[KIND_AT] = self.kind.to_u8();
        bytes[LENGTH_AT..FLAGS_AT].copy_from_slice(&self.len.to_le_bytes()[..3]);
        bytes
    }
}

/// Checks the part of the magic that has arrived: a peer that speaks another protocol gets its
/// Reject after the first byte.
fn check_magic(start: &[u8]) -> Result<(), Violation> {
    let seen = start.len().min(MAGIC.len());
    if start[..seen] == MAGIC[..seen] { Ok(()) } else { Err(Violation::BadMagic) }
}

/// A complete frame. The payload is borrowed from the input, or from the [`FrameBuffer`] if the
/// frame arrived in pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The checked header.
    pub header: Header,
    /// The payload, as long as the header says.
    pub payload: &'a [u8],
}

/// Splits a byte stream into frames.
///
/// Between frames it holds no memory. A frame that arrives in pieces takes as much memory as the
/// bytes that have arrived, whatever length its header announces.
///
/// ```
/// use fleetgauge_proto::{Accept, FrameBuffer, Kind};
///
/// let accept = Accept { version: 1, max_payload_bytes: 1024 };
/// let mut buffer = FrameBuffer::default();
///
/// // A Ping with token 7 arrives in two pieces.
/// let (mut first, mut second) = (&b"FG\x01\x06\x01"[..], &b"\x00\x00\x00\x07"[..]);
/// assert_eq!(buffer.next(&mut first, accept)?, None);
/// let frame = buffer.next(&mut second, accept)?.expect("the frame is complete");
/// assert_eq!((frame.header.kind, frame.payload), (Kind::Ping, &[7][..]));
/// # Ok::<(), fleetgauge_proto::Violation>(())
/// ```
#[derive(Debug, Default)]
pub struct FrameBuffer(Option<Box<Unfinished>>);

/// A frame that arrives in pieces.
#[derive(Debug, Default)]
struct Unfinished {
    /// The bytes so far, header first.
    bytes: Vec<u8>,
    /// Whether the complete frame has been returned.
    handed_out: bool,
}

impl FrameBuffer {
    /// Returns the next frame and moves `input` past it; `None` once all input is consumed.
    ///
    /// # Errors
    /// See [`Header::parse`]. The rest of the stream cannot be read.
    pub fn next<'frame, 'input: 'frame>(
        &'frame mut self,
        input: &mut &'input [u8],
        accept: Accept,
    ) -> Result<Option<Frame<'frame>>, Violation> {
        if self.0.as_ref().is_some_and(|unfinished| unfinished.handed_out) {
            self.0 = None;
        }
        if self.0.is_none() {
            if input.is_empty() {
                return Ok(None);
            }
            if let Some((header, rest)) = input.split_first_chunk::<HEADER_LEN>() {
                let header = Header::parse(header, accept)?;
                if let Some((payload, after)) = rest.split_at_checked(header.len as usize) {
                    *input = after;
                    return Ok(Some(Frame { header, payload }));
                }
            }
        }
        self.0.get_or_insert_default().resume(input, accept)
    }

    /// Returns the announced length of the incomplete frame, in bytes, header included; `None`
    /// between frames. While the header is incomplete, this is the header's length.
    #[must_use]
    pub fn unfinished_len(&self) -> Option<usize> {
        let unfinished = self.0.as_ref().filter(|unfinished| !unfinished.handed_out)?;
        let announced = unfinished
            .bytes
            .get(LENGTH_AT..FLAGS_AT)
            .map_or(0, |bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]) as usize);
        Some(HEADER_LEN + announced)
    }

    /// Returns the memory that the incomplete frame takes, in bytes; 0 between frames.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |unfinished| unfinished.bytes.capacity())
    }
}

impl Unfinished {
    /// Continues the incomplete frame with more input.
    fn resume(
        &mut self,
        input: &mut &[u8],
        accept: Accept,
    ) -> Result<Option<Frame<'_>>, Violation> {
        if !self.take_up_to(HEADER_LEN, input) {
            check_magic(&self.bytes)?;
            return Ok(None);
        }
        let Some(header) = self.bytes.first_chunk::<HEADER_LEN>() else {
            return Ok(None);
        };
        let header = Header::parse(header, accept)?;
        if !self.take_up_to(HEADER_LEN + header.len as usize, input) {
            return Ok(None);
        }
        self.handed_out = true;
        Ok(Some(Frame { header, payload: &self.bytes[HEADER_LEN..] }))
    }

    /// Moves bytes from `input` until `len` are buffered. Returns whether `len` are buffered.
    fn take_up_to(&mut self, len: usize, input: &mut &[u8]) -> bool {
        let missing = len.saturating_sub(self.bytes.len());
        let (taken, rest) = input.split_at(missing.min(input.len()));
        self.bytes.extend_from_slice(taken);
        *input = rest;
        taken.len() == missing
    }
}
