//! The receiver notices each deviation and shows each fault: requests over real connections.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod client;
mod engine_faults;
mod findings;
mod ledger;
mod limits;
#[cfg(target_os = "linux")]
mod reserved_address;
mod transport_faults;
mod version_2;
