//! The messages, as they lie in the payload: fields in the order of their encoding.
//!
//! Strings and byte strings are borrowed from the payload. A message that was decoded is well-formed;
//! whether its names and numbers are legal is decided by [`crate::names`], [`crate::schema`] and
//! [`crate::report`].

use crate::codec::{self, BorrowDecode, Encode};
use crate::error::Violation;
use crate::frame::{Frame, HEADER_LEN, Header, Kind};
use crate::limits::{
    Limits, MAX_CREDENTIAL_BYTES, MAX_EXTENSIONS, MAX_PAYLOAD_BYTES, MAX_TEXT_BYTES,
    MAX_VERSION_BYTES,
};
use crate::report::Values;
use crate::schema::Fingerprint;

/// A label: a name and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, BorrowDecode)]
pub struct Label<'a> {
    /// Label name.
    pub name: &'a str,
    /// Label value, any UTF-8.
    pub value: &'a str,
}

/// Something a later version wants to say; ignored by who does not know its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, BorrowDecode)]
pub struct Extension<'a> {
    /// What it is; none is defined in version 1.
    pub id: u16,
    /// Its content.
    pub data: &'a [u8],
}

/// Bytes that are never shown.
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

/// An agent introduces itself: the first frame of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Encode, BorrowDecode)]
pub struct Hello<'a> {
    /// Lowest protocol version the agent speaks.
    pub min_version: u8,
    /// Highest protocol version the agent speaks.
    pub max_version: u8,
    /// Capability bits; none is defined in version 1.
    pub capabilities: u64,
    /// Who it is: unique in the fleet.
    pub agent_id: &'a str,
    /// Which boot of which host this is: equal for all processes of one boot, different after a reboot.
    pub host_nonce: [u8; 16],
    /// Which process this is: random.
    pub process_nonce: [u8; 16],
    /// The agent's static labels, carried by all its series.
    pub labels: Vec<Label<'a>>,
    /// Interval between reports that the agent would like, in milliseconds.
    pub interval_ms: u32,
    /// The agent program's version, for people.
    pub agent_version: &'a str,
    /// Fingerprint of the schema its reports will follow.
    pub schema: Fingerprint,
    /// Proof of who it is, where the collector wants one.
    pub credential: Option<Secret<'a>>,
    /// Additions of later versions.
    pub extensions: Vec<Extension<'a>>,
}

/// The collector takes the agent in.
#[derive(Debug, Clone, PartialEq, Eq, Encode, BorrowDecode)]
pub struct Welcome<'a> {
    /// Protocol version of all frames that follow, but Hello and Reject.
    pub version: u8,
    /// Capability bits that both have.
    pub capabilities: u64,
    /// Number of this session, unique in the collector's life.
    pub session_id: u64,
    /// Interval between reports to keep, in milliseconds.
    pub interval_ms: u32,
    /// What the collector allows.
    pub limits: Limits,
    /// The schema announced in Hello is known: Report may follow at once, without Schema.
    pub schema_known: bool,
    /// Additions of later versions.
    pub extensions: Vec<Extension<'a>>,
}

/// A metric family, as declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, BorrowDecode)]
pub struct Family<'a> {
    /// Metric name, without the suffixes that its kind adds.
    pub name: &'a str,
    /// A [`crate::schema::FamilyKind`], or one of a later version.
    pub kind: u8,
    /// Unit; empty for none.
    pub unit: &'a str,
    /// Help text; may be empty.
    pub help: &'a str,
}

/// A series, as declared.
#[derive(Debug, Clone, PartialEq, Encode, BorrowDecode)]
pub struct Series<'a> {
    /// Position of its family in the schema, from 0.
    pub family: u32,
    /// How many values of a report are its own.
    pub width: u32,
    /// Bucket bounds of a histogram, quantiles of a summary; else empty.
    pub parameters: Vec<f64>,
    /// Labels of its own.
    pub labels: Vec<Label<'a>>,
}

