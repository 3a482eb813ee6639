//! Session state that other parts of the collector read: handles, challenges, refusals, close
//! reasons.

pub mod agent_versions;
pub mod challenges;
pub mod close_reason;
pub mod handle;
pub mod refusal;
mod stagger;

pub(crate) use stagger::stagger;
