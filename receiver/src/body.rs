//! Decompression within a bound.

use std::io::Read;

use bytes::Bytes;

use crate::headers::Encoding;
use crate::intake::Refusal;

/// Base-2 logarithm of the largest zstd window, in bytes: RFC 8878 asks decoders for 8 MiB.
const MAX_WINDOW_LOG: u32 = 23;

/// Decompresses a body of at most `limit` bytes.
pub(crate) fn decompress(
    body: &Bytes,
    encoding: Encoding,
    limit: usize,
) -> Result<Vec<u8>, Refusal> {
    let message = match encoding {
        Encoding::Snappy => snappy(body, limit),
        Encoding::Zstd => zstd(body, limit).map_err(|error| format!("zstd: {error}")),
    };
    message.map_err(|reason| Refusal::new(400, reason))
}

fn too_long(limit: usize) -> String {
    format!("more than {limit} bytes when decompressed")
}

fn snappy(body: &[u8], limit: usize) -> Result<Vec<u8>, String> {
    let length = snap::raw::decompress_len(body).map_err(|error| format!("snappy: {error}"))?;
    if length > limit {
        return Err(too_long(limit));
    }
    snap::raw::Decoder::new().decompress_vec(body).map_err(|error| format!("snappy: {error}"))
}

fn zstd(body: &[u8], limit: usize) -> Result<Vec<u8>, String> {
    let mut decoder = zstd::Decoder::new(body).map_err(|error| error.to_string())?;
    decoder.window_log_max(MAX_WINDOW_LOG).map_err(|error| error.to_string())?;
    let mut message = Vec::new();
    let read = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    decoder.take(read).read_to_end(&mut message).map_err(|error| error.to_string())?;
    if message.len() > limit { Err(too_long(limit)) } else { Ok(message) }
}
