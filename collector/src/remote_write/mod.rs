//! Forwards samples to engines by Prometheus remote write.
//!
//! ```text
//! session ─▶ Forwarder ─▶ Lane ─▶ Sender ─▶ Encoder ─▶ Compressor ─▶ Client ─▶ engine
//!  report     entries      queue   batches    protobuf                 HTTP
//! ```
//!
//! The collector stores no samples on disk. An engine that does not keep up fills the queues, which
//! have a limit; reports that find no room are not forwarded.

mod agent_state;
mod answer;
mod backoff;
mod client;
mod compression;
mod destination;
mod drop_reason;
mod encode;
mod entry;
#[cfg(test)]
mod fake_engine;
mod forwarder;
mod given;
pub mod journal;
mod lane;
mod metadata;
mod metadata_sender;
mod metrics;
mod outcome;
mod own_metrics;
mod part;
mod pattern;
mod replays;
mod rules;
mod run;
mod sender;
mod session;
mod uncertain;

pub use compression::{Compressor, Encoding};
pub use encode::{CellSet, Encoder, Points, Written, vanished};
pub use forwarder::Forwarder;
pub(crate) use forwarder::Leave;
pub(crate) use journal::JournalWriter;
pub use metadata::write_metadata;
pub use rules::{BadRule, RuleSet, Rules};
pub(crate) use run::RemoteWriteTasks;
pub(crate) use session::{ForwardedSession, ReportTime};
