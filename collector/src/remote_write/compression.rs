//! Compression of request bodies.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use crate::config::Compression as Setting;

/// Level of zstd: the fastest. On samples of host metrics it halves the size of snappy.
const ZSTD_LEVEL: i32 = 1;

/// Compression of a request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Snappy block format.
    Snappy,
    /// zstd.
    Zstd,
}

impl Encoding {
    /// Returns the name in `Content-Encoding`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Snappy => "snappy",
            Self::Zstd => "zstd",
        }
    }
}

/// The compression that a destination uses now.
#[derive(Debug)]
pub(super) struct Compression {
    setting: Setting,
    /// Whether the engine has refused zstd.
    is_zstd_refused: AtomicBool,
    /// Whether the engine has accepted zstd: a refusal then has another reason.
    is_zstd_accepted: AtomicBool,
}

impl Compression {
    pub(super) fn new(setting: Setting) -> Self {
        let (is_zstd_refused, is_zstd_accepted) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { setting, is_zstd_refused, is_zstd_accepted }
    }

    /// Returns the encoding of the next request.
    pub(super) fn encoding(&self) -> Encoding {
        match self.setting {
            Setting::Zstd => Encoding::Zstd,
            Setting::Auto if !self.is_zstd_refused.load(Ordering::Relaxed) => Encoding::Zstd,
            Setting::Auto | Setting::Snappy => Encoding::Snappy,
        }
    }

    /// Whether a refused request should be sent again with snappy, because the engine may not know
    /// zstd. `is_certain`: the engine says that it does not (415).
    pub(super) fn falls_back(&self, used: Encoding, is_certain: bool) -> bool {
        used == Encoding::Zstd
            && self.setting == Setting::Auto
            && (is_certain || !self.is_zstd_accepted.load(Ordering::Relaxed))
    }

    /// Records that the engine has refused zstd, and accepted snappy or answered 415.
    pub(super) fn zstd_refused(&self) {
        self.is_zstd_refused.store(true, Ordering::Relaxed);
    }

    /// Records that the engine has accepted a request with this encoding.
    pub(super) fn accepted(&self, used: Encoding) {
        if used == Encoding::Zstd {
            self.is_zstd_accepted.store(true, Ordering::Relaxed);
        }
    }
}

/// Compresses request bodies. Keeps its buffers.
pub struct Compressor {
    snappy: snap::raw::Encoder,
    zstd: Option<zstd::bulk::Compressor<'static>>,
}

impl Default for Compressor {
    fn default() -> Self {
        Self { snappy: snap::raw::Encoder::new(), zstd: None }
    }
}

impl Compressor {
    /// Compresses a body.
    ///
    /// # Errors
    /// The library's, for example without memory.
    pub fn compress(&mut self, body: &[u8], encoding: Encoding) -> std::io::Result<Bytes> {
        match encoding {
            Encoding::Snappy => Ok(self.snappy.compress_vec(body)?.into()),
            Encoding::Zstd => {
                if self.zstd.is_none() {
                    self.zstd = Some(zstd::bulk::Compressor::new(ZSTD_LEVEL)?);
                }
                let zstd = self.zstd.as_mut().ok_or(std::io::ErrorKind::Other)?;
                Ok(zstd.compress(body)?.into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_uses_zstd_until_it_is_refused() {
        let compression = Compression::new(Setting::Auto);
        assert_eq!(compression.encoding(), Encoding::Zstd);
        assert!(compression.falls_back(Encoding::Zstd, false));
        compression.zstd_refused();
        assert_eq!(compression.encoding(), Encoding::Snappy);
        assert!(!compression.falls_back(Encoding::Snappy, true));
    }

    #[test]
    fn engine_that_accepted_zstd_refuses_samples_and_not_zstd() {
        let compression = Compression::new(Setting::Auto);
        compression.accepted(Encoding::Zstd);
        assert!(!compression.falls_back(Encoding::Zstd, false));
        assert!(compression.falls_back(Encoding::Zstd, true));
    }

    #[test]
    fn chosen_compression_never_falls_back() {
        let compression = Compression::new(Setting::Zstd);
        assert!(!compression.falls_back(Encoding::Zstd, true));
        let compression = Compression::new(Setting::Snappy);
        assert_eq!(compression.encoding(), Encoding::Snappy);
    }

    #[test]
    fn both_compressions_survive() {
        let body = b"host metrics ".repeat(100);
        let mut compressor = Compressor::default();
        let snappy = compressor.compress(&body, Encoding::Snappy).unwrap();
        assert_eq!(snap::raw::Decoder::new().decompress_vec(&snappy).unwrap(), body);
        let zstd = compressor.compress(&body, Encoding::Zstd).unwrap();
        assert_eq!(zstd::bulk::decompress(&zstd, 10_000).unwrap(), body);
    }
}
