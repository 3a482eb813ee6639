//! Frames: an eight-byte header and its payload. The only owner of the header's byte offsets.
//!
//! ```text
//! 0      2         3      4               7       8
//! | "FG" | version | kind | length u24 LE | flags | payload …
//! ```
//!
//! What a header may say is checked before a byte of its payload is kept. What the payload means is
//! [`crate::message`]'s business.

use crate::error::Violation;

/// Length of the header, in bytes.
pub const HEADER_LEN: usize = 8;

/// How every frame begins.
pub const MAGIC: [u8; 2] = *b"FG";
const VERSION_AT: usize = 2;
const KIND_AT: usize = 3;
const LENGTH_AT: usize = 4;
const FLAGS_AT: usize = 7;
/// A kind with this bit set may be skipped by who does not know it.
const SKIPPABLE: u8 = 0x80;
/// Hello and Reject say this version for ever, so that strangers understand each other's refusals.
const FOREVER: u8 = 1;

/// What a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the messages of the same names say what they are")]
pub enum Kind {
    Hello,
    Welcome,
    Schema,
    Report,
    Ping,
    Pong,
    Drain,
    Reject,
    Bye,
    /// A kind of a later version that says of itself that it may be ignored.
    Skippable(u8),
}

impl Kind {
    const fn from_u8(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Hello,
            2 => Self::Welcome,
            3 => Self::Schema,
            4 => Self::Report,
            5 => Self::Ping,
            6 => Self::Pong,
            7 => Self::Drain,
            8 => Self::Reject,
            9 => Self::Bye,
            _ if byte & SKIPPABLE != 0 => Self::Skippable(byte),
            _ => return None,
        })
    }

    /// The byte in the header.
    #[must_use]
    pub const fn to_u8(self) -> u8 {
        match self {
            Self::Hello => 1,
            Self::Welcome => 2,
            Self::Schema => 3,
            Self::Report => 4,
            Self::Ping => 5,
            Self::Pong => 6,
            Self::Drain => 7,
            Self::Reject => 8,
            Self::Bye => 9,
            Self::Skippable(byte) => byte,
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Skippable(byte) => write!(f, "a frame of kind {byte:#04x}"),
            named => write!(f, "{named:?}"),
        }
    }
}

/// What the receiver takes at this moment; everything else is a [`Violation`].
#[derive(Debug, Clone, Copy)]
pub struct Accept {
    /// The version agreed in Welcome, or 1 before it.
    pub version: u8,
    /// Longest payload, in bytes.
    pub max_payload_bytes: u32,
}

/// A header that has been checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Protocol version of the payload.
    pub version: u8,
    /// What the payload is.
    pub kind: Kind,
    /// Length of the payload, in bytes; below 2^24.
    pub len: u32,
}

impl Header {
    /// Reads and checks a header.
    ///
    /// # Errors
    /// The first of: wrong magic, flags that are not zero, a kind nobody knows, a version other than the
    /// accepted one, a payload over the accepted length.
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
            Kind::Hello | Kind::Reject => FOREVER,
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

    /// The header's bytes. Only the low 24 bits of the length are written.
    #[must_use]
    pub fn to_bytes(self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[..MAGIC.len()].copy_from_slice(&MAGIC);
        bytes[VERSION_AT] = match self.kind {
            Kind::Hello | Kind::Reject => FOREVER,
            _ => self.version,
        };
        bytes[KIND_AT] = self.kind.to_u8();
        bytes[LENGTH_AT..FLAGS_AT].copy_from_slice(&self.len.to_le_bytes()[..3]);
        bytes
    }
}

/// Checks as much of the magic as is there, so that a stranger is told at its first byte.
fn check_magic(start: &[u8]) -> Result<(), Violation> {
    let seen = start.len().min(MAGIC.len());
    if start[..seen] == MAGIC[..seen] { Ok(()) } else { Err(Violation::BadMagic) }
}

/// One whole frame, its payload borrowed from the receive buffer where it arrived in one piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The checked header.
    pub header: Header,
    /// As many bytes as the header announced.
    pub payload: &'a [u8],
}

/// Cuts a byte stream into frames. Between frames it is one empty pointer.
#[derive(Debug, Default)]
pub struct FrameBuffer(Option<Box<Unfinished>>);

/// A frame that did not come in one piece.
#[derive(Debug, Default)]
struct Unfinished {
    /// Its bytes so far, header first.
    bytes: Vec<u8>,
    /// It became whole and has been handed out.
    handed_out: bool,
}

impl FrameBuffer {
    /// The next whole frame at the front of `input`, which is moved past it; `None` once `input` is used up.
    ///
    /// Memory follows the bytes that have arrived, never the length that was announced.
    ///
    /// # Errors
    /// What [`Header::parse`] finds; the stream cannot be read on after that.
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

    /// How long the unfinished frame will be, header included, in bytes, as far as that is known; `None`
    /// between frames.
    #[must_use]
    pub fn unfinished_len(&self) -> Option<usize> {
        let unfinished = self.0.as_ref().filter(|unfinished| !unfinished.handed_out)?;
        let announced = unfinished
            .bytes
            .get(LENGTH_AT..FLAGS_AT)
            .map_or(0, |bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]) as usize);
        Some(HEADER_LEN + announced)
    }

    /// Bytes of memory that the frame that is not whole yet holds; 0 between frames.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |unfinished| unfinished.bytes.capacity())
    }
}

impl Unfinished {
    /// Goes on with the frame.
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

    /// Moves bytes from `input` until `len` are held; whether they are.
    fn take_up_to(&mut self, len: usize, input: &mut &[u8]) -> bool {
        let missing = len.saturating_sub(self.bytes.len());
        let (taken, rest) = input.split_at(missing.min(input.len()));
        self.bytes.extend_from_slice(taken);
        *input = rest;
        taken.len() == missing
    }
}
