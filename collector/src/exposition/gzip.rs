//! Compression: a sink that gzips its chunks.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{Disconnected, Sink};

/// The fastest compression level. Pages are so repetitive that higher levels gain little.
const LEVEL: u32 = 1;

/// A sink that compresses chunks and passes them on.
pub struct Gzip<'a> {
    encoder: GzEncoder<Vec<u8>>,
    sink: &'a mut dyn Sink,
}

impl<'a> Gzip<'a> {
    /// Creates a compressor that writes to `sink`.
    pub fn new(sink: &'a mut dyn Sink) -> Self {
        Self { encoder: GzEncoder::new(Vec::new(), Compression::new(LEVEL)), sink }
    }

    /// Compresses the remaining bytes, and writes the gzip trailer.
    ///
    /// # Errors
    /// [`Disconnected`] if the receiver of the chunks is gone.
    pub fn finish(self) -> Result<(), Disconnected> {
        let rest = self.encoder.finish().map_err(|_| Disconnected)?;
        self.sink.chunk(&rest)
    }
}

impl Sink for Gzip<'_> {
    fn chunk(&mut self, bytes: &[u8]) -> Result<(), Disconnected> {
        self.encoder.write_all(bytes).map_err(|_| Disconnected)?;
        let compressed = self.encoder.get_mut();
        if compressed.is_empty() {
            return Ok(());
        }
        let taken = self.sink.chunk(compressed);
        compressed.clear();
        taken
    }
}
