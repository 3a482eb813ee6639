//! What one connection's session shares with the rest of the collector, and how sessions end.

pub mod agent_versions;
pub mod challenges;
pub mod close_reason;
pub mod handle;
pub mod refusal;
mod stagger;

pub(crate) use stagger::stagger;
