//! Lists as JSON, of any length.

use serde::Serialize;

use crate::exposition::{Broken, CHUNK_BYTES, Sink};

/// The Content-Type to answer with. Prometheus takes service discovery under no other.
pub(super) const CONTENT_TYPE: &str = "application/json";

/// Writes items, one a line, between an opening and a closing.
pub(super) struct List<'a> {
    sink: &'a mut dyn Sink,
    chunk: Vec<u8>,
    separator: &'static [u8],
}

impl<'a> List<'a> {
    pub(super) fn open(opening: &str, sink: &'a mut dyn Sink) -> Self {
        Self { sink, chunk: opening.into(), separator: b"\n" }
    }

    pub(super) fn item(&mut self, item: &impl Serialize) -> Result<(), Broken> {
        self.chunk.extend_from_slice(self.separator);
        self.separator = b",\n";
        serde_json::to_writer(&mut self.chunk, item).map_err(|_| Broken)?;
        if self.chunk.len() < CHUNK_BYTES {
            return Ok(());
        }
        let taken = self.sink.chunk(&self.chunk);
        self.chunk.clear();
        taken
    }

    pub(super) fn close(mut self, closing: &str) -> Result<(), Broken> {
        self.chunk.extend_from_slice(b"\n");
        self.chunk.extend_from_slice(closing.as_bytes());
        self.sink.chunk(&self.chunk)
    }
}
