//! Kinds of frames.

use std::fmt;

/// Receivers skip an unknown kind that has this bit set.
const SKIPPABLE: u8 = 0x80;

/// The kind of a frame: which message its payload holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the message of the same name documents each variant")]
pub enum Kind {
    Hello,
    Welcome,
    Catalog,
    Rows,
    Report,
    Ping,
    Pong,
    Drain,
    Reject,
    Bye,
    Acknowledge,
    Resend,
    /// An unknown kind, 0x80 to 0xff, that receivers skip.
    Skippable(u8),
}

impl Kind {
    /// Returns the kind of a header byte; `None` if it is unknown and not skippable.
    pub(crate) const fn from_u8(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Hello,
            2 => Self::Welcome,
            3 => Self::Catalog,
            4 => Self::Rows,
            5 => Self::Report,
            6 => Self::Ping,
            7 => Self::Pong,
            8 => Self::Drain,
            9 => Self::Reject,
            10 => Self::Bye,
            11 => Self::Acknowledge,
            12 => Self::Resend,
            _ if byte & SKIPPABLE != 0 => Self::Skippable(byte),
            _ => return None,
        })
    }

    /// Returns the header byte.
    #[must_use]
    pub const fn to_u8(self) -> u8 {
        match self {
            Self::Hello => 1,
            Self::Welcome => 2,
            Self::Catalog => 3,
            Self::Rows => 4,
            Self::Report => 5,
            Self::Ping => 6,
            Self::Pong => 7,
            Self::Drain => 8,
            Self::Reject => 9,
            Self::Bye => 10,
            Self::Acknowledge => 11,
            Self::Resend => 12,
            Self::Skippable(byte) => byte,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Skippable(byte) => write!(f, "{byte:#04x}"),
            named => write!(f, "{named:?}"),
        }
    }
}
