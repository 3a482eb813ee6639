//! Operational tests: the programs with a real Prometheus and on real networks, as described in the
//! documentation and configured in `deploy/`.
//!
//! Most tests need more than a Rust toolchain and are ignored by default. They run the programs in
//! the target directory, which `cargo test --workspace -- --ignored` builds first.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[cfg(target_os = "linux")]
mod ansible;
mod book;
#[cfg(target_os = "linux")]
mod boot;
mod broken_page;
mod browser;
mod certificates;
#[cfg(target_os = "linux")]
mod container;
mod dashboards;
mod docs;
mod every_kind;
mod exporters;
mod families;
#[cfg(target_os = "linux")]
mod faults;
mod grafana;
mod haproxy;
mod http;
mod large_fleets;
mod links;
#[cfg(target_os = "linux")]
mod network;
#[cfg(target_os = "linux")]
mod node;
mod node_exporter;
#[cfg(target_os = "linux")]
mod packages;
mod pages;
mod parity;
mod programs;
mod prometheus;
mod prometheus_tls;
mod quiet;
#[cfg(unix)]
mod remote_write;
mod reporter;
mod roster;
mod row_churn;
#[cfg(target_os = "linux")]
mod strangers;
mod trust;
#[cfg(target_os = "linux")]
mod units;
