//! The collector's registry, compiled with the maps and locks of Shuttle in place of those of
//! dashmap and parking_lot. Whenever a thread takes or releases a lock, Shuttle decides which
//! thread runs next. `tests/` runs thousands of schedules.
//!
//! Shuttle does not control atomics of the standard library, which the registry uses only as
//! counters. The map that replaces dashmap's has one lock, where dashmap has several.
#![allow(
    dead_code,
    missing_docs,
    unused_imports,
    reason = "this crate compiles a part of the collector's sources"
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
