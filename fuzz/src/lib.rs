//! Fuzz targets.
//!
//! Each public module is a target. Its `check` builds an input from arbitrary bytes and panics if a
//! documented property does not hold for it. libFuzzer calls it from `targets/`; `tests/replay.rs`
//! calls it with the committed corpora. The expected results come from models that follow the
//! documentation, not the code under test: frames, catalog rules, rows, values, pages,
//! authorization.
#![expect(clippy::unwrap_used, reason = "a check fails by panicking")]

pub mod catalog;
pub mod claims;
pub mod config;
pub mod credentials;
pub mod exposition;
pub mod frame;
pub mod journal;
pub mod message;
pub mod proxy;
pub mod report;
pub mod rows;
pub mod scrape;
pub mod session;

mod catalog_gen;
mod collector;
mod expected;
#[path = "../../proto/tests/it/owned.rs"]
mod owned;
mod page;
#[path = "../../proto/tests/it/reference.rs"]
mod reference;
mod row_gen;
mod series;
mod value_gen;

/// A fuzz target: its name and its check.
pub type FuzzTarget = (&'static str, fn(&[u8]));

/// All targets. The names are those of their programs and corpus directories.
pub const TARGETS: &[FuzzTarget] = &[
    ("catalog", catalog::check),
    ("claims", claims::check),
    ("config", config::check),
    ("credentials", credentials::check),
    ("exposition", exposition::check),
    ("frame", frame::check),
    ("journal", journal::check),
    ("message", message::check),
    ("proxy", proxy::check),
    ("report", report::check),
    ("rows", rows::check),
    ("scrape", scrape::check),
    ("session", session::check),
];
