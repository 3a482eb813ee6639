//! The decimal places of a column, learnt from its values.

use fleetgauge_proto::limits::MAX_DECIMALS;

/// A report codes only numbers of fewer units than this as steps.
const MAX_UNITS: f64 = (1_u64 << 50) as f64;

/// Returns the decimal places with which most values are whole numbers of units; the fewest of
/// those.
pub(super) fn learn(values: &[f64]) -> u8 {
    let whole = |decimals: &u8| values.iter().filter(|value| is_whole(**value, *decimals)).count();
    // `max_by_key` returns the last of equals.
    (0..=MAX_DECIMALS).rev().max_by_key(whole).unwrap_or(0)
}

/// Whether a value is a whole number of units of the last decimal place.
pub(crate) fn is_whole(value: f64, decimals: u8) -> bool {
    let in_range = (value * units(decimals)).abs() < MAX_UNITS;
    in_range && round(value, decimals).to_bits() == value.to_bits()
}

/// Rounds a value to a whole number of units of the last decimal place.
pub(crate) fn round(value: f64, decimals: u8) -> f64 {
    (value * units(decimals)).round_ties_even() / units(decimals)
}

/// Returns the units of one.
pub(super) fn units(decimals: u8) -> f64 {
    10_f64.powi(decimals.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_has_as_many_decimal_places_as_most_of_its_values_need() {
        let columns: [(&[f64], u8); 6] = [
            (&[1.0, 2e9], 0),
            (&[0.5, 1.25, 3.0], 2),
            (&[0.1 + 0.2], 0),
            (&[7e-6, 0.0], 6),
            (&[0.5, 0.1 + 0.2], 1),
            (&[], 0),
        ];
        for (values, decimals) in columns {
            assert_eq!(learn(values), decimals, "{values:?}");
        }
    }
}
