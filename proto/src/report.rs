//! A report's values: 8-byte little-endian IEEE-754 bits by position, all of them or those that changed.
//!
//! Nothing here allocates: values are read out of the receive buffer straight into the agent's own row.

use crate::codec::{BorrowDecode, Encode};
use crate::error::Violation;

const VALUE_BYTES: usize = size_of::<f64>();

/// The NaN that says: this series has no value now.
pub const ABSENT: f64 = f64::from_bits(0x7ff0_0000_0000_0002);
/// The NaN that every other NaN becomes.
const NAN: f64 = f64::from_bits(0x7ff8_0000_0000_0000);

/// Whether a value is [`ABSENT`].
#[must_use]
pub fn is_absent(value: f64) -> bool {
    value.to_bits() == ABSENT.to_bits()
}

/// The values of a report, as they lie in its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, BorrowDecode)]
pub enum Values<'a> {
    /// Every value of the schema.
    All(
        /// Eight bytes a value.
        &'a [u8],
    ),
    /// The values whose bits differ from those in the report before.
    Changed {
        /// One bit a value of the schema, lowest bit first, spare bits zero.
        bitmap: &'a [u8],
        /// Eight bytes for every bit that is set.
        values: &'a [u8],
    },
}

impl Values<'_> {
    /// Checks that the values are those of a report of `width` values.
    ///
    /// # Errors
    /// [`Violation::WrongValueCount`] or [`Violation::BadBitmap`].
    pub fn check(&self, width: usize) -> Result<(), Violation> {
        let (bytes, expected) = match self {
            Self::All(values) => (values.len(), width),
            Self::Changed { bitmap, values } => (values.len(), population(bitmap, width)?),
        };
        if bytes == expected * VALUE_BYTES {
            Ok(())
        } else {
            Err(Violation::WrongValueCount { bytes, expected })
        }
    }

    /// Writes the values into `row`, which holds those of the report before. Only after [`Self::check`]
    /// with the row's length: values beyond either end are left out.
    pub fn apply(&self, row: &mut [f64]) {
        match self {
            Self::All(values) => {
                for (value, bytes) in row.iter_mut().zip(values.chunks_exact(VALUE_BYTES)) {
                    *value = read(bytes);
                }
            }
            Self::Changed { bitmap, values } => {
                let mut values = values.chunks_exact(VALUE_BYTES);
                for (row, mut bits) in row.chunks_mut(8).zip(bitmap.iter().copied()) {
                    while bits != 0 {
                        let position = bits.trailing_zeros() as usize;
                        if let (Some(value), Some(bytes)) = (row.get_mut(position), values.next()) {
                            *value = read(bytes);
                        }
                        bits &= bits - 1;
                    }
                }
            }
        }
    }
}

/// How many values a bitmap over `width` values announces.
fn population(bitmap: &[u8], width: usize) -> Result<usize, Violation> {
    let spare = match (width % 8, bitmap.last()) {
        (0, _) | (_, None) => 0,
        (used, Some(last)) => last >> used,
    };
    if bitmap.len() != width.div_ceil(8) || spare != 0 {
        return Err(Violation::BadBitmap { values: width });
    }
    Ok(bitmap.iter().map(|byte| byte.count_ones() as usize).sum())
}

/// One value, its NaN made canonical.
fn read(bytes: &[u8]) -> f64 {
    let value = bytes.try_into().map_or(NAN, f64::from_le_bytes);
    if value.is_nan() && !is_absent(value) { NAN } else { value }
}

/// Appends every value to `out`, as [`Values::All`] has them.
pub fn write_all(values: &[f64], out: &mut Vec<u8>) {
    out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

/// Appends what changed from `before` to `now` to `bitmap` and `values`, as [`Values::Changed`] has them.
/// Both rows have the same length.
pub fn write_changed(before: &[f64], now: &[f64], bitmap: &mut Vec<u8>, values: &mut Vec<u8>) {
    for (before, now) in before.chunks(8).zip(now.chunks(8)) {
        let mut bits = 0u8;
        for (position, (before, now)) in before.iter().zip(now).enumerate() {
            if before.to_bits() != now.to_bits() {
                bits |= 1 << position;
                values.extend_from_slice(&now.to_le_bytes());
            }
        }
        bitmap.push(bits);
    }
}
