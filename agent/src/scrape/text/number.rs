//! Values and timestamps.

/// Longest integer that fits a float exactly whatever its digits, in digits.
const MAX_EXACT_DIGITS: usize = 15;

/// Parses a float as Prometheus does: the decimal and special forms of Go's `ParseFloat`. A number
/// beyond the range of a float is an error.
pub(super) fn float(text: &[u8]) -> Option<f64> {
    // Most values are short integers.
    integer(text).or_else(|| decimal(text))
}

fn integer(text: &[u8]) -> Option<f64> {
    if text.is_empty() || text.len() > MAX_EXACT_DIGITS {
        return None;
    }
    let mut number = 0_u64;
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number * 10 + u64::from(digit);
    }
    Some(number as f64)
}

/// Rust accepts the same texts as Go without hexadecimal numbers and underscores, which Prometheus
/// rejects, but for two: signed NaN, and numbers beyond the range, which become infinite.
fn decimal(text: &[u8]) -> Option<f64> {
    let number: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    let is_named = !text.iter().any(u8::is_ascii_digit);
    let is_signed = matches!(text.first(), Some(b'+' | b'-'));
    let is_legal = if number.is_nan() { !is_signed } else { number.is_finite() || is_named };
    is_legal.then_some(number)
}

/// Parses a timestamp of the format 0.0.4, which is in milliseconds.
pub(super) fn milliseconds(text: &[u8]) -> Option<i64> {
    // Rust would accept a plus sign.
    let is_legal = text.iter().all(|byte| byte.is_ascii_digit() || *byte == b'-');
    std::str::from_utf8(text).ok().filter(|_| is_legal)?.parse().ok()
}

/// Parses a timestamp of OpenMetrics, which is in seconds. Returns milliseconds.
pub(super) fn seconds(text: &[u8]) -> Option<i64> {
    /// First float beyond the range of an `i64`: 2 to the power of 63.
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    let milliseconds = float(text)? * 1000.0;
    // False for NaN.
    (milliseconds.abs() < BEYOND).then_some(milliseconds as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_those_of_prometheus() {
        for (text, expected) in [
            ("0", Some(0.0)),
            ("-0", Some(-0.0)),
            ("+1", Some(1.0)),
            ("1.", Some(1.0)),
            (".5", Some(0.5)),
            ("-.5e1", Some(-5.0)),
            ("1e3", Some(1e3)),
            ("1E+3", Some(1e3)),
            ("00012", Some(12.0)),
            ("999999999999999", Some(999_999_999_999_999.0)),
            ("9007199254740993", Some(9_007_199_254_740_992.0)),
            ("18446744073709551616", Some(18_446_744_073_709_551_616.0)),
            ("1.7976931348623157e308", Some(f64::MAX)),
            ("4.9351e-05", Some(4.9351e-05)),
            ("5e-324", Some(5e-324)),
            ("1e-400", Some(0.0)),
            ("0e999999999999999999999", Some(0.0)),
            ("Inf", Some(f64::INFINITY)),
            ("+inf", Some(f64::INFINITY)),
            ("-INF", Some(f64::NEG_INFINITY)),
            ("infinity", Some(f64::INFINITY)),
            ("-Infinity", Some(f64::NEG_INFINITY)),
            ("NaN", Some(f64::NAN)),
            ("nan", Some(f64::NAN)),
            ("NAN", Some(f64::NAN)),
            ("+nan", None),
            ("-NaN", None),
            ("infin", None),
            ("1e400", None),
            ("-1e99999999999999999999", None),
            ("1e309", None),
            ("0x10", None),
            ("0x1p-3", None),
            ("1_000", None),
            ("1e", None),
            ("e5", None),
            (".", None),
            ("+", None),
            ("", None),
            ("--1", None),
            ("1 ", None),
            ("1\r", None),
            ("١", None),
        ] {
            let parsed = float(text.as_bytes()).map(f64::to_bits);
            assert_eq!(parsed, expected.map(f64::to_bits), "{text}");
        }
        assert_eq!(float(b"1\xff"), None);
    }

    #[test]
    fn timestamps_are_in_range() {
        for (text, expected) in [
            ("123123", Some(123_123)),
            ("-1", Some(-1)),
            ("9223372036854775807", Some(i64::MAX)),
            ("9223372036854775808", None),
            ("+1", None),
            ("1.5", None),
            ("NaN", None),
            ("-", None),
            ("", None),
        ] {
            assert_eq!(milliseconds(text.as_bytes()), expected, "{text}");
        }
        for (text, expected) in [
            ("1520872607.123", Some(1_520_872_607_123)),
            ("-1.5", Some(-1500)),
            ("1e3", Some(1_000_000)),
            ("NaN", None),
            ("+Inf", None),
            ("-Inf", None),
            ("1e300", None),
            ("9223372036854775.807", None),
        ] {
            assert_eq!(seconds(text.as_bytes()), expected, "{text}");
        }
    }
}
