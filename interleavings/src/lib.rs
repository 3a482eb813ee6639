//! The collector's registry as it is, compiled against Shuttle's maps and locks in place of dashmap's and parking_lot's:
//! whenever a thread takes or gives back one of them, Shuttle decides which thread goes on. `tests/` lets it decide in
//! thousands of ways.
//!
//! Shuttle does not see atomics of the standard library, of which the registry has counters alone, and its map has one
//! lock where dashmap has several.
#![allow(
    dead_code,
    missing_docs,
    unused_imports,
    reason = "the collector's sources, of which this is a part"
)]

#[path = "../../collector/src/budget.rs"]
pub mod budget;
#[path = "../../collector/src/clock.rs"]
pub mod clock;
#[path = "../../collector/src/exposition/mod.rs"]
pub mod exposition;
#[path = "../../collector/src/peer.rs"]
pub mod peer;
#[path = "../../collector/src/registry/mod.rs"]
pub mod registry;
#[path = "../../collector/src/versions.rs"]
pub mod versions;
