//! The compressing stage: plain chunks in, gzip'd chunks out.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{Broken, Sink};

/// Fastest level: a page is mostly repetition, which it finds as well as the slow ones do.
const LEVEL: u32 = 1;

/// Compresses what it takes and hands it on.
pub struct Gzip<'a> {
    encoder: GzEncoder<Vec<u8>>,
    sink: &'a mut dyn Sink,
}

impl<'a> Gzip<'a> {
    /// A stage in front of `sink`.
    pub fn new(sink: &'a mut dyn Sink) -> Self {
        Self { encoder: GzEncoder::new(Vec::new(), Compression::new(LEVEL)), sink }
    }

    /// Hands on what is left and the trailer.
    ///
    /// # Errors
    /// [`Broken`] if the sink is.
    pub fn finish(self) -> Result<(), Broken> {
        let rest = self.encoder.finish().map_err(|_| Broken)?;
        self.sink.chunk(&rest)
    }
}

impl Sink for Gzip<'_> {
    fn chunk(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        self.encoder.write_all(bytes).map_err(|_| Broken)?;
        let compressed = self.encoder.get_mut();
        if compressed.is_empty() {
            return Ok(());
        }
        let taken = self.sink.chunk(compressed);
        compressed.clear();
        taken
    }
}
