//! The fleetgauge wire protocol: bytes to messages and back.
//!
//! Agents send bincode messages in frames that open with an eight-byte versioned header. This crate knows
//! the frames ([`frame`]), what they carry ([`message`]), what a legal schema and a legal report are
//! ([`schema`], [`report`]) and the code of every refusal ([`error`]). `docs/protocol.md` says the same to
//! the byte, for clients in other languages.
//!
//! There are no sockets here, no clock and no runtime: both ends, the load test and the fuzzers drive the
//! same code with bytes of their own.

pub mod codec;
pub mod error;
pub mod frame;
pub mod limits;
pub mod message;
pub mod names;
pub mod report;
pub mod schema;

pub use error::{Code, Violation};
pub use frame::{Accept, Frame, FrameBuffer, Header, Kind};
pub use limits::Limits;
pub use message::Message;
pub use names::{AgentId, StaticLabels, fnv1a};
pub use schema::{Fingerprint, Schema};

/// The newest protocol version this crate speaks, and so far the only one.
pub const VERSION: u8 = 1;
