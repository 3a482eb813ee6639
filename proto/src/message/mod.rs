//! The messages. Struct fields are in the order of their encoding.
//!
//! Messages borrow strings and byte strings from the payload. A decoded message is well-formed;
//! [`crate::agent_id`], [`crate::labels`], [`crate::catalog`], [`crate::rows`] and
//! [`crate::report`] validate its contents.

mod catalog;
mod control;
mod handshake;
mod log;
mod report;

pub use crate::labels::Label;
pub use catalog::{Catalog, Column, Family, RowChange, Rows, Table};
pub use control::{Bye, ByeReason, Drain, Ping, Pong, Reject};
pub use handshake::{Extension, Hello, LOG, Limits, PINNED_LABELS, Secret, Welcome};
pub use log::{Acknowledge, Resend};
pub use report::Report;

use crate::codec;
use crate::frame::{Frame, HEADER_LEN, Header};
use crate::kind::Kind;
use crate::limits::{
    MAX_CATALOGS, MAX_CREDENTIAL_BYTES, MAX_EXTENSIONS, MAX_PAYLOAD_BYTES, MAX_TEXT_BYTES,
    MAX_VERSION_BYTES,
};
use crate::stream::{self, Streams, check_stream};
use crate::violation::Violation;

/// Any message of version 1.
///
/// ```
/// use fleetgauge_proto::limits::MAX_HELLO_BYTES;
/// use fleetgauge_proto::message::{Message, Reject};
/// use fleetgauge_proto::{Accept, Code, FrameBuffer, VERSION};
///
/// let reject = Message::Reject(Reject {
///     stream: 0,
///     code: Code::Draining.to_u16(),
///     text: "the collector is restarting",
///     retry_after_ms: Some(5_000),
/// });
/// let mut bytes = Vec::new();
/// reject.encode(VERSION, &mut bytes)?;
///
/// let accept = Accept { version: VERSION, max_payload_bytes: MAX_HELLO_BYTES };
/// let mut buffer = FrameBuffer::default();
/// let frame = buffer.next(&mut &bytes[..], accept)?.expect("the frame is complete");
/// assert_eq!(Message::decode(frame)?, reject);
/// # Ok::<(), fleetgauge_proto::Violation>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the struct of the same name documents each variant")]
pub enum Message<'a> {
    Hello(Hello<'a>),
    Welcome(Welcome<'a>),
    Catalog(Catalog<'a>),
    Rows(Rows<'a>),
    Report(Report<'a>),
    Ping(Ping),
    Pong(Pong),
    Drain(Drain<'a>),
    Reject(Reject<'a>),
    Bye(Bye),
    Acknowledge(Acknowledge),
    Resend(Resend),
    /// A frame of an unknown kind that receivers skip.
    Skipped(u8),
}

impl<'a> Message<'a> {
    /// Decodes the payload of a frame. Catalog, Rows and Report must be on stream 0.
    ///
    /// # Errors
    /// The first [`Violation`] found.
    pub fn decode(frame: Frame<'a>) -> Result<Self, Violation> {
        Self::decode_with(frame, Streams::Live)
    }

    /// Decodes the payload of a frame. Catalog, Rows and Report must be on one of these streams.
    ///
    /// # Errors
    /// The first [`Violation`] found.
    pub fn decode_with(frame: Frame<'a>, streams: Streams) -> Result<Self, Violation> {
        let payload = frame.payload;
        let message = match frame.header.kind {
            Kind::Hello => Self::Hello(codec::decode(payload)?),
            Kind::Welcome => Self::Welcome(codec::decode(payload)?),
            Kind::Catalog => Self::Catalog(codec::decode(payload)?),
            Kind::Rows => Self::Rows(codec::decode(payload)?),
            Kind::Report => return Report::decode_with(payload, streams).map(Self::Report),
            Kind::Ping => Self::Ping(codec::decode(payload)?),
            Kind::Pong => Self::Pong(codec::decode(payload)?),
            Kind::Drain => Self::Drain(codec::decode(payload)?),
            Kind::Reject => Self::Reject(codec::decode(payload)?),
            Kind::Bye => Self::Bye(codec::decode(payload)?),
            Kind::Acknowledge => Self::Acknowledge(codec::decode(payload)?),
            Kind::Resend => Self::Resend(codec::decode(payload)?),
            Kind::Skippable(kind) => Self::Skipped(kind),
        };
        message.check(streams)?;
        Ok(message)
    }

    /// Checks the rules that do not depend on the state of the connection.
    fn check(&self, streams: Streams) -> Result<(), Violation> {
        match self {
            Self::Hello(hello) => {
                if hello.agent_version.len() > MAX_VERSION_BYTES {
                    return Err(Violation::BadHello { field: "agent version" });
                }
                if hello.credential.is_some_and(|c| c.0.len() > MAX_CREDENTIAL_BYTES) {
                    return Err(Violation::BadHello { field: "credential" });
                }
                if hello.catalogs.len() > MAX_CATALOGS {
                    return Err(Violation::BadHello { field: "list of catalogs" });
                }
                check_extensions(&hello.extensions)?;
                hello.check_log()
            }
            Self::Welcome(welcome) => check_extensions(&welcome.extensions),
            Self::Rows(rows) => {
                streams.check(rows.stream)?;
                let place = |change: &RowChange<'_>| (change.slot, change.table);
                let mut pairs = rows.changes.windows(2);
                match pairs.find(|pair| place(&pair[0]) >= place(&pair[1])) {
                    Some(pair) => Err(Violation::BadRow {
                        slot: pair[1].slot,
                        table: pair[1].table,
                        what: "the changes do not ascend by slot and table".into(),
                    }),
                    None => Ok(()),
                }
            }
            Self::Catalog(Catalog { stream, .. }) | Self::Report(Report { stream, .. }) => {
                streams.check(*stream)
            }
            Self::Acknowledge(Acknowledge { stream, .. }) | Self::Resend(Resend { stream, .. }) => {
                check_stream(*stream, stream::REPLAY)
            }
            Self::Bye(Bye { stream, .. }) => check_stream(*stream, stream::LIVE),
            Self::Reject(reject) => {
                if reject.text.len() > MAX_TEXT_BYTES {
                    return Err(Violation::MalformedPayload {
                        what: "has a text that is too long",
                    });
                }
                check_stream(reject.stream, stream::LIVE)
            }
            Self::Ping(_) | Self::Pong(_) | Self::Drain(_) | Self::Skipped(_) => Ok(()),
        }
    }

    /// Returns the kind of the message's frame.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Hello(_) => Kind::Hello,
            Self::Welcome(_) => Kind::Welcome,
            Self::Catalog(_) => Kind::Catalog,
            Self::Rows(_) => Kind::Rows,
            Self::Report(_) => Kind::Report,
            Self::Ping(_) => Kind::Ping,
            Self::Pong(_) => Kind::Pong,
            Self::Drain(_) => Kind::Drain,
            Self::Reject(_) => Kind::Reject,
            Self::Bye(_) => Kind::Bye,
            Self::Acknowledge(_) => Kind::Acknowledge,
            Self::Resend(_) => Kind::Resend,
            Self::Skipped(kind) => Kind::Skippable(*kind),
        }
    }

    /// Appends the message to `out` as a frame of `version`. [`Message::Skipped`] gets an empty
    /// payload.
    ///
    /// # Errors
    /// [`Violation::FrameTooLarge`] if the payload does not fit a frame; `out` is then unchanged.
    pub fn encode(&self, version: u8, out: &mut Vec<u8>) -> Result<(), Violation> {
        let start = out.len();
        out.extend_from_slice(&[0; HEADER_LEN]);
        match self {
            Self::Hello(message) => codec::encode(message, out),
            Self::Welcome(message) => codec::encode(message, out),
            Self::Catalog(message) => codec::encode(message, out),
            Self::Rows(message) => codec::encode(message, out),
            Self::Report(message) => codec::encode(message, out),
            Self::Ping(message) => codec::encode(message, out),
            Self::Pong(message) => codec::encode(message, out),
            Self::Drain(message) => codec::encode(message, out),
            Self::Reject(message) => codec::encode(message, out),
            Self::Bye(message) => codec::encode(message, out),
            Self::Acknowledge(message) => codec::encode(message, out),
            Self::Resend(message) => codec::encode(message, out),
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

fn check_extensions(extensions: &[Extension<'_>]) -> Result<(), Violation> {
    let has_duplicate = || {
        let mut pairs = extensions.iter().enumerate();
        pairs.any(|(n, one)| extensions[..n].iter().any(|other| other.id == one.id))
    };
    if extensions.len() > MAX_EXTENSIONS || has_duplicate() {
        return Err(Violation::BadExtension);
    }
    Ok(())
}
