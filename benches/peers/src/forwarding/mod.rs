//! Compares programs that forward samples of a fleet to an engine by remote write.
//!
//! The engine is the [receiver](fleetgauge_receiver) in this process, which keeps all samples. The
//! hosts record what they offer in [`Offered`], and [`account`] compares both. A rig is a sender
//! with its fleet and engine; [`cost`], [`trial`] and [`stale`] measure with it.

pub mod account;
mod agent;
mod agents;
pub mod args;
pub mod cost;
mod offered;
mod process;
pub mod results;
mod rig;
mod run;
mod sender;
pub mod stale;
mod table;
pub mod trial;

pub use args::ForwardArgs;
pub use offered::Offered;
pub use run::run;

/// Name in the marks of the tables in a Markdown file.
pub const MARKS: &str = "forwarded";
