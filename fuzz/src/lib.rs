//! What must hold for every input, whoever makes it up.
//!
//! Each module is a target: its `check` takes any bytes, makes an input of them, and panics if what must hold of it does
//! not. libFuzzer calls it from `targets/`; `tests/replay.rs` calls it with the committed corpora. What is checked against
//! is written here anew, from the documents and not from the code: a cutter of frames, the rules of a schema, a parser
//! of pages.
#![expect(clippy::unwrap_used, reason = "a check that cannot go on has found something")]

pub mod claims;
pub mod config;
pub mod credentials;
pub mod exposition;
pub mod frame;
pub mod message;
pub mod proxy;
pub mod schema;
pub mod session;

mod collector;
mod expected;
mod page;
mod schema_gen;

/// A target: its name, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// All targets, by the names of their programs and of the folders with their inputs.
pub const TARGETS: &[Target] = &[
    ("claims", claims::check),
    ("config", config::check),
    ("credentials", credentials::check),
    ("exposition", exposition::check),
    ("frame", frame::check),
    ("message", message::check),
    ("proxy", proxy::check),
    ("schema", schema::check),
    ("session", session::check),
];
