//! Simulates fleets of agents and judges what the collector shows.
//!
//! [`run`] connects a [`fleet`] of [`member`]s that speak the real protocol, each over a connection of its own, and
//! writes in a [`ledger`] what they do. An [`inspection`] fetches a [`page`] and has it [`judge`]d by the
//! ledger. [`demo`] shows a fleet to people instead. Load goes to loopback only.

pub mod child;
pub mod cli;
pub mod demo;
pub mod dial;
mod figures;
pub mod finding;
pub mod fleet;
pub mod inspection;
pub mod judge;
pub mod ledger;
pub mod member;
pub mod page;
pub mod progress;
pub mod quantity;
pub mod results;
pub mod room;
pub mod run;
pub mod scrape;
pub mod serve;
mod session;
pub mod summary;
pub mod tally;
pub mod usage;
pub mod value;
pub mod walk;
