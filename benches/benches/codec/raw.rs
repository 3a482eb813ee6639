//! Changed values without a coding of their own: a bitmap, and eight bytes for each.

use bincode::config;
use bincode::error::{DecodeError, EncodeError};

/// Encodes the values whose bits differ.
pub(crate) fn encode(before: &[f64], now: &[f64], out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let mut bitmap = vec![0_u8; now.len().div_ceil(8)];
    let mut changed = Vec::new();
    for (at, (old, new)) in before.iter().zip(now).enumerate() {
        if old.to_bits() != new.to_bits() {
            bitmap[at / 8] |= 1 << (at % 8);
            changed.push(*new);
        }
    }
    bincode::encode_into_std_write((bitmap, changed), out, config::standard()).map(drop)
}

/// Decodes values into the cells, which hold the previous ones.
pub(crate) fn decode(bytes: &[u8], cells: &mut [f64]) -> Result<(), DecodeError> {
    let ((bitmap, changed), _): ((Vec<u8>, Vec<f64>), _) =
        bincode::decode_from_slice(bytes, config::standard())?;
    let mut changed = changed.into_iter();
    for (cells, bits) in cells.chunks_mut(8).zip(bitmap) {
        for (bit, cell) in cells.iter_mut().enumerate() {
            if bits >> bit & 1 == 1 {
                *cell = changed.next().unwrap_or(f64::NAN);
            }
        }
    }
    Ok(())
}
