//! The `fleetgauge-agent` command: settings, and sessions with a fake collector.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[cfg(unix)]
mod collector;
#[cfg(unix)]
mod hostile;
#[cfg(unix)]
mod join;
#[cfg(unix)]
mod log_file;
#[cfg(unix)]
mod process;
#[cfg(unix)]
mod reload;
#[cfg(unix)]
mod reporting;
mod settings;
#[cfg(unix)]
mod supervised;
#[cfg(unix)]
mod tls;
#[cfg(unix)]
mod tls_files;
mod token;
