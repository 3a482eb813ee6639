//! Building blocks of rate limits and memory limits. They know no setting and no peer.

pub mod leaky_bucket;
pub mod memory_budget;
