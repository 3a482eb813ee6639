//! Samples a host and reports to a fleetgauge collector.
//!
//! [`run`](run::run) is the agent: it keeps one connection and sends the newest sample over it. Its
//! parts stand alone: [`config`] and [`identity`] say who it is, [`sampler`] reads the host and
//! [`metrics`] names what was read, [`schedule`] and [`backoff`] say when, [`client`] speaks the
//! protocol without a socket.
//!
//! The agent keeps nothing but the newest sample. A collector that is away costs it neither memory
//! nor disk, and what happened meanwhile is not told later: history is a time-series database's
//! business.

pub mod backoff;
pub mod client;
pub mod config;
pub mod identity;
pub mod metrics;
pub mod profile;
pub mod retry_log;
pub mod run;
pub mod sampler;
pub mod schedule;
mod secret_file;
mod supervisor;
#[cfg(test)]
mod test_log;
pub mod tls;
