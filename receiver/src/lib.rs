//! Remote write receiver for tests and load tests.
//!
//! The receiver takes Prometheus remote write 1.0 and 2.0, checks each request as strictly as the
//! most exacting engine and keeps every sample of every series in a [`Ledger`]. [`Faults`] make it
//! behave like an engine that is down, slow or broken. It is not a storage engine: it has no
//! queries, no disk and no retention, and skips exemplars and native histograms.

mod body;
mod endless;
mod faults;
mod findings;
mod headers;
mod intake;
mod labels;
mod ledger;
mod reserved_address;
mod samples;
mod scan;
mod series;
mod server;
mod service;
mod shared;
mod translate;
pub mod wire;
pub mod wire_v2;

pub use faults::{Answer, Faults, LabelPredicate};
pub use findings::{FindingKind, Findings};
pub use labels::Labels;
pub use ledger::{Ledger, Limits};
pub use reserved_address::ReservedAddress;
pub use samples::{Detail, HashedSample, Sample};
pub use series::Series;
pub use server::{Receiver, ReceiverSettings};
pub use shared::{SharedLedger, TimedOut};

/// Bits of the NaN that marks the end of a series.
pub const STALE_MARKER: u64 = 0x7ff0_0000_0000_0002;