/// What the agent's reports carry, in order.
#[derive(Debug, Clone, PartialEq, Encode, BorrowDecode)]
pub struct Schema<'a> {
    /// 0 in version 1.
    pub stream: u32,
    /// Metric families.
    pub families: Vec<Family<'a>>,
    /// Series, in the order of their values.
    pub series: Vec<Series<'a>>,
}

/// The newest values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, BorrowDecode)]
pub struct Report<'a> {
    /// 0 in version 1.
    pub stream: u32,
    /// Rises with every report of a process; gaps are legal.
    pub sequence: u64,
    /// When the values were sampled, in milliseconds since 1970 UTC.
    pub unix_ms: u64,
    /// The values by position.
    pub values: Values<'a>,
}

impl<'a> Report<'a> {
    /// Decodes a Report frame's payload; what [`Message::decode`] does, without room for the other messages.
    ///
    /// # Errors
    /// A [`Violation`] that names the first thing wrong with it.
    pub fn decode(payload: &'a [u8]) -> Result<Self, Violation> {
        let report: Self = codec::decode(payload)?;
        check_stream(report.stream)?;
        Ok(report)
    }
}

/// Is the other end there? Answered by a Pong of the same token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, BorrowDecode)]
pub struct Ping {
    /// Chosen by who asks.
    pub token: u64,
}

/// It is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, BorrowDecode)]
pub struct Pong {
    /// The Ping's.
    pub token: u64,
}

/// The collector asks the agent to leave; it reports until it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, BorrowDecode)]
pub struct Drain<'a> {
    /// After how long to leave, in milliseconds.
    pub delay_ms: u32,
    /// Where to go instead, as host:port; empty-handed, to wherever the agent is configured to.
    pub target: Option<&'a str>,
}

/// The collector ends the connection and says why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, BorrowDecode)]
pub struct Reject<'a> {
    /// 0 in version 1.
    pub stream: u32,
    /// A [`crate::Code`], or one of a later version.
    pub code: u16,
    /// A sentence for people.
    pub text: &'a str,
    /// When to come again, in milliseconds from now; `None`: the same again will not help.
    pub retry_after_ms: Option<u32>,
}

/// The agent leaves on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, BorrowDecode)]
pub struct Bye {
    /// 0 in version 1.
    pub stream: u32,
    /// A [`ByeReason`], or one of a later version.
    pub reason: u8,
}

/// Why an agent leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ByeReason {
    /// It was told to stop.
    Stopping = 0,
    /// The collector's Drain said so.
    Drained = 1,
    /// It comes back with other settings.
    Reconfigured = 2,
}

