//! The fleetgauge agent: samples a host and reports to a collector.
//!
//! [`run::run`] is the agent: it keeps one connection to the collector and sends the newest sample
//! over it. Its parts can be used on their own:
//!
//! | module | contents |
//! |---|---|
//! | [`cli`], [`config`], [`identity`] | The command; its settings; agent id and nonces |
//! | [`tables`] | Rows and values: what sources declare and write |
//! | [`sampler`], [`metrics`] | Reads the host; defines the metrics |
//! | [`scrape`] | Reads the metrics of other programs on the host |
//! | [`schedule`], [`backoff`], [`retry_log`] | When to sample, to reconnect and to log a failure |
//! | [`client`], [`profile`], [`catalogs`] | The agent's side of the protocol, without I/O |
//! | [`report_log`] | Reports that the collector has not acknowledged |
//! | [`tls`] | TLS settings and errors |
//!
//! The agent keeps the newest sample, and a bounded log of those that a collector wants to be sent
//! again after an outage, in memory and, if configured, in a file.

pub mod backoff;
pub mod catalogs;
pub mod cli;
pub mod client;
pub mod config;
pub mod identity;
pub mod metrics;
pub mod profile;
pub mod report_log;
pub mod retry_log;
pub mod run;
pub mod sampler;
pub mod schedule;
pub mod scrape;
pub mod tables;
#[cfg(test)]
mod test_log;
pub mod tls;
