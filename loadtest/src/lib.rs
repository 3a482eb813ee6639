//! Simulates fleets of agents and judges what the collector shows.
//!
//! A [`run`] spreads a [`fleet`] over [`worker`] processes, each with an [`engine`] that speaks the real protocol for
//! thousands of agents, over a connection of their own each, and writes in a [`ledger`] what they do. It fetches
//! pages too and [`judge`]s them by the ledger. [`scenarios`] let one thing each go wrong. [`demo`] shows a fleet to people
//! instead. What a test found out is its [`results`]. Load goes to the loopback, or to a network of a test's own.

pub mod child;
pub mod cli;
mod course;
pub mod demo;
pub mod dial;
pub mod engine;
pub mod fault;
mod figures;
pub mod finding;
pub mod fleet;
pub mod hostile;
pub mod judge;
pub mod ledger;
pub mod orders;
mod parts;
pub mod pki;
pub mod plan;
pub mod progress;
pub mod quantity;
pub mod results;
pub mod room;
pub mod run;
pub mod scenarios;
pub mod scrape;
pub mod serve;
pub mod shown;
pub mod summary;
pub mod tally;
pub mod usage;
pub mod value;
pub mod walk;
pub mod worker;
