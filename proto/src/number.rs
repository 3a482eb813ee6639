//! The compact coding of one value, given the value before.
//!
//! A value is **whole** if it is the float nearest to an integer number of units, the unit being
//! the last decimal place of its column, and the integer is below 2^50 on either side of 0. Minus
//! zero is not whole.
//!
//! If both values are whole, the value is coded as a **step**: the difference in units,
//! zigzag-coded. Otherwise it is coded as the XOR of both values' bits. Either is written
//! little-endian in as few bytes as possible; a code of four bits tells which it is and how many
//! bytes follow.

/// Codes up to this one are steps of 0 to 7 bytes; the codes above are XORs of 1 to 8 bytes.
const XOR: u8 = 7;
/// Whole values have fewer units than this, so that the arithmetic is exact and a step fits seven
/// bytes.
const MAX_UNITS: i64 = 1 << 50;
/// Units per 1.0, by decimal places. Entries above 9 are unused: they make `decimals & 15` a valid
/// index.
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

    /// Returns the value after `old`; `None` if the coding is not the canonical one.
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

/// Returns a value in units of the last decimal place; `None` if it is not whole.
#[expect(clippy::cast_precision_loss, reason = "below 2^53")]
fn units(value: f64, decimals: u8) -> Option<i64> {
    let units = UNITS[usize::from(decimals & 15)];
    let (whole, back) = if decimals == 0 {
        let whole = nearest(value);
        (whole, whole as f64)
    } else {
        let whole = nearest(value * units);
        (whole, whole as f64 / units)
    };
    let is_exact = back.to_bits() == value.to_bits();
    (is_exact && whole.unsigned_abs() < MAX_UNITS.unsigned_abs()).then_some(whole)
}

/// Returns the integer nearest to a value, if that integer is below 2^50 on either side of 0.
/// Otherwise returns an integer that is not.
///
/// Near 1.5 * 2^52 successive floats are successive integers, so adding that number rounds, without
/// a function call: baseline x86-64 has no instruction that rounds.
const fn nearest(value: f64) -> i64 {
    const MIDDLE: f64 = 1.5 * (1_u64 << 52) as f64;
    (value + MIDDLE).to_bits().wrapping_sub(MIDDLE.to_bits()).cast_signed()
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Returns the nearest integer below 2^50 by rounding, as the protocol says it.
    #[expect(clippy::cast_possible_truncation, reason = "saturates above 2^50")]
    fn rounded(value: f64) -> Option<i64> {
        let whole = value.round_ties_even() as i64;
        (!value.is_nan() && whole.unsigned_abs() < MAX_UNITS.unsigned_abs()).then_some(whole)
    }

    fn nearest_below_the_limit(value: f64) -> Option<i64> {
        Some(nearest(value)).filter(|whole| whole.unsigned_abs() < MAX_UNITS.unsigned_abs())
    }

    #[test]
    fn nearest_integer_is_found_at_the_limits() {
        let limit = MAX_UNITS as f64;
        let powers = (0..=1023).map(|exponent| 2_f64.powi(exponent));
        let odd = [0.0, 0.5, 1.5, 2.5, f64::MIN_POSITIVE, f64::MAX, f64::INFINITY, f64::NAN];
        for value in powers.chain(odd).chain([limit - 1.0, limit - 0.5, limit, limit + 1.0]) {
            for value in [value, value.next_up(), value.next_down()] {
                for value in [value, -value] {
                    assert_eq!(nearest_below_the_limit(value), rounded(value), "{value:e}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn nearest_integer_is_that_of_rounding(bits: u64, whole in -MAX_UNITS..MAX_UNITS) {
            for value in [f64::from_bits(bits), whole as f64, whole as f64 / 8.0] {
                prop_assert_eq!(nearest_below_the_limit(value), rounded(value));
            }
        }
    }
}