/// Any message of version 1.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "each variant is the struct of the same name")]
pub enum Message<'a> {
    Hello(Hello<'a>),
    Welcome(Welcome<'a>),
    Schema(Schema<'a>),
    Report(Report<'a>),
    Ping(Ping),
    Pong(Pong),
    Drain(Drain<'a>),
    Reject(Reject<'a>),
    Bye(Bye),
    /// A kind of a later version that may be ignored.
    Skipped(u8),
}

impl<'a> Message<'a> {
    /// Decodes the frame's payload.
    ///
    /// # Errors
    /// A [`Violation`] that names the first thing wrong with it.
    pub fn decode(frame: Frame<'a>) -> Result<Self, Violation> {
        let payload = frame.payload;
        let message = match frame.header.kind {
            Kind::Hello => Self::Hello(codec::decode(payload)?),
            Kind::Welcome => Self::Welcome(codec::decode(payload)?),
            Kind::Schema => Self::Schema(codec::decode(payload)?),
            Kind::Report => return Report::decode(payload).map(Self::Report),
            Kind::Ping => Self::Ping(codec::decode(payload)?),
            Kind::Pong => Self::Pong(codec::decode(payload)?),
            Kind::Drain => Self::Drain(codec::decode(payload)?),
            Kind::Reject => Self::Reject(codec::decode(payload)?),
            Kind::Bye => Self::Bye(codec::decode(payload)?),
            Kind::Skippable(kind) => Self::Skipped(kind),
        };
        message.check()?;
        Ok(message)
    }

    /// What is wrong with the message whatever the state of the connection.
    fn check(&self) -> Result<(), Violation> {
        match self {
            Self::Hello(hello) => {
                if hello.agent_version.len() > MAX_VERSION_BYTES {
                    return Err(Violation::BadHello { field: "agent version" });
                }
                if hello.credential.is_some_and(|c| c.0.len() > MAX_CREDENTIAL_BYTES) {
                    return Err(Violation::BadHello { field: "credential" });
                }
                check_extensions(&hello.extensions)
            }
            Self::Welcome(welcome) => check_extensions(&welcome.extensions),
            Self::Schema(Schema { stream, .. })
            | Self::Report(Report { stream, .. })
            | Self::Bye(Bye { stream, .. }) => check_stream(*stream),
            Self::Reject(reject) => {
                if reject.text.len() > MAX_TEXT_BYTES {
                    return Err(Violation::MalformedPayload {
                        what: "has a text that is too long",
                    });
                }
                check_stream(reject.stream)
            }
            Self::Ping(_) | Self::Pong(_) | Self::Drain(_) | Self::Skipped(_) => Ok(()),
        }
    }

    /// The kind of its frame.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Hello(_) => Kind::Hello,
            Self::Welcome(_) => Kind::Welcome,
            Self::Schema(_) => Kind::Schema,
            Self::Report(_) => Kind::Report,
            Self::Ping(_) => Kind::Ping,
            Self::Pong(_) => Kind::Pong,
            Self::Drain(_) => Kind::Drain,
            Self::Reject(_) => Kind::Reject,
            Self::Bye(_) => Kind::Bye,
            Self::Skipped(kind) => Kind::Skippable(*kind),
        }
    }

    /// Appends the message as one frame of `version` to `out`; a skipped one with an empty payload.
    ///
    /// # Errors
    /// [`Violation::FrameTooLarge`] if the payload does not fit a frame; `out` is as before then.
    pub fn encode(&self, version: u8, out: &mut Vec<u8>) -> Result<(), Violation> {
        let start = out.len();
        out.extend_from_slice(&[0; HEADER_LEN]);
        match self {
            Self::Hello(message) => codec::encode(message, out),
            Self::Welcome(message) => codec::encode(message, out),
            Self::Schema(message) => codec::encode(message, out),
            Self::Report(message) => codec::encode(message, out),
            Self::Ping(message) => codec::encode(message, out),
            Self::Pong(message) => codec::encode(message, out),
            Self::Drain(message) => codec::encode(message, out),
            Self::Reject(message) => codec::encode(message, out),
            Self::Bye(message) => codec::encode(message, out),
            Self::Skipped(_) => {}
        }
        let len = u32::try_from(out.len() - start - HEADER_LEN).unwrap_or(u32::MAX);
        if len > MAX_PAYLOAD_BYTES {
            out.truncate(start);
            return Err(Violation::FrameTooLarge { len, max: MAX_PAYLOAD_BYTES });
        }
        let header = Header { version, kind: self.kind(), len };
        out[start..start + HEADER_LEN].copy_from_slice(&header.to_bytes());
        Ok(())
    }
}

pub(crate) fn check_stream(stream: u32) -> Result<(), Violation> {
    if stream == 0 { Ok(()) } else { Err(Violation::BadStream { stream }) }
}

fn check_extensions(extensions: &[Extension<'_>]) -> Result<(), Violation> {
    let twice = || {
        extensions.iter().enumerate().any(|(n, one)| extensions[..n].iter().any(|o| o.id == one.id))
    };
    if extensions.len() > MAX_EXTENSIONS || twice() {
        return Err(Violation::BadExtension);
    }
    Ok(())
}
