//! The compact coding of one value, given the value before.
//!
//! A value that is a whole number of its column's decimal places is a **step**: the difference to
//! the value before, in units of the last decimal place, zigzag-coded. Any other value is the XOR
//! of its bits with those before. Either is written in as few bytes as possible, and a code of four
//! bits tells which it is and how many bytes follow.

/// Number of the code of an XOR of one byte, less one. Codes 0 to 7 are steps of so many bytes,
/// codes 8 to 15 XORs of one to eight bytes.
const XOR: u8 = 7;
/// A step never leads to this many units or more, so that the arithmetic is exact.
const MAX_UNITS: i64 = 1 << 50;
/// Units per one, by decimal places. Beyond the tenth for codes that cannot occur.
const UNITS: [f64; 16] =
    [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e9, 1e9, 1e9, 1e9, 1e9, 1e9];

/// The compact coding of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Coded {
    /// Four bits.
    pub(crate) code: u8,
    /// The low bytes are written, as many as the code says.
    pub(crate) bytes: u64,
}

impl Coded {
    /// Codes `new` after `old`.
    pub(crate) fn of(old: f64, new: f64, decimals: u8) -> Self {
        match (units(old, decimals), units(new, decimals)) {
            (Some(old), Some(new)) => {
                let bytes = zigzag(new - old);
                Self { code: len(bytes), bytes }
            }
            _ => {
                let bytes = old.to_bits() ^ new.to_bits();
                Self { code: XOR + len(bytes), bytes }
            }
        }
    }

    /// Returns the number of bytes that follow a code.
    pub(crate) const fn len_of(code: u8) -> usize {
        (if code > XOR { code - XOR } else { code }) as usize
    }

    /// Returns the value after `old`; `None` if this is not its coding.
    #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
    pub(crate) fn value_after(self, old: f64, decimals: u8) -> Option<f64> {
        let Self { code, bytes } = self;
        if usize::from(len(bytes)) != Self::len_of(code) {
            return None;
        }
        if code > XOR {
            let new = f64::from_bits(old.to_bits() ^ bytes);
            let is_step = units(new, decimals).is_some() && units(old, decimals).is_some();
            return (!is_step).then_some(new);
        }
        let new = units(old, decimals)? + unzigzag(bytes);
        if new.unsigned_abs() >= MAX_UNITS.unsigned_abs() {
            return None;
        }
        Some(if decimals == 0 {
            new as f64
        } else {
            new as f64 / UNITS[usize::from(decimals & 15)]
        })
    }
}

/// Returns a value in units of its last decimal place; `None` if that is not exact.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "compared after")]
fn units(value: f64, decimals: u8) -> Option<i64> {
    let units = UNITS[usize::from(decimals & 15)];
    let (whole, back) = if decimals == 0 {
        let whole = value as i64;
        (whole, whole as f64)
    } else {
        let whole = (value * units).round_ties_even() as i64;
        (whole, whole as f64 / units)
    };
    let is_exact = back.to_bits() == value.to_bits();
    (is_exact && whole.unsigned_abs() < MAX_UNITS.unsigned_abs()).then_some(whole)
}

/// Returns the number of bytes of an integer without its leading zeros.
fn len(bytes: u64) -> u8 {
    (64 - bytes.leading_zeros()).div_ceil(8) as u8
}

/// Maps 0, -1, 1, -2 … to 0, 1, 2, 3 …
const fn zigzag(step: i64) -> u64 {
    ((step << 1) ^ (step >> 63)).cast_unsigned()
}

const fn unzigzag(bytes: u64) -> i64 {
    (bytes >> 1).cast_signed() ^ -((bytes & 1).cast_signed())
}
