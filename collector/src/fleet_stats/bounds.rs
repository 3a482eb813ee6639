//! Histogram bucket bounds for the fleet's gauges, by unit.

/// Bounds for ratios, in steps of 0.05.
const RATIO: &[f64] = &[
    0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85,
    0.9, 0.95, 1.0,
];

/// Bounds for bytes: 1 MiB to 16 TiB, by powers of four.
const BYTES: &[f64] = &[
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
    268_435_456.0,
    1_073_741_824.0,
    4_294_967_296.0,
    17_179_869_184.0,
    68_719_476_736.0,
    274_877_906_944.0,
    1_099_511_627_776.0,
    4_398_046_511_104.0,
    17_592_186_044_416.0,
];

/// Bounds for seconds: a millisecond to a year.
const SECONDS: &[f64] = &[
    0.001,
    0.01,
    0.1,
    1.0,
    10.0,
    60.0,
    600.0,
    3_600.0,
    21_600.0,
    86_400.0,
    604_800.0,
    2_592_000.0,
    31_536_000.0,
];

/// Bounds for degrees Celsius.
const CELSIUS: &[f64] =
    &[-20.0, -10.0, 0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 100.0, 110.0];

/// Bounds for other units: positive and negative powers of ten.
const OTHER: &[f64] = &[
    -1e6, -1e5, -1e4, -1e3, -100.0, -10.0, -1.0, 0.0, 0.01, 0.1, 1.0, 10.0, 100.0, 1e3, 1e4, 1e5,
    1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12,
];

/// Returns the finite upper bounds of the buckets for a gauge with this unit, in ascending order.
pub(super) fn of_unit(unit: &str) -> &'static [f64] {
    match unit {
        "ratio" => RATIO,
        "bytes" => BYTES,
        "seconds" => SECONDS,
        "celsius" => CELSIUS,
        _ => OTHER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_ascend() {
        for bounds in [RATIO, BYTES, SECONDS, CELSIUS, OTHER] {
            assert!(bounds.is_sorted_by(|one, next| one < next), "{bounds:?}");
        }
    }
}
