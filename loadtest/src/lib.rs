//! Simulates fleets of agents and judges the pages that collectors serve.
//!
//! A [`run`] spreads a [`fleet`] over worker processes ([`child`], [`worker_main`]). The [`engine`]
//! of a worker speaks the real protocol for thousands of agents, each over its own connection, and
//! records what they do as ground truth. Workers also scrape the collectors and [`judge`] every
//! page against that record. The [`scenarios`] each inject one kind of failure or load; [`demo`]
//! shows a fleet to people instead. The outcome of a test is its [`results`]. Load goes to loopback
//! or to a network namespace of the test's own.

pub mod agent_account;
pub mod agent_range;
pub mod attackers;
pub mod browser;
pub mod child;
pub mod child_main;
pub mod cli;
pub mod demo;
pub mod dial;
pub mod engine;
pub mod engine_size;
pub mod fault;
pub mod fleet;
pub mod host_profile;
pub mod judge;
pub mod pki;
pub mod plan;
pub mod preflight;
pub mod progress;
pub mod prometheus_main;
pub mod results;
pub mod run;
pub mod scenarios;
pub mod scrape;
pub mod sim_values;
pub mod tally;
pub mod usage;
pub mod warnings;
pub mod worker_main;
pub mod worker_protocol;
