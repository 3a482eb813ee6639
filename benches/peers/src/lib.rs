//! What fleetgauge costs beside what people use today: the same fleet through each, in one run.
//!
//! [`peer`] says what a program under comparison is, [`peers`] has one file for each; [`measure`] runs a fleet through
//! one and [`vanish`] looks when hosts that are gone are no longer shown; [`table`] writes down what was seen. Where
//! the figures are and how they are taken is in `docs/peers.md`.
//!
//! Nothing is installed and nothing outside the loopback is touched. Linux alone says what another process uses.

#![cfg(target_os = "linux")]

pub mod address;
pub mod cli;
pub mod crowd;
pub mod fleet;
pub mod http;
pub mod line;
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
