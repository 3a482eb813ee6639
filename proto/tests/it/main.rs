//! The public API of the protocol crate: committed frames, second implementations of the
//! encodings, properties, and the specification in `docs/protocol.md`.

mod cases;
mod coding;
mod context;
mod distinct;
mod docs;
mod json;
mod owned;
mod properties;
mod receiver;
mod reference;
mod rows;
mod strategies;
mod vectors;
mod wincode;
