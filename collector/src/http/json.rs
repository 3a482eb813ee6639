//! Streams JSON lists of any length.

use serde::Serialize;

use crate::exposition::{CHUNK_BYTES, Disconnected, Sink};

/// Content-Type of JSON responses. Prometheus requires exactly this one for service discovery.
pub(super) const CONTENT_TYPE: &str = "application/json";

/// Writes a JSON list: an opening text, one item on each line, and a closing text.
pub(super) struct List<'a> {
    sink: &'a mut dyn Sink,
    chunk: Vec<u8>,
    separator: &'static [u8],
}

impl<'a> List<'a> {
    pub(super) fn open(opening: &str, sink: &'a mut dyn Sink) -> Self {
        Self { sink, chunk: opening.into(), separator: b"\n" }
    }

    pub(super) fn item(&mut self, item: &impl Serialize) -> Result<(), Disconnected> {
        self.chunk.extend_from_slice(self.separator);
        self.separator = b",\n";
        serde_json::to_writer(&mut self.chunk, item).map_err(|_| Disconnected)?;
        if self.chunk.len() < CHUNK_BYTES {
            return Ok(());
        }
        let taken = self.sink.chunk(&self.chunk);
        self.chunk.clear();
        taken
    }

    pub(super) fn close(mut self, closing: &str) -> Result<(), Disconnected> {
        self.chunk.extend_from_slice(b"\n");
        self.chunk.extend_from_slice(closing.as_bytes());
        self.sink.chunk(&self.chunk)
    }
}
