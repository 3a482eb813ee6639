//! The collector's registry, compiled against Shuttle's maps and locks instead of dashmap's and
//! parking_lot's. Whenever a thread takes or releases a lock, Shuttle decides which thread runs
//! next. `tests/` tries thousands of schedules.
//!
//! Shuttle does not see atomics of the standard library, which the registry uses only as counters.
//! Its map has one lock where dashmap has several.
#![allow(
    dead_code,
    missing_docs,
    unused_imports,
    reason = "the collector's sources, of which this is a part"
)]

#[path = "../../collector/src/auth"]
pub mod auth {
    pub mod credential_id;
}
#[path = "../../collector/src/clock.rs"]
pub mod clock;
#[path = "../../collector/src/exposition/mod.rs"]
pub mod exposition;
#[path = "../../collector/src/limits"]
pub mod limits {
    pub mod memory_budget;
}
#[path = "../../collector/src/peers"]
pub mod peers {
    pub mod agent_versions;
    pub mod handle;
}
#[path = "../../collector/src/registry/mod.rs"]
pub mod registry;
