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
mod python;
mod receiver;
mod reference;
mod replay;
mod rows;
mod strategies;
mod transcripts;
mod vectors;
mod wincode;
