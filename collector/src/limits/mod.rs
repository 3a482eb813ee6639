//! Primitives of rate and memory limits. They depend on no setting and no peer.

pub mod leaky_bucket;
pub mod memory_budget;
