//! Compares the cost of fleetgauge and of other servers with the same fleet, in one run.
//!
//! [`peer`] defines a server under comparison and [`peers`] has one file for each. [`measure`] runs
//! a fleet against a server, [`vanish`] measures how long it shows vanished hosts, and [`table`]
//! formats the results. [`forwarding`] compares programs that forward samples by remote write.
//! `docs/peers.md` has the figures and the method.
//!
//! Installs nothing and uses only loopback. Linux only: resource usage is read from `/proc`.

#![cfg(target_os = "linux")]

pub mod address;
pub mod cli;
pub mod fleet;
pub mod fleet_kind;
pub mod forwarding;
pub mod host_connection;
pub mod hosts;
pub mod http;
pub mod machine;
pub mod measure;
pub mod page;
pub mod peer;
pub mod peers;
pub mod protobuf;
pub mod reading;
pub mod results;
pub mod run;
pub mod server;
pub mod session;
pub mod table;
pub mod targets;
pub mod usage;
pub mod vanish;
