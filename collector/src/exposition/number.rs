//! Formats numbers as Prometheus does.

/// 2^53: integers up to this value are exact in an `f64`. They are written without an exponent.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Appends a sample value.
pub(crate) fn write_value(value: f64, out: &mut Vec<u8>) {
    if value.is_nan() {
        out.extend_from_slice(b"NaN");
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"+Inf" } else { b"-Inf" });
    } else if let Some(whole) = whole(value) {
        if whole == 0 && value.is_sign_negative() {
            out.push(b'-');
        }
        out.extend_from_slice(itoa::Buffer::new().format(whole).as_bytes());
    } else {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "compared after")]
fn whole(value: f64) -> Option<i64> {
    let whole = value as i64;
    (value.abs() <= EXACT && whole as f64 == value).then_some(whole)
}

/// Formats a bucket bound or a quantile as a label value. A whole number has no fraction in the
/// text format, and `.0` in OpenMetrics, which requires canonical numbers.
pub(crate) fn label_number(value: f64, openmetrics: bool) -> String {
    let mut out = Vec::new();
    // Adding zero turns a bound of minus zero into zero.
    write_value(value + 0.0, &mut out);
    let mut text = String::from_utf8_lossy(&out).into_owned();
    if openmetrics && text.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
        text.push_str(".0");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_short_and_without_loss() {
        let cases = [
            (0.0, "0"),
            (-0.0, "-0"),
            (-3.0, "-3"),
            (0.125, "0.125"),
            (16_777_216_000.0, "16777216000"),
            (EXACT, "9007199254740992"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ];
        for (value, expected) in cases {
            let mut out = Vec::new();
            write_value(value, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
        for value in [1e300, -2.5e-9, f64::MIN_POSITIVE, f64::MAX, 0.1 + 0.2] {
            let mut out = Vec::new();
            write_value(value, &mut out);
            let text = String::from_utf8(out).unwrap();
            assert_eq!(text.parse::<f64>().unwrap().to_bits(), value.to_bits(), "{text}");
        }
    }

    #[test]
    fn bounds_are_canonical_in_both_formats() {
        assert_eq!(label_number(1.0, false), "1");
        assert_eq!(label_number(1.0, true), "1.0");
        assert_eq!(label_number(0.5, true), "0.5");
        assert_eq!(label_number(-0.0, true), "0.0");
        assert_eq!(label_number(-0.0, false), "0");
    }
}
