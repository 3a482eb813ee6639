//! The public API of the protocol crate: committed frames, a second implementation of the encoding,
//! properties, and the specification in `docs/protocol.md`.

mod cases;
mod docs;
mod json;
mod owned;
mod properties;
mod receiver;
mod strategies;
mod vectors;
mod wincode;
