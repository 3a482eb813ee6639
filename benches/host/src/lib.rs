//! Compares the cost of the agent and of node_exporter on this host, both with their default
//! collectors.
//!
//! In each round both run at the same time, so that they read the same host: [`programs`] starts
//! them, [`measure`] scrapes the exporter as often as the agent reports, and [`system_calls`]
//! counts system calls in a short run of its own. [`forwarding`] measures the cost of forwarding a
//! page, which [`served_page`] serves as an exporter does. [`page`] formats the medians of all
//! rounds.
//!
//! Installs nothing and uses only loopback. Linux only: resource usage is read from `/proc`.

#![cfg(target_os = "linux")]

pub mod cli;
pub mod cpu_time;
pub mod figures;
pub mod forwarding;
pub mod http;
pub mod measure;
pub mod page;
pub mod programs;
pub mod served_page;
pub mod system_calls;
