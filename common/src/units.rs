//! Durations (`500ms`, `15s`, `72h`) and sizes (`512KiB`, `64MiB`, `1GiB`) as text.

use std::time::Duration;

/// Units of durations, each with its length in milliseconds, smallest first.
const DURATIONS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Units of sizes, each with its size in bytes, smallest first.
const SIZES: [(&str, u64); 5] =
    [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

/// Parses a duration: a whole number and its unit.
///
/// # Errors
/// The text is not a duration; the error describes the format.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    parse(text, &DURATIONS, "duration", "15s").map(Duration::from_millis)
}

/// Parses a size: a whole number and its unit. Returns bytes.
///
/// # Errors
/// The text is not a size; the error describes the format.
pub fn parse_size(text: &str) -> Result<u64, String> {
    parse(text, &SIZES, "size", "64MiB")
}

/// Formats a duration in the largest unit that divides it. Parts of a millisecond are dropped.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    // Zero is more usual in seconds.
    match u64::try_from(duration.as_millis()).unwrap_or(u64::MAX) {
        0 => "0s".to_owned(),
        millis => format(millis, &DURATIONS),
    }
}

/// Formats bytes in the largest unit that divides them.
#[must_use]
pub fn format_size(bytes: u64) -> String {
    format(bytes, &SIZES)
}

fn parse(text: &str, units: &[(&str, u64)], what: &str, example: &str) -> Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let names: Vec<_> = units.iter().map(|(name, _)| *name).collect();
    let names = names.join(", ");
    if number.is_empty() {
        return Err(format!(
            "must be a whole number followed by a unit ({names}), such as {example}"
        ));
    }
    if unit.is_empty() {
        return Err(format!("has no unit; append one of {names}, as in {example}"));
    }
    let Some((_, factor)) = units.iter().find(|(name, _)| *name == unit) else {
        return Err(format!("must have one of the units {names}, such as {example}"));
    };
    let value = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*factor));
    value.ok_or_else(|| format!("is too large for a {what}"))
}

fn format(value: u64, units: &[(&str, u64)]) -> String {
    let divides = |(_, factor): &&(&str, u64)| value >= *factor && value.is_multiple_of(*factor);
    let (unit, factor) = units.iter().rev().find(divides).unwrap_or(&units[0]);
    format!("{}{unit}", value / factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_round_trip() {
        for text in ["0s", "1ms", "500ms", "15s", "90s", "5m", "1h", "3d"] {
            assert_eq!(format_duration(parse_duration(text).unwrap()), text);
        }
        assert_eq!(parse_duration("72h"), Ok(Duration::from_secs(72 * 3600)));
        for text in ["0B", "1B", "16777215B", "16KiB", "64MiB", "1GiB", "1TiB"] {
            assert_eq!(format_size(parse_size(text).unwrap()), text);
        }
    }

    #[test]
    fn missing_unit_is_named() {
        let problem = parse_duration("5").unwrap_err();
        assert_eq!(problem, "has no unit; append one of ms, s, m, h, d, as in 15s");
        let problem = parse_size("1048576").unwrap_err();
        assert_eq!(problem, "has no unit; append one of B, KiB, MiB, GiB, TiB, as in 64MiB");
    }

    #[test]
    fn decimal_unit_is_rejected() {
        for text in ["1GB", "1K", "1g", "1gib", "1 GiB"] {
            let problem = parse_size(text).unwrap_err();
            assert!(problem.contains("KiB, MiB, GiB"), "{text}: {problem}");
        }
    }

    #[test]
    fn anything_else_is_rejected() {
        for text in ["", "s", "15 s", "-1s", "+1s", "1.5s", "15S", "1m30s", "١s", "1w"] {
            parse_duration(text).unwrap_err();
        }
        for text in ["99999999999999999999s", "18446744073709551615m"] {
            assert_eq!(parse_duration(text).unwrap_err(), "is too large for a duration");
        }
        parse_size("18446744073709551615TiB").unwrap_err();
    }
}
