//! The fleetgauge wire protocol: bytes to messages and back.
//!
//! An agent keeps one TCP connection to a collector. Both sides send [frames](frame): an eight-byte
//! header and a bincode payload that holds one [`Message`].
//!
//! | module | contents |
//! |---|---|
//! | [`frame`], [`kind`] | Frame header, [`FrameBuffer`] |
//! | [`codec`], [`message`] | Payload encoding, message structs |
//! | [`capability`], [`stream`] | Optional features, stream numbers |
//! | [`agent_id`], [`labels`], [`names`] | Validated names |
//! | [`catalog`], [`fingerprint`] | Validated catalogs: metric families and tables |
//! | [`built_in`] | Families of the agent's own catalogs |
//! | [`rows`] | The rows of a table |
//! | [`report`] | Values of a report |
//! | [`limits`] | Every limit of the protocol |
//! | [`code`], [`violation`] | Reject codes, protocol errors |
//!
//! There are no import cycles between modules.
//!
//! The crate has no sockets, clock or runtime: agent, collector, load test and fuzz targets pass in
//! their own bytes. `docs/protocol.md` specifies the same protocol for clients in other languages.
//!
//! # Example
//!
//! ```
//! use fleetgauge_proto::limits::MAX_PAYLOAD_BYTES;
//! use fleetgauge_proto::message::Ping;
//! use fleetgauge_proto::{Accept, FrameBuffer, Message, VERSION};
//!
//! let mut bytes = Vec::new();
//! Message::Ping(Ping { token: 7 }).encode(VERSION, &mut bytes)?;
//!
//! let accept = Accept { version: VERSION, max_payload_bytes: MAX_PAYLOAD_BYTES };
//! let mut buffer = FrameBuffer::default();
//! let mut input = &bytes[..];
//! while let Some(frame) = buffer.next(&mut input, accept)? {
//!     assert_eq!(Message::decode(frame)?, Message::Ping(Ping { token: 7 }));
//! }
//! # Ok::<(), fleetgauge_proto::Violation>(())
//! ```

pub mod agent_id;
pub mod built_in;
pub mod capability;
pub mod catalog;
pub mod code;
pub mod codec;
pub mod fingerprint;
pub mod frame;
pub mod kind;
pub mod labels;
pub mod limits;
pub mod message;
pub mod names;
mod number;
pub mod report;
pub mod rows;
pub mod stream;
pub mod violation;

pub use agent_id::{AgentId, fnv1a};
pub use catalog::Catalog;
pub use code::Code;
pub use fingerprint::Fingerprint;
pub use frame::{Accept, Frame, FrameBuffer, Header, VERSION};
pub use kind::Kind;
pub use labels::StaticLabels;
pub use message::{Limits, Message};
pub use stream::Streams;
pub use violation::Violation;
