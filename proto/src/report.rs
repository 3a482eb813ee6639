//! The values of a report: little-endian IEEE 754 binary64 by position, all or only the changed
//! ones.
//!
//! Reading does not allocate: values go from the receive buffer straight into the agent's row.

use crate::codec::{BorrowDecode, Encode};
use crate::violation::Violation;

const VALUE_BYTES: usize = size_of::<f64>();

/// The NaN that marks an absent value: the series has no sample now.
pub const ABSENT: f64 = f64::from_bits(0x7ff0_0000_0000_0002);
/// The canonical NaN. Every NaN other than [`ABSENT`] is read as this one.
const NAN: f64 = f64::from_bits(0x7ff8_0000_0000_0000);

/// Returns whether a value is [`ABSENT`].
#[must_use]
pub fn is_absent(value: f64) -> bool {
    value.to_bits() == ABSENT.to_bits()
}

/// The encoded values of a report, borrowed from its payload.
///
/// ```
/// use fleetgauge_proto::report::{Values, write_all, write_changed};
///
/// let mut row = [0.0; 3];
/// let mut all = Vec::new();
/// write_all(&[1.0, 2.0, 3.0], &mut all);
/// let report = Values::All(&all);
/// report.check(row.len())?;
/// report.apply(&mut row);
///
/// let (mut bitmap, mut values) = (Vec::new(), Vec::new());
/// write_changed(&row, &[1.0, 5.0, 3.0], &mut bitmap, &mut values);
/// assert_eq!((&bitmap[..], values.len()), (&[0b010][..], 8));
/// let report = Values::Changed { bitmap: &bitmap, values: &values };
/// report.check(row.len())?;
/// report.apply(&mut row);
/// assert_eq!(row, [1.0, 5.0, 3.0]);
/// # Ok::<(), fleetgauge_proto::Violation>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, BorrowDecode)]
pub enum Values<'a> {
    /// Every value of the schema.
    All(
        /// Eight bytes for each value.
        &'a [u8],
    ),
    /// The values whose bits differ from those in the previous report.
    Changed {
        /// One bit for each value of the schema, lowest bit first; spare bits are zero.
        bitmap: &'a [u8],
        /// Eight bytes for each set bit.
        values: &'a [u8],
    },
}

impl Values<'_> {
    /// Checks that the lengths match a schema of `width` values.
    ///
    /// # Errors
    /// [`Violation::WrongValueCount`] or [`Violation::BadBitmap`].
    pub fn check(&self, width: usize) -> Result<(), Violation> {
        let (bytes, expected) = match self {
            Self::All(values) => (values.len(), width),
            Self::Changed { bitmap, values } => (values.len(), changed_count(bitmap, width)?),
        };
        if bytes == expected * VALUE_BYTES {
            Ok(())
        } else {
            Err(Violation::WrongValueCount { bytes, expected })
        }
    }

    /// Writes the values into `row`, which holds the values of the previous report.
    ///
    /// Call [`Self::check`] with the row's length first. Excess values are ignored.
    pub fn apply(&self, row: &mut [f64]) {
        match self {
            Self::All(values) => {
                for (value, bytes) in row.iter_mut().zip(values.chunks_exact(VALUE_BYTES)) {
                    *value = read_value(bytes);
                }
            }
            Self::Changed { bitmap, values } => {
                let mut values = values.chunks_exact(VALUE_BYTES);
                for (row, mut bits) in row.chunks_mut(8).zip(bitmap.iter().copied()) {
                    while bits != 0 {
                        let position = bits.trailing_zeros() as usize;
                        if let (Some(value), Some(bytes)) = (row.get_mut(position), values.next()) {
                            *value = read_value(bytes);
                        }
                        bits &= bits - 1;
                    }
                }
            }
        }
    }
}

/// Returns the number of values that a bitmap over `width` values announces.
fn changed_count(bitmap: &[u8], width: usize) -> Result<usize, Violation> {
    let spare = match (width % 8, bitmap.last()) {
        (0, _) | (_, None) => 0,
        (used, Some(last)) => last >> used,
    };
    if bitmap.len() != width.div_ceil(8) || spare != 0 {
        return Err(Violation::BadBitmap { values: width });
    }
    Ok(bitmap.iter().map(|byte| byte.count_ones() as usize).sum())
}

/// Reads one value. NaNs other than [`ABSENT`] become the canonical one.
fn read_value(bytes: &[u8]) -> f64 {
    let value = bytes.try_into().map_or(NAN, f64::from_le_bytes);
    if value.is_nan() && !is_absent(value) { NAN } else { value }
}

/// Appends `values` to `out` in the form of [`Values::All`].
pub fn write_all(values: &[f64], out: &mut Vec<u8>) {
    out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

/// Appends the difference between two rows to `bitmap` and `values`, in the form of
/// [`Values::Changed`].
///
/// `before` and `now` must have the same length.
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
