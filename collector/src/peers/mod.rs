//! Session state that other parts of the collector read: handles, challenges, drain requests,
//! refusals, close reasons.

pub mod agent_versions;
pub mod challenges;
pub mod close_reason;
pub(crate) mod drain_request;
pub mod handle;
pub mod refusal;
mod stagger;

pub(crate) use stagger::stagger;
